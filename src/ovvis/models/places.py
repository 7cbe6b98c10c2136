"""Where the weights of a model lie on this machine, or would lie."""

from __future__ import annotations

from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from ovvis.models.download import weights_folder
from ovvis.models.zoo import SMALL_MODEL, ZOO, ModelEntry

COMPARISON = "ovvis_comparison"  # the package of the extra `comparison`
FOLDER = Path(str(resources.files("ovvis"))) / "weights"


def packaged_path(name: str) -> Path:
    """Return where the package, or that of its extra `comparison`, keeps the weights of a model or a CLIP, if it does.

    The wheel holds the small model of the demo alone. Those that it is compared with are in a package of their own; in
    a clone of the repository all lie in one folder.
    """
    own = FOLDER / f"{name}.safetensors"
    beside = None if own.is_file() else find_spec(COMPARISON)
    if beside is not None and beside.origin is not None:
        there = Path(beside.origin).with_name(own.name)
        return there if there.is_file() else own
    return own


def lacking(name: str) -> str:
    """Return what to do where a file of the package is not there.

    >>> lacking("ovformer-stickers")
    "pip install 'ovvis[comparison]'"
    """
    entry = ZOO.get(name)
    compared = entry is not None and entry.packaged and name != SMALL_MODEL
    return "pip install 'ovvis[comparison]'" if compared else "install ovvis again"


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
