"""Kernels of our own for a GPU, in the place of PyTorch's steps where they give the same on this machine."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ovvis.models.layers.deformable_attention import DeformableAttention, Kernel
from ovvis.models.layers.samplers import GridSampler

_CLOSE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 6e-2}
"""How far sums of values about 1 may be apart, relative and absolute: each way rounds to the precision."""
_SHAPES = ((3, 5), (7, 4), (1, 9), (11, 13))  # odd, and one a single line


def use_kernels(network: nn.Module, device: torch.device, dtype: torch.dtype) -> str:
    """Let deformable attention run as one kernel; return why it does not, in a line, or nothing.

    The kernel is tried on this device in this precision, for each geometry of the network's layers, before it is used.

    Args:
        network: with the layers.
        device: where it computes.
        dtype: in which floating type.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, DeformableAttention)]
    try:
        from ovvis.models.layers.deformable_kernel import sample
    except ImportError as error:
        return f"accelerate kernels: PyTorch's own way is taken, for Triton cannot be imported ({error})"
    for geometry in {(x.heads, x.levels, x.points, x.value.out_features // x.heads) for x in layers}:
        try:
            apart = difference(sample, *geometry, device, dtype)
        except Exception as error:  # whatever a compiler, or a driver, has to say
            reason = (str(error).strip().splitlines() or [""])[0][:200]
            return f"accelerate kernels: PyTorch's own way is taken: {type(error).__name__}: {reason}"
        if apart:
            return f"accelerate kernels: PyTorch's own way is taken, for the kernel differs from it ({apart})"
    for layer in layers:
        layer.kernel = sample
    return ""


@torch.no_grad()
def difference(
    kernel: Kernel, heads: int, levels: int, points: int, channels: int, device: torch.device, dtype: torch.dtype
) -> str:
    """Return how a kernel's sums differ from PyTorch's way on this device; empty where they do not.

    Args:
        kernel: as `deformable_kernel.sample`.
        heads: of the layer.
        levels: of the layer, at most 4.
        points: of each head and level.
        channels: of each head.
        device: where it is tried.
        dtype: of values and aim.
    """
    draw = torch.Generator().manual_seed(0)
    shapes = _SHAPES[:levels]
    cells, tokens = sum(h * w for h, w in shapes), 37
    value = _drawn((2, cells, heads, channels), draw, device, dtype)
    raw = 2 * _drawn((2, tokens, 3 * heads * levels * points), draw, device, dtype)
    raw[:, :5] *= 20  # far outside of the levels, and weights that are all or nothing
    reference = torch.rand(tokens, 2, generator=draw).to(device)
    with torch.device("meta"):
        layer = DeformableAttention(heads * channels, heads, levels, points)
    wanted = GridSampler(value, shapes)(*layer.aim(raw, reference, shapes)).float()
    found = kernel(value, raw, reference, shapes, points)
    if found.dtype != dtype or found.shape != wanted.shape:
        return f"{tuple(found.shape)} of {found.dtype} in place of {tuple(wanted.shape)} of {dtype}"
    close = _CLOSE[dtype]
    apart = (found.float() - wanted).abs() - close * wanted.abs()
    return "" if bool((apart <= close).all()) else f"by up to {float(apart.max()):.2g}"


def _drawn(shape: tuple[int, ...], draw: torch.Generator, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, generator=draw).to(device, dtype)
