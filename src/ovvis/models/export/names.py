"""Whether a name means an exported file; said without PyTorch or ONNX."""

from __future__ import annotations

from pathlib import Path

from ovvis.errors import InputError
from ovvis.paths import user_path

SUFFIX = ".onnx"


def is_exported(name: str | None) -> bool:
    """Return whether a model's name is a file that `ovvis models export` wrote, by its ending.

    >>> is_exported("small.onnx"), is_exported("clip-vis-r50")
    (True, False)
    """
    return name is not None and name.lower().endswith(SUFFIX)


def exported_path(name: str) -> Path:
    """Return the file that a name means.

    Raises:
        InputError: there is none.
    """
    path = user_path(name)
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"model {str(path)!r} {kind}; give a file that `ovvis models export` wrote, or a model's name")
    return path
