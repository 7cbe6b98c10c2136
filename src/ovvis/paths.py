"""Where downloaded and derived files lie."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the folder for weights and text embeddings: `OVVIS_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("OVVIS_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("ovvis"))


def data_folder(chosen: str | Path | None = None) -> Path:
    """Return the folder that the datasets lie in: the one chosen, else `OVVIS_DATA`, else `datasets` here."""
    return Path(chosen or os.environ.get("OVVIS_DATA") or "datasets").expanduser()
