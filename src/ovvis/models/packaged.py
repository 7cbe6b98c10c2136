"""Weights that lie in the package: nothing is fetched, nothing is written.

A model's file leaves its CLIP out; the CLIP has a file of its own, which several models share. What configures a
packaged model stands in the zoo, so that a calibrated number changes without the weights.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from ovvis.errors import InputError, ResourceError
from ovvis.models.checkpoint import Checkpoint, read_checkpoint
from ovvis.models.convert import TensorDict
from ovvis.models.places import lacking, packaged_path
from ovvis.models.zoo import ModelEntry

CLIP_FAMILY = "clip"
"""What a CLIP's own file says that it is."""


def packaged_model(entry: ModelEntry) -> Checkpoint:
    """Return a model's packaged weights, with the zoo's configuration.

    Raises:
        InputError: the file is damaged.
        ResourceError: it is missing.
    """
    return replace(_read(entry.name), config=asdict(entry.config))


def packaged_clip(name: str, tag: str) -> TensorDict:
    """Return a CLIP's packaged weights under our names.

    Args:
        name: of its architecture, one of our own.
        tag: which weights; the file says it too.

    Raises:
        InputError: the file is damaged, or of another tag.
        ResourceError: it is missing.
    """
    found = _read(name)
    if found.family != CLIP_FAMILY or found.config != {"clip": name, "weights": tag}:
        has = (found.config or {}).get("weights")
        raise InputError(f"CLIP weights {name}/{tag}: the package has none of that tag, only {name}/{has}")
    return found.state


def _read(name: str) -> Checkpoint:
    path = packaged_path(name)
    if not path.is_file():
        raise ResourceError(f"the weights of {name} are missing from this installation ({path}); {lacking(name)}")
    return read_checkpoint(path)
