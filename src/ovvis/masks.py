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
BATCH = 96  # codes that are read together: their numbers stay in the processor's cache
LONGEST = 2**24  # bytes of a code, and pixels of an outline at COCO's five times the size: what is longer is refused
_TOGETHER = 2**22  # bytes of codes that are read at once: their numbers take forty times as much


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


def from_runs(runs: Sequence[int], size: tuple[int, int]) -> Rle:
    """Return the code of run lengths written as numbers (COCO's "uncompressed" form).

    Args:
        runs: lengths of the runs of 0 and 1 in turn, beginning with 0; column by column.
        size: height and width of the mask.

    Raises:
        ValueError: a run is negative, or together they are not the frame's pixels.

    >>> from_runs([1, 2, 1], (2, 2))["counts"]
    b'121'
    """
    check_runs(runs, size)
    return {"size": list(size), "counts": _compress(np.array(runs, dtype=np.int64))}


def check_runs(runs: Sequence[int], size: tuple[int, int]) -> None:
    """See that run lengths are those of a mask.

    Raises:
        ValueError: a run is negative, or together they are not the frame's pixels.
    """
    if min(runs, default=-1) < 0 or sum(runs) != size[0] * size[1]:
        raise ValueError(f"run lengths sum to {sum(runs)} where the frame has {size[0] * size[1]} pixels")


