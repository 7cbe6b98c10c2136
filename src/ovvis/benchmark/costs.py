"""Parameters and arithmetic of a model by part, counted without computing anything.

To be called in a process of its own: modules keep tensors without values, which later calls would take for real ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from ovvis.benchmark.records import Cost, Part
from ovvis.models.families import build_model
from ovvis.models.layers.deformable_attention import DeformableAttention
from ovvis.models.model import Model
from ovvis.models.zoo import find_model
from ovvis.pixels import padded_size

SAMPLING = "sampling of the pixel decoder"
MASKS = "masks"
ALL_MASKS = "query decoder with all masks"
CLIP_IMAGES = "CLIP's image encoder"


def costs(name: str, sizes: Sequence[tuple[int, int]]) -> list[Cost]:
    """Return what a model of the zoo holds and computes of one frame.

    Operations are those of convolutions and matrix products, a multiplication and an addition each by itself, and of
    deformable attention's samples. "Query decoder with all masks" is no part of ours: see `published.WHY`.

    Args:
        name: of the zoo.
        sizes: heights and widths of the network's input, before padding.
    """
    entry = find_model(name)
    with torch.device("meta"):
        model = build_model(entry.config, entry.name)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cpu").eval().requires_grad_(False)
        return [Cost(model=name, height=h, width=w, parts=_parts(model, padded_size((h, w)))) for h, w in sizes]


def _parts(model: Model, size: tuple[int, int]) -> list[Part]:
    network, side = model.network, model.view_side
    counter = FlopCounterMode(display=False, depth=4)
    with torch.no_grad(), counter:
        model(torch.zeros(1, 1, 3, *size), images=None if side is None else torch.zeros(1, 1, model.clip.width))
    counts = counter.get_flop_counts()

    def operations(name: str) -> int:
        return sum(counts.get(name, {}).values())

    root = f"{type(model).__name__}.network"
    parts = [
        Part(
            name=name.replace("_", " "),
            # A backbone that is a view of the frozen CLIP holds nothing itself.
            parameters=_held(child) or (_held(model.clip.visual) if name == "backbone" else 0),
            operations=operations(f"{root}.{name}"),
        )
        for name, child in network.named_children()
    ]
    rest = operations(root) - sum(part.operations for part in parts)
    cells = size[0] // 4 * (size[1] // 4)
    one_mask = 2 * network.query_decoder.query_features.shape[0] * network.query_decoder.query_features.shape[1] * cells
    decoder = next(part for part in parts if part.name == "query decoder")
    parts.append(Part(name=MASKS, parameters=0, operations=rest))
    parts.append(Part(name=SAMPLING, parameters=0, operations=_samples(network.pixel_decoder, size)))
    layers = model.config.decoder_layers
    parts.append(
        Part(name=ALL_MASKS, parameters=decoder.parameters, operations=decoder.operations + (layers + 1) * one_mask)
    )
    if side is not None:
        with torch.no_grad(), counter:
            model.clip.embed_images(torch.zeros(1, 3, side, side, dtype=torch.uint8))
        seen = sum(counter.get_flop_counts()["Global"].values())
        parts.append(Part(name=CLIP_IMAGES, parameters=_held(model.clip.visual), operations=seen))
    for name in ("tracker", "refiner"):
        learnt = getattr(model, name)
        if learnt is not None:
            parts.append(Part(name=f"{name} (not counted)", parameters=_held(learnt), operations=0))
    return parts


def _held(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _samples(decoder: nn.Module, size: tuple[int, int]) -> int:
    """Return the operations of deformable attention's samples: four corners of each point, multiplied and added up."""
    tokens = sum(size[0] // stride * (size[1] // stride) for stride in (8, 16, 32))
    found = [module for module in decoder.modules() if isinstance(module, DeformableAttention)]
    return sum(2 * tokens * layer.levels * layer.points * 4 * layer.value.out_features for layer in found)
