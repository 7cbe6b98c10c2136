"""Where the weights of a model lie on this machine, or would lie."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from ovvis.models.download import weights_folder
from ovvis.models.zoo import ModelEntry

FOLDER = Path(str(resources.files("ovvis"))) / "weights"


def packaged_path(name: str) -> Path:
    """Return where the package keeps the weights of a model or a CLIP, if it has them."""
    return FOLDER / f"{name}.safetensors"


def weights_path(entry: ModelEntry) -> Path:
    """Return where a model's own weights lie or would lie."""
    return packaged_path(entry.name) if entry.packaged else weights_folder() / entry.file


def clip_path(name: str, tag: str, folder: Path | None = None) -> Path:
    """Return where a CLIP's own weights lie or would lie: among the downloaded weights, or in another folder."""
    return (folder or weights_folder()) / f"clip.{name}.{tag}.safetensors"


def weights_files(entry: ModelEntry) -> list[Path]:
    """Return all files of a model's own weights: where they lie in the package, its CLIP has a file of its own."""
    shared = [packaged_path(entry.config.clip)] if entry.packaged else []
    return [weights_path(entry), *shared]
