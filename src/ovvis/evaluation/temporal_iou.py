"""Overlap of tracks: intersection and union are counted over all frames of a video.

The measure is that of L. Yang, Y. Fan, N. Xu, "Video instance segmentation", ICCV 2019, section 3. Two tracks
overlap fully only if they agree in space and in time: a frame in which one of them is absent adds to the union.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from ovvis.errors import InputError
from ovvis.evaluation.records import Masks

Areas = NDArray[np.int64]  # T; pixels
_TOGETHER = 4  # frames between two looks at whether a pair can still reach its mark


@dataclass(frozen=True, slots=True)
class Volume:
    """A track with its measures."""

    masks: Masks
    areas: Areas  # T; pixels in each frame, 0 where it is absent
    size: tuple[int, int] | None  # height and width of its first mask; None if it is never seen

    @property
    def mean_area(self) -> float:
        """Pixels in the mean over the frames in which the track is seen; 0 if it is never seen."""
        seen = self.areas[self.areas > 0]
        return float(seen.mean()) if len(seen) else 0.0


def volume(masks: Masks) -> Volume:
    """Measure a track.

    >>> volume([{"size": [2, 3], "counts": b"24"}, None]).areas.tolist()
    [4, 0]
    """
    masks = tuple(masks)  # a dataset's are decoded each time that they are looked at
    areas = np.zeros(len(masks), dtype=np.int64)
    seen = [i for i, mask in enumerate(masks) if mask]
    if not seen:
        return Volume(masks, areas, None)
    codes = [mask for mask in masks if mask]
    areas[seen] = coco.area(codes)
    height, width = codes[0]["size"]
    return Volume(masks, areas, (height, width))


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
            shared = _shared_pixels(result.masks, truth.masks, np.minimum(mine, other).tolist(), needed)
            if shared:
                overlaps[i, j] = shared / (own if alone else both - shared)
    return overlaps


def _shared_pixels(result: Masks, truth: Masks, most: list[int], needed: float) -> int:
    """Return the pixels that two tracks share, or 0 once they cannot share as many as `needed`.

    Args:
        result: masks of one track.
        truth: masks of another.
        most: for each frame, a count that the shared pixels cannot exceed; 0 where a mask is absent.
        needed: pixels.
    """
    total, possible = 0, sum(most)
    frames = [frame for frame, bound in enumerate(most) if bound]
    for start in range(0, len(frames), _TOGETHER):
        if possible < needed:
            return 0
        chosen = frames[start : start + _TOGETHER]
        shared = int(coco.area([coco.merge([result[frame], truth[frame]], True) for frame in chosen]).sum())
        total += shared
        possible -= sum(most[frame] for frame in chosen) - shared
    return total if possible >= needed else 0
