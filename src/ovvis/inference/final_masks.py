"""From mask logits to run-length codes at the video's size, by short sums with both resizes combined."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovvis.inference.mask_code import pack_bits
from ovvis.inference.region import placed
from ovvis.masks import Rle, encode_columns
from ovvis.structures import Window


@lru_cache(maxsize=32)
def resize_matrix(source: int, target: int) -> Tensor:
    """Return the matrix (target, source) of a bilinear resize of one axis, half-pixel centres, no antialiasing.

    `resize_matrix(h, H) @ x @ resize_matrix(w, W).T` is `interpolate(x, (H, W), mode="bilinear")`.

    >>> resize_matrix(2, 4)
    tensor([[1.0000, 0.0000],
            [0.7500, 0.2500],
            [0.2500, 0.7500],
            [0.0000, 1.0000]])
    """
    position = ((torch.arange(target, dtype=torch.float64) + 0.5) * source / target - 0.5).clamp(min=0)
    lower = position.floor().long().clamp(max=source - 1)
    upper = (lower + 1).clamp(max=source - 1)
    share = position - lower
    matrix = torch.zeros(target, source, dtype=torch.float64)
    rows = torch.arange(target)
    matrix.index_put_((rows, lower), 1 - share, accumulate=True)
    matrix.index_put_((rows, upper), share, accumulate=True)
    return matrix.float()


class _Axis(NamedTuple):
    """One axis of the way from mask logits to video pixels."""

    start: Tensor  # pixels; the first of the neighbouring cells that a pixel is a mean of
    shares: Tensor  # n, pixels, 1; how much each of these n cells counts
    first: NDArray[Any]  # cells; the first pixel that a cell has a share in
    last: NDArray[Any]  # cells; one past the last of them


@lru_cache(maxsize=32)
def _axis(cells: int, padded: int, kept: int, pixels: int) -> _Axis:
    """Return one axis of the way; the released order: to the padded network input, without its padding, to the video.

    Two bilinear resizes in a row mix three neighbouring cells at most, so that a pixel is a short sum.
    """
    matrix = resize_matrix(kept, pixels) @ resize_matrix(cells, padded)[:kept]  # pixels, cells
    touched = (matrix > 0).numpy()
    first = np.where(touched.any(0), touched.argmax(0), pixels)
    last = np.where(touched.any(0), pixels - touched[::-1].argmax(0), 0)
    begin, end = touched.argmax(1), cells - touched[:, ::-1].argmax(1)
    count = int((end - begin).max())
    start = torch.from_numpy(np.minimum(begin, cells - count))
    near = start[:, None] + torch.arange(count)  # pixels, n
    return _Axis(start, matrix.gather(1, near).T[..., None].contiguous(), first, last)


def _resized(x: Tensor, start: Tensor, shares: Tensor) -> Tensor:
    """Return `x` (cells, m) as pixels (p, m), which `start` (p) and `shares` (n, p, 1) of an axis describe."""
    out = x.index_select(0, start).mul_(shares[0])
    for i in range(1, len(shares)):
        out.addcmul_(x.index_select(0, start + i), shares[i])
    return out


def mask_bits(logits: Tensor, padded: tuple[int, int], kept: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Return final masks where the logits lie, as bits in columns: what `rle_from_bits` reads.

    Args:
        logits: n, h, w; mask logits of one frame, float32.
        padded: height and width of the network's input, padding included.
        kept: height and width of the network's input without its padding.
        size: height and width of the video.

    Returns:
        n, ceil(W * H / 8); uint8.
    """
    down, across = (_axis_on(*each, logits.device) for each in zip(logits.shape[1:], padded, kept, size, strict=True))
    columns = _resized_all(_resized_all(logits, *down).transpose(1, 2).contiguous(), *across)  # n, W, H
    return pack_bits((columns > 0).flatten(1))


