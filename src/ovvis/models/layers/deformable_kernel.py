"""Deformable attention's aim and sampling in one pass on a GPU: a Triton kernel.

PyTorch's own way writes every sample of every token (points x channels numbers) and what it aims at into memory, and
reads them again. Here a token's softmax, places and samples stay in registers: values are gathered in the network's
precision and summed in float32. Off unless it is asked for (`kernels.use_kernels`).

Triton comes with PyTorch for CUDA; it is imported here and nowhere else, so whoever imports this file asks for it.
"""

from __future__ import annotations

import contextlib
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 32  # tokens of a program


@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]  # Triton reads annotations, and knows its own alone
    value,
    raw,
    reference,
    sizes,
    out,
    tokens,
    cells,
    heads: tl.constexpr,
    levels: tl.constexpr,
    points: tl.constexpr,
    channels: tl.constexpr,
    wide: tl.constexpr,
    block: tl.constexpr,
):
    """Sample for a block of tokens, one head and one window; see `sample` for the tensors."""
    token = tl.program_id(0) * block + tl.arange(0, block)
    head = tl.program_id(1)
    window = tl.program_id(2).to(tl.int64)
    inside = token < tokens
    channel = tl.arange(0, wide)
    some = levels * points  # of one head
    every = heads * some
    line = raw + (window * tokens + token) * (3 * every) + head * some  # x; y and weights lie `every` further each
    place_x = tl.load(reference + 2 * token, mask=inside, other=0.0)
    place_y = tl.load(reference + 2 * token + 1, mask=inside, other=0.0)
    most = tl.full((block,), -float("inf"), tl.float32)
    for k in range(some):
        most = tl.maximum(most, tl.load(line + 2 * every + k, mask=inside, other=0.0).to(tl.float32))
    total = tl.zeros((block,), tl.float32)
    sums = tl.zeros((block, wide), tl.float32)
    table = value + (window * cells * heads + head) * channels + channel[None, :]
    for k in range(some):
        level = k // points
        height = tl.load(sizes + 3 * level)
        width = tl.load(sizes + 3 * level + 1)
        first = tl.load(sizes + 3 * level + 2)
        share = tl.exp(tl.load(line + 2 * every + k, mask=inside, other=0.0).to(tl.float32) - most)
        total += share
        x = tl.load(line + k, mask=inside, other=0.0).to(tl.float32) + place_x * width.to(tl.float32) - 0.5
        y = tl.load(line + every + k, mask=inside, other=0.0).to(tl.float32) + place_y * height.to(tl.float32) - 0.5
        left = tl.floor(x)
        top = tl.floor(y)
        for corner in tl.static_range(4):
            column = left + (corner % 2)
            row = top + (corner // 2)
            # What is no number is within no level; its share is no number either, so that the result is none.
            within = inside & (column >= 0) & (column < width) & (row >= 0) & (row < height)
            near = share * (1 - tl.abs(x - column)) * (1 - tl.abs(y - row))
            cell = first + tl.where(within, row, 0.0).to(tl.int32) * width + tl.where(within, column, 0.0).to(tl.int32)
            seen = tl.load(
                table + cell[:, None].to(tl.int64) * (heads * channels),
                mask=within[:, None] & (channel < channels)[None, :],
                other=0.0,
            )
            sums += near[:, None] * seen.to(tl.float32)
    into = out + ((window * tokens + token)[:, None] * heads + head) * channels + channel[None, :]
    result = sums / total[:, None]
    tl.store(into, result.to(out.dtype.element_ty), mask=inside[:, None] & (channel < channels)[None, :])


def sample(value: Tensor, raw: Tensor, reference: Tensor, shapes: tuple[tuple[int, int], ...], points: int) -> Tensor:
    """Return the weighted sums of bilinear samples; what lies outside a level is zero.

    Args:
        value: B, N, heads, C; the levels one after another.
        raw: B, M, 3 * heads * levels * points; offsets in x, then in y, then logits of the weights.
        reference: M, 2; x and y of each token in [0, 1], float32.
        shapes: height and width of each level.
        points: of each head and level.

    Returns:
        B, M, heads * C; of the values' type.
    """
    windows, cells, heads, channels = value.shape
    tokens = raw.shape[1]
    out = value.new_empty(windows, tokens, heads * channels)
    here = torch.cuda.device(value.device) if value.device.type == "cuda" else contextlib.nullcontext()
    with here:  # Triton launches where PyTorch is
        _kernel[(triton.cdiv(tokens, BLOCK), heads, windows)](
            value.contiguous(),
            raw.contiguous(),
            reference.contiguous(),
            _sizes(shapes, value.device),
            out,
            tokens,
            cells,
            heads,
            len(shapes),
            points,
            channels,
            triton.next_power_of_2(channels),
            BLOCK,
        )
    return out


@lru_cache(maxsize=32)
def _sizes(shapes: tuple[tuple[int, int], ...], device: torch.device) -> Tensor:
    """Return height, width and first cell of each level (levels, 3), int32; kept, as a copy to the device waits."""
    rows, start = [], 0
    for h, w in shapes:
        rows.append((h, w, start))
        start += h * w
    with torch.inference_mode(False):
        return torch.tensor(rows, dtype=torch.int32, device=device)
