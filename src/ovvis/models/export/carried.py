"""Tensors that travel in an exported file and that no node of its graph uses: Python does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ovvis.models.export.header import CARRIED
from ovvis.models.model import Model

TEXTS = "texts"  # embeddings of the vocabulary that came with the weights
_TOWER_APART = ("clip.model.visual.", "clip.model.logit_scale")  # of a CLIP's state, what reads no words
# What names and masks are made of after a learnt tracker: its own networks, and the parts that it shares.
_TRACKING = (
    "tracker.",
    "refiner.",
    "network.query_decoder.norm.",
    "network.query_decoder.mask_head.",
    "network.class_head.",
    "classifier.",
    "clip.model.logit_scale",
    "clip.model.visual.attnpool.",
    "clip.model.visual.head.",
    "clip.model.visual.trunk.head.",
)


def carried(model: Model, text_tower: bool) -> dict[str, Tensor]:
    """Return what of a model's state travels beside its graph, by name."""
    state = model.state_dict()
    kept = {name: x for name, x in state.items() if model.tracker is not None and name.startswith(_TRACKING)}
    if text_tower:
        kept |= {name: x for name, x in state.items() if is_tower(name)}
    if model.texts is not None:
        kept[TEXTS] = model.texts.vectors
    return kept


def is_tower(name: str) -> bool:
    """Return whether a tensor of a model's state is of what reads words."""
    return name.startswith("clip.model.") and not name.startswith(_TOWER_APART)


def add_carried(proto: Any, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors into an `onnx.ModelProto`."""
    from onnx import numpy_helper

    for name, tensor in tensors.items():
        array = tensor.detach().cpu().contiguous().numpy()
        proto.graph.initializer.append(numpy_helper.from_array(array, CARRIED + name))


def read_carried(proto: Any) -> dict[str, Tensor]:
    """Return the tensors that travel in an `onnx.ModelProto`."""
    from onnx import numpy_helper

    found = (tensor for tensor in proto.graph.initializer if tensor.name.startswith(CARRIED))
    return {one.name.removeprefix(CARRIED): torch.from_numpy(numpy_helper.to_array(one).copy()) for one in found}
