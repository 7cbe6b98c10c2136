"""A user's paths, and where downloaded and derived files lie."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path, PurePath

import platformdirs

DEMO_VIDEO = Path(str(resources.files("ovvis"))) / "demo" / "stickers.mp4"
"""The packaged video."""


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path as its user means it: `~` and `~name` at its beginning are home folders, where they are.

    What is called so literally comes first (`~draft.mp4`, as editors name their copies), and a `~name` of nobody stays
    as it is: whoever opens it says that there is no such file.
    """
    text = os.fspath(path)
    if not text.startswith("~") or os.path.lexists(text):
        return Path(text)
    try:
        return Path(os.path.expanduser(text))  # noqa: PTH111  Path's own raises where there is no such user
    except ValueError:  # characters that no user's name has
        return Path(text)


def find_source(given: object, home: Path) -> str | None:
    """Return the path of a source on this machine, where it was or below a folder; None if it is not there.

    What a file of results names is opened only if it is a file, a folder or a pattern: nothing on a network, no camera.

    Args:
        given: the path as the run had it.
        home: a folder to look in besides.
    """
    if not isinstance(given, str) or not given or "://" in given:
        return None
    name = re.split(r"[/\\]", given)[-1]
    for place in (user_path(given), home / given, home / name):
        if place.is_file() or place.is_dir():
            return str(place)
        if re.search(r"[*?[%]", place.name) and place.parent.is_dir():
            return str(place)
    return None


def cache_folder() -> Path:
    """Return the folder for weights and text embeddings: `OVVIS_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("OVVIS_CACHE")
    return user_path(chosen) if chosen else Path(platformdirs.user_cache_dir("ovvis"))


def data_folder(chosen: str | Path | None = None) -> Path:
    """Return the folder that the datasets lie in: the one chosen, else `OVVIS_DATA`, else `datasets` here."""
    return user_path(chosen or os.environ.get("OVVIS_DATA") or "datasets")


def is_hidden(path: str | PurePath) -> bool:
    """Return whether a file is one that systems lay beside people's own, or is hidden.

    >>> [is_hidden(name) for name in ("a/results.json", "a/._results.json", "__MACOSX/results.json", "Thumbs.db")]
    [False, True, True, True]
    """
    path = PurePath(path)
    return path.name.startswith(".") or path.name in ("Thumbs.db", "desktop.ini") or "__MACOSX" in path.parts
