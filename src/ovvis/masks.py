"""Pure functions on masks: run-length code, boxes, overlap.

A run-length code (`Rle`) is COCO's: `size` is `[height, width]`, `counts` the compressed run lengths of the
mask read column by column, as `pycocotools.mask` reads and writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

BoolArray = NDArray[np.bool_]


class Rle(TypedDict):
    """COCO's compressed run-length code of one mask."""

    size: list[int]  # [height, width]
    counts: bytes


def encode(mask: BoolArray) -> Rle:
    """Return the run-length code of a mask (H, W).

    >>> encode(np.eye(3, dtype=bool))["counts"]
    b'013000'
    """
    return encode_crop(mask, (0, 0), (mask.shape[0], mask.shape[1]))


def encode_crop(crop: BoolArray, corner: tuple[int, int], size: tuple[int, int]) -> Rle:
    """Return the run-length code of a mask that is empty outside a crop.

    Args:
        crop: the mask inside the crop, (h, w).
        corner: row and column of the crop's first pixel in the whole mask.
        size: height and width of the whole mask.
    """
    return encode_columns(crop.T, corner, size)


def encode_columns(crop: BoolArray, corner: tuple[int, int], size: tuple[int, int]) -> Rle:
    """Do the work of `encode_crop` on the crop's transpose (w, h), which the code reads in its own order."""
    (top, left), (height, width) = corner, size
    w, h = crop.shape
    # One spare column of zeros closes the last run.
    columns = np.zeros((w + 1, height), dtype=np.bool_)
    columns[:w, top : top + h] = crop
    flat = columns.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat[0]:
        changes = np.concatenate([[0], changes])
    edges = np.minimum(changes + left * height, height * width)
    counts = np.diff(np.concatenate([[0], edges, [height * width]]))
    if len(edges) and edges[-1] == height * width:
        counts = counts[:-1]  # the mask ends with its last pixel: COCO writes no empty run there
    return {"size": [height, width], "counts": _compress(counts.astype(np.int64))}


def _compress(counts: NDArray[np.int64]) -> bytes:
    """Return COCO's text form of run lengths: differences in groups of five bits, six with the "more" bit."""
    deltas = counts.copy()
    deltas[3:] -= counts[1:-2]
    groups = np.zeros((len(deltas), 8), dtype=np.uint8)
    used = np.zeros((len(deltas), 8), dtype=np.bool_)
    open_ = np.ones(len(deltas), dtype=np.bool_)
    for i in range(8):
        low = deltas & 0x1F
        deltas >>= 5
        more = np.where(low & 0x10, deltas != -1, deltas != 0)
        groups[:, i] = (low | (more << 5)) + 48
        used[:, i] = open_
        open_ &= more
        if not open_.any():
            break
    return groups[used].tobytes()


def decode(rle: Rle) -> BoolArray:
    """Return the mask (H, W) of a run-length code.

    >>> decode(encode(np.eye(2, dtype=bool))).tolist()
    [[True, False], [False, True]]
    """
    decoded: NDArray[np.uint8] = coco.decode(rle)
    return decoded.view(np.bool_)


def area(rle: Rle) -> int:
    """Return the number of pixels of a mask."""
    return int(coco.area(rle))


def box(rle: Rle) -> tuple[float, float, float, float]:
    """Return the tight box of a mask as x, y, width, height in pixels; all zero for an empty mask."""
    x, y, w, h = (float(v) for v in coco.toBbox(rle))
    return x, y, w, h


def overlap(first: Sequence[Rle], second: Sequence[Rle]) -> NDArray[np.float64]:
    """Return the intersection over union of each mask of `first` with each of `second`, (N, M), in [0, 1]."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    ious: NDArray[np.float64] = coco.iou(list(first), list(second), [0] * len(second))
    return ious