def rle_from_bits(bits: Tensor, size: tuple[int, int]) -> Rle | None:
    """Return the run-length code of a mask's bits (one row of `mask_bits`, on the CPU), or None of an empty one."""
    if not bits.any():
        return None
    mask = np.unpackbits(bits.numpy(), count=size[0] * size[1]).view(np.bool_).reshape(size[1], size[0])
    return encode_columns(mask, (0, 0), size)


@lru_cache(maxsize=32)
def _axis_on(cells: int, padded: int, kept: int, pixels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return `start` and `shares` of an axis on a device; kept, as a copy to a GPU waits for it."""
    axis = _axis(cells, padded, kept, pixels)
    return axis.start.to(device), axis.shares.to(device)


def _resized_all(x: Tensor, start: Tensor, shares: Tensor) -> Tensor:
    """Return `_resized` of each of several (n, cells, m): (n, p, m)."""
    out = x.index_select(1, start).mul_(shares[0])
    for i in range(1, len(shares)):
        out.addcmul_(x.index_select(1, start + i), shares[i])
    return out


def mask_confidence(logits: Tensor, padded: tuple[int, int], kept: tuple[int, int], size: tuple[int, int]) -> float:
    """Return the mean sigmoid of a mask's positive pixels at the video's size, in [0, 1]; 0 where it has none.

    Args:
        logits: mask logits of one frame (h, w), float32, on the CPU.
        padded: height and width of the network's input, padding included.
        kept: height and width of the network's input without its padding.
        size: height and width of the video.
    """
    down, across = (_axis(*each) for each in zip(logits.shape, padded, kept, size, strict=True))
    rows = _resized(logits, down.start, down.shares)
    full = _resized(rows.T.contiguous(), across.start, across.shares)
    inside = full[full > 0]
    return float(inside.sigmoid().sum() / (len(inside) + 1e-6))


def masks_of(logits: Tensor, padded: tuple[int, int], window: Window) -> list[list[Rle | None]]:
    """Return for each frame of a window its final masks, of a window's mask logits (n, T, h, w); see below."""
    here = logits.cpu()
    sizes = [(frame.image.shape[0], frame.image.shape[1]) for frame in window.frames]
    part, kept = window.region, window.image_size

    def final(logits: Tensor, size: tuple[int, int]) -> Rle | None:
        shown = size if part is None else (part.height, part.width)
        return placed(rle_from_logits(logits, padded, kept, shown), part, size)

    return [[final(one, size) for one in here[:, t]] for t, size in enumerate(sizes)]


def rle_from_logits(
    logits: Tensor, padded: tuple[int, int], kept: tuple[int, int], size: tuple[int, int]
) -> Rle | None:
    """Return the mask of positive logits at the video's size, or None where no pixel is positive.

    Equals resizing the logits to `padded`, cropping to `kept`, resizing to `size` and asking for > 0, but works
    only where the logits are positive: a bilinear mean of values that are not positive is not positive.

    Args:
        logits: mask logits of one frame (h, w), float32, on the CPU.
        padded: height and width of the network's input, padding included.
        kept: height and width of the network's input without its padding.
        size: height and width of the video.
    """
    positive = (logits > 0).numpy()
    rows, columns = np.flatnonzero(positive.any(1)), np.flatnonzero(positive.any(0))
    if not len(rows):
        return None
    down, across = (_axis(*each) for each in zip(logits.shape, padded, kept, size, strict=True))
    # Cells of the padding reach no pixel; the others' reaches decide.
    y0, y1 = int(down.first[rows].min()), int(down.last[rows].max())
    x0, x1 = int(across.first[columns].min()), int(across.last[columns].max())
    if y0 >= y1 or x0 >= x1:
        return None  # positive only in the padding
    start = across.start[x0:x1]
    c0, c1 = int(start[0]), int(start[-1]) + len(across.shares)
    lines = _resized(logits[:, c0:c1], down.start[y0:y1], down.shares[:, y0:y1])
    # Transposed, as the run-length code reads it.
    crop = _resized(lines.T.contiguous(), start - c0, across.shares[:, x0:x1])
    mask = (crop > 0).numpy()
    return encode_columns(mask, (y0, x0), size) if mask.any() else None
