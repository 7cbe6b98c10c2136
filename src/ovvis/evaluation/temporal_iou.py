"""Overlap of tracks: intersection and union are counted over all frames of a video.

The measure is that of L. Yang, Y. Fan, N. Xu, "Video instance segmentation", ICCV 2019, section 3. Two tracks
overlap fully only if they agree in space and in time: a frame in which one of them is absent adds to the union.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovvis.borders import BorderedMasks, Borders, DamagedMaskError, borders, shared_pixels
from ovvis.errors import InputError
from ovvis.evaluation.records import Masks

Areas = NDArray[np.int64]  # T; pixels


@dataclass(frozen=True, slots=True)
class Volume:
    """A track with its measures."""

    masks: Masks
    areas: Areas  # T; pixels in each frame, 0 where it is absent
    size: tuple[int, int] | None  # height and width of its first mask; None if it is never seen
    borders: Borders

    @property
    def mean_area(self) -> float:
        """Pixels in the mean over the frames in which the track is seen; 0 if it is never seen."""
        return float(self.areas.sum()) / max(int(np.count_nonzero(self.areas)), 1)


def volume(masks: Masks) -> Volume:
    """Measure a track.

    Raises:
        InputError: a mask's code is not that of its frame's pixels, or a mask has another size than the first.

    >>> volume([{"size": [2, 3], "counts": b"24"}, None]).areas.tolist()
    [4, 0]
    """
    if isinstance(masks, BorderedMasks):
        found = masks.borders()
        return Volume(masks, found.areas, masks.size if found.frame else None, found)
    masks = tuple(masks)
    size = size_of(masks)
    try:
        found = borders(masks)
    except DamagedMaskError as error:
        h, w = size or (0, 0)
        raise InputError(
            f"frame {error.frame} of a track: the run-length code is not that of {h} x {w} pixels; encode it anew"
        ) from error
    return Volume(masks, found.areas, size, found)


def size_of(masks: Masks) -> tuple[int, int] | None:
    """Return the height and width of a track's masks; None if it has none.

    Raises:
        InputError: two differ.
    """
    if isinstance(masks, BorderedMasks):
        return masks.size
    sizes = dict.fromkeys((mask["size"][0], mask["size"][1]) for mask in masks if mask)
    if len(sizes) > 1:
        (h, w), (other_h, other_w), *_ = sizes
        raise InputError(f"a track has masks of {h} x {w} and of {other_h} x {other_w}; resize them")
    return next(iter(sizes), None)


def same_size(sizes: Iterable[tuple[int, int] | None]) -> None:
    """Check that the masks of a video's tracks are of one size.

    Args:
        sizes: height and width of each track; None of one that is never seen.

    Raises:
        InputError: two differ.
    """
    found = {size for size in sizes if size}
    if len(found) > 1:
        (h, w), (other_h, other_w) = sorted(found)[:2]
        raise InputError(f"masks of {h} x {w} and of {other_h} x {other_w} are in one video; resize them")


def temporal_iou(
    results: Sequence[Volume],
    truths: Sequence[Volume],
    over_result: Sequence[bool] | None = None,
    at_least: float = 0.0,
) -> NDArray[np.float64]:
    """Return the overlap of each result track with each true track of a video.

    Counts are whole pixels, so the only rounding is that of one division. Where two tracks differ in length,
    only the frames that both have are counted.

    Args:
        results: N tracks.
        truths: M tracks.
        over_result: for each truth, whether to divide by the result's own area and not by the union, as COCO
            does for crowds; None: never.
        at_least: an overlap below it may be returned as 0, in [0, 1]: frames that can no longer lift a pair to it
            are not looked at.

    Returns:
        Overlaps (N, M), in [0, 1]; 0 for a pair of which both are empty.

    Raises:
        InputError: a result and a truth differ in size.

    >>> left, right = {"size": [2, 2], "counts": b"022"}, {"size": [2, 2], "counts": b"22"}
    >>> truths = [volume([left, None]), volume([left, left])]
    >>> temporal_iou([volume([left, right])], truths).tolist()
    [[0.5, 0.3333333333333333]]
    """
    overlaps = np.zeros((len(results), len(truths)))
    for j, truth in enumerate(truths):
        alone = over_result is not None and over_result[j]
        for i, result in enumerate(results):
            if result.size and truth.size and result.size != truth.size:
                (h, w), (other_h, other_w) = result.size, truth.size
                raise InputError(f"a result mask is {h} x {w} where the truth is {other_h} x {other_w}; resize it")
            frames = min(len(result.areas), len(truth.areas))
            mine, other = result.areas[:frames], truth.areas[:frames]
            own, both = int(mine.sum()), int(mine.sum() + other.sum())
            # One pixel less than needed, so that rounding never drops a pair that reaches the mark.
            needed = (at_least * own if alone else at_least * both / (1 + at_least)) - 1
            shared = _shared(result.borders, truth.borders, frames, needed)
            if shared:
                overlaps[i, j] = shared / (own if alone else both - shared)
    return overlaps


def _shared(result: Borders, truth: Borders, frames: int, needed: float) -> int:
    """Return the pixels that two tracks share in the first frames, or 0 if they share fewer than `needed`."""
    most = _most_shared(result, truth, frames)
    possible = int(most.sum())
    if possible < needed or not possible:
        return 0
    total, begin = 0, 0
    for end in (frames // 4, frames) if needed > 0 else (frames,):
        shared = shared_pixels(result, truth, begin, end)
        total += shared
        possible += shared - int(most[begin:end].sum())
        if possible < needed:
            return 0
        begin = end
    return total


def _most_shared(result: Borders, truth: Borders, frames: int) -> Areas:
    """Return a count that the shared pixels cannot exceed, for each of the first frames (T)."""
    return np.minimum(result.areas[:frames], truth.areas[:frames])