def from_polygons(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> Rle:
    """Return the code of the pixels inside any of some polygons, as COCO's tools rasterise them.

    Args:
        polygons: x, y, x, y, ... of each one's corners, in pixels; at least three corners (`proper_polygons`).
        size: height and width of the mask.

    Raises:
        ValueError: as `check_polygons`.

    >>> area(from_polygons([[0, 0, 2, 0, 2, 2, 0, 2]], (4, 4)))
    4
    """
    height, width = size
    check_polygons(polygons, size)
    codes: list[Rle] = coco.frPyObjects([list(polygon) for polygon in polygons], height, width)
    merged: Rle = coco.merge(codes)
    return merged


def check_polygons(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> None:
    """See that polygons can be drawn.

    Raises:
        ValueError: a polygon has an odd number of values or fewer than three corners (given two, COCO's tools would
            make a box of them), or its outline, which they walk pixel by pixel, is longer than any of a frame.
    """
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(f"a polygon has {len(polygon)} values; it needs x and y of at least three corners")
        corners = np.array(polygon, dtype=np.float64).reshape(-1, 2)
        steps = np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1)
        # Not "if more": a corner that is no number has no outline either.
        if not (5 * steps.sum() + len(corners) <= LONGEST and np.abs(corners).max() <= LONGEST):
            raise ValueError(f"a polygon lies far outside the frame of {size[0]} x {size[1]}")


def proper_polygons(polygons: Sequence[list[float]]) -> list[list[float]]:
    """Return those of three corners and more, with an x and a y each; the released tools draw no others.

    >>> proper_polygons([[0, 0, 2, 2], [0, 0, 2, 0, 2, 2], [0, 0, 2, 0, 2, 2, 0], []])
    [[0, 0, 2, 0, 2, 2]]
    """
    return [polygon for polygon in polygons if len(polygon) >= 6 and len(polygon) % 2 == 0]


def run_lengths(codes: Sequence[bytes]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the run lengths that compressed codes stand for, all at once.

    Args:
        codes: N codes, as in `Rle.counts`.

    Returns:
        runs: the run lengths of all codes behind each other; of a damaged code they may be negative.
        starts: where each code's runs begin, and the end of the last (N + 1).

    Raises:
        ValueError: a code is empty, holds a character that no code holds, ends in the middle of a number, or holds
            one of more than 30 bits (no frame is so large).

    >>> runs, starts = run_lengths([b"121", b"024"])
    >>> runs.tolist(), starts.tolist()
    ([1, 2, 1, 0, 2, 4], [0, 3, 6])
    """
    sizes = np.fromiter(map(len, codes), dtype=np.int64, count=len(codes))
    if len(codes) > 1 and sizes.sum() > _TOGETHER:
        half = len(codes) // 2
        (runs, starts), (more_runs, more_starts) = run_lengths(codes[:half]), run_lengths(codes[half:])
        return np.concatenate([runs, more_runs]), np.concatenate([starts, more_starts[1:] + starts[-1]])
    signs = np.frombuffer(b"".join(codes), dtype=np.uint8) - np.uint8(48)
    more = signs > 31  # the number goes on: five bits a sign, the last of them with the number's own sign
    borders = np.cumsum(sizes)
    if not sizes.all() or signs.max(initial=0) > 63 or more[borders - 1].any():
        raise ValueError("is no run-length code")
    values = ((signs & 15).view(np.int8) - (signs & 16).view(np.int8)).astype(np.int32)
    # Numbers of two signs and more, from their last sign backwards; most have one.
    here = np.flatnonzero(more[:-1] & ~more[1:])
    number = here + 1
    for _ in range(5):
        values[number] = (values[number] << 5) | (signs[here] & 31)
        longer = (here > 0) & more[here - 1]
        here, number = here[longer] - 1, number[longer]
    if len(here):
        raise ValueError("is no run-length code")
    ends = np.flatnonzero(~more)
    starts = np.concatenate([[0], np.searchsorted(ends, borders)])
    return _sums_of_every_second(values[ends], starts), starts


def _sums_of_every_second(deltas: NDArray[np.int32], starts: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return run lengths from what codes hold: from a code's fourth on, the difference to the run before the last."""
    first, last = starts[:-1], starts[1:]
    third = first[last - first > 2]
    deltas[third + 2] -= deltas[third]  # the third is no difference
    runs = np.empty_like(deltas)
    for parity in (0, 1):
        mine = runs[parity::2]
        np.cumsum(deltas[parity::2], out=mine)
        # These sums run through all codes: take away what each code found at its first place.
        from_, to = (first + 1 - parity) // 2, (last + 1 - parity) // 2
        before = np.where(from_ > 0, mine[np.maximum(from_, 1) - 1], 0) if len(mine) else np.zeros_like(first)
        mine -= np.repeat(before.astype(np.int32), to - from_)
    return runs


class DamagedCodeError(ValueError):
    """A code is no run-length code of its frame's pixels; `index` is its position among those looked at."""

    def __init__(self, index: int) -> None:
        super().__init__(f"code {index} is no run-length code of its frame's pixels")
        self.index = index


def sound_run_lengths(codes: Sequence[bytes], pixels: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return what `run_lengths` does, of N > 0 codes that must each be of so many pixels.

    COCO's tools trust a code: of a damaged one they measure some number or other, read past its end, or never
    come back.

    Raises:
        DamagedCodeError: one is damaged; the first is named.
    """
    # Each run has a pixel or more, but for the first, and a number of n signs stands for 16 pixels and more.
    most = min(2 * pixels + 64, LONGEST)
    if max(map(len, codes)) > most:
        long = next(i for i, code in enumerate(codes) if len(code) > most)
        first = unsound(codes[:long], pixels)
        raise DamagedCodeError(long if first is None else first)
    try:
        runs, starts = run_lengths(codes)
    except ValueError as error:
        if len(codes) == 1:
            raise DamagedCodeError(0) from error
        for i, code in enumerate(codes):
            if unsound([code], pixels) is not None:
                raise DamagedCodeError(i) from error
        raise
    bad = np.add.reduceat(runs, starts[:-1], dtype=np.int64) != pixels
    if runs.min() < 0:
        bad |= np.minimum.reduceat(runs, starts[:-1]) < 0
    if bad.any():
        raise DamagedCodeError(int(bad.argmax()))
    return runs, starts


def unsound(codes: Sequence[bytes], pixels: int) -> int | None:
    """Return the position of the first code that is no run-length code of so many pixels; None if all are.

    >>> unsound([b"121", b"122"], 4)
    1
    """
    for start in range(0, len(codes), BATCH):
        try:
            sound_run_lengths(codes[start : start + BATCH], pixels)
        except DamagedCodeError as error:
            return start + error.index
    return None


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


def covered(mask: Rle, others: Sequence[Rle]) -> NDArray[np.float64]:
    """Return what share of a mask lies on each of some others (N), in [0, 1].

    >>> whole, half = np.ones((2, 2), dtype=bool), np.eye(2, dtype=bool)
    >>> covered(encode(whole), [encode(half), encode(whole)]).tolist()
    [0.5, 1.0]
    """
    if not others:
        return np.zeros(0)
    shares: NDArray[np.float64] = coco.iou([mask], list(others), [1] * len(others))[0]
    return shares
