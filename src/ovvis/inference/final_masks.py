"""From mask logits to run-length codes at the video's size, by one product with both resizes combined."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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


@lru_cache(maxsize=32)
def _logits_to_video(cells: int, padded: int, kept: int, pixels: int) -> tuple[Tensor, NDArray[Any], NDArray[Any]]:
    """Return one axis of the way from mask logits to video pixels, and the rows that each cell can reach.

    The released order: resize to the padded network input, crop the padding, resize to the video's size.

    Returns:
        matrix: (pixels, cells).
        first, last: for each cell, the first and one past the last video pixel it has a share in.
    """
    matrix = resize_matrix(kept, pixels) @ resize_matrix(cells, padded)[:kept]
    touched = (matrix > 0).numpy()
    first = np.where(touched.any(0), touched.argmax(0), pixels)
    last = np.where(touched.any(0), pixels - touched[::-1].argmax(0), 0)
    return matrix, first, last


def mask_confidence(logits: Tensor, padded: tuple[int, int], kept: tuple[int, int], size: tuple[int, int]) -> float:
    """Return the mean sigmoid of a mask's positive pixels at the video's size, in [0, 1]; 0 where it has none.

    Args:
        logits: mask logits of one frame (h, w), float32, on the CPU.
        padded: height and width of the network's input, padding included.
        kept: height and width of the network's input without its padding.
        size: height and width of the video.
    """
    down = _logits_to_video(logits.shape[0], padded[0], kept[0], size[0])[0]
    across = _logits_to_video(logits.shape[1], padded[1], kept[1], size[1])[0]
    full = torch.linalg.multi_dot([down, logits, across.T])
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
    h, w = logits.shape
    down, y_first, y_last = _logits_to_video(h, padded[0], kept[0], size[0])
    across, x_first, x_last = _logits_to_video(w, padded[1], kept[1], size[1])
    # Cells of the padding reach no pixel; the others' reaches decide.
    y0, y1 = int(y_first[rows].min()), int(y_last[rows].max())
    x0, x1 = int(x_first[columns].min()), int(x_last[columns].max())
    # Negative neighbours of the positive cells have a share in these pixels too: three cells on each side.
    r0, r1 = max(int(rows[0]) - 3, 0), min(int(rows[-1]) + 4, h)
    c0, c1 = max(int(columns[0]) - 3, 0), min(int(columns[-1]) + 4, w)
    if y0 >= y1 or x0 >= x1:
        return None  # positive only in the padding
    # Transposed, as the run-length code reads it; `multi_dot` finds the cheaper order.
    crop = torch.linalg.multi_dot([across[x0:x1, c0:c1], logits[r0:r1, c0:c1].T, down[y0:y1, r0:r1].T])
    mask = (crop > 0).numpy()
    return encode_columns(mask, (y0, x0), size) if mask.any() else None
