"""Parameters and operations of a network's parts (OVFormer's Table 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ovvis.models.model import Model

SIZE = (800, 1333)  # pixels of the paper's input
STRIDE = 32  # to a multiple of which frames are padded
PARTS = ("backbone", "encoder", "decoder", "uea")


def costs(model: Model, size: tuple[int, int] | None = None) -> dict[str, dict[str, float]]:
    """Return millions of parameters and billions of operations of an OVFormer's parts, for one frame.

    An operation is a multiplication with its addition, in convolutions and matrix products, as the paper's counter
    counts them; sampling and weighted sums of deformable attention, norms and activations are left out. The decoder is
    the query decoder with the mask and object heads; "uea" is the class head: the unified embedding alignment and the
    MLP in front of it.

    Args:
        model: with `network.backbone`, `pixel_decoder`, `query_decoder` and a class head with an alignment.
        size: height and width of the frame; None: the paper's.
    """
    network = model.network
    height, width = (-(-side // STRIDE) * STRIDE for side in size or SIZE)
    pixels = torch.zeros(1, 1, 3, height, width, device=model.device, dtype=model.dtype)
    images = torch.zeros(1, 1, model.clip.width, device=model.device, dtype=model.dtype)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(pixels, images=images)
    operations = {name.rpartition("Segmenter.")[2]: sum(of.values()) / 2 for name, of in counter.flop_counts.items()}
    parts: dict[str, tuple[tuple[nn.Module | None, ...], tuple[str, ...]]] = {
        "backbone": ((network.backbone,), ("backbone",)),
        "encoder": ((network.pixel_decoder,), ("pixel_decoder",)),
        "decoder": ((network.query_decoder, network.object_head), ("query_decoder", "object_head")),
        "uea": ((network.class_head,), ("class_head",)),
    }
    return {
        name: {
            "params": sum(p.numel() for module in modules if module is not None for p in _own(module)) / 1e6,
            "flops": sum(operations.get(path, 0) for path in paths) / 1e9,
        }
        for name, (modules, paths) in parts.items()
    }


def _own(module: nn.Module) -> list[Tensor]:
    """Return the parameters and, of frozen norms, the buffers that hold what others have as parameters."""
    return [*module.parameters(), *(b for name, b in module.named_buffers() if name.endswith((".weight", ".bias")))]
