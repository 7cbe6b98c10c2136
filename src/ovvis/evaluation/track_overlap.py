"""Why a result overlaps a truth no more than it does: its masks, or the frames in which it has them.

The overlap of two tracks is a product of two. Where the result is on the truth, its masks have an overlap `space`;
and these frames hold a share `time` of all the pixels that either track has. Outside of them nothing is shared but
brushes, so overlap = space x time, and the smaller factor is what the overlap is lost to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from ovvis.evaluation.temporal_iou import Volume, same_size

TOUCH = 0.1
"""Least overlap, in a frame or over all, that ties a result to a truth; below it lies the background (TIDE's t_b)."""

FRAME_MATCH = 0.5
"""Overlap in a frame from which on a result is taken to follow a truth there, and no longer another."""

BLOCK = 256  # results compared at once, so that a video with very many needs little memory

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TrackOverlaps:
    """How N results lie on M truths of a video."""

    overlap: Floats  # N, M; over all frames, as `temporal_iou` counts it
    space: Floats  # N, M; overlap within the frames in which the result is on the truth; 0 where there are none
    time: Floats  # N, M; those frames' share of the pixels of both tracks
    frames_on: Ints  # N, M; number of those frames
    frames_lost: Ints  # N, M; the other frames in which either is seen
    frames_switched: Ints  # N, M; those of the lost frames in which the result follows another truth
    frames_seen: Ints  # N; frames in which the result is seen

    @property
    def near(self) -> Bools:
        """Pairs that belong together (N, M): they overlap, or most of the result, however short, is on the truth."""
        return (self.overlap >= TOUCH) | ((self.frames_on > 0) & (2 * self.frames_on >= self.frames_seen[:, None]))

    @property
    def lost_in_time(self) -> Bools:
        """Pairs whose masks are better than their time (N, M)."""
        return self.time < self.space

    @property
    def switched(self) -> Bools:
        """Pairs that are lost in time, and that to another truth rather than to nothing (N, M)."""
        return self.lost_in_time & (self.frames_switched > 0) & (2 * self.frames_switched >= self.frames_lost)


def shared_pixels(results: Sequence[Volume], truths: Sequence[Volume], frames: int) -> Ints:
    """Return the pixels that each result shares with each truth in each of the first frames, (T, N, M).

    >>> left, right = {"size": [2, 2], "counts": b"022"}, {"size": [2, 2], "counts": b"22"}
    >>> from ovvis.evaluation.temporal_iou import volume
    >>> shared_pixels([volume([left, right])], [volume([left, left])], 2).tolist()
    [[[2]], [[0]]]

    Raises:
        InputError: a result and a truth differ in size.
    """
    same_size(track.size for track in (*results, *truths))
    result_masks, truth_masks = [tuple(v.masks) for v in results], [tuple(v.masks) for v in truths]
    shared = np.zeros((frames, len(results), len(truths)), dtype=np.int64)
    for frame in range(frames):
        rows = [i for i, volume in enumerate(results) if frame < len(volume.areas) and volume.areas[frame]]
        columns = [j for j, volume in enumerate(truths) if frame < len(volume.areas) and volume.areas[frame]]
        if not rows or not columns:
            continue
        mine = [result_masks[i][frame] for i in rows]
        theirs = [truth_masks[j][frame] for j in columns]
        # With "crowd" set the library divides by the first mask's own area: times that area it is a whole number.
        shares = coco.iou(mine, theirs, [1] * len(theirs))
        own = np.array([results[i].areas[frame] for i in rows])
        shared[np.ix_([frame], rows, columns)] = np.rint(shares * own[:, None]).astype(np.int64)
    return shared


def track_overlaps(
    results: Sequence[Volume], truths: Sequence[Volume], over_result: Sequence[bool] | None = None
) -> TrackOverlaps:
    """Measure how the results of a video lie on its truths, whatever their names.

    In a frame a result is on a truth if their masks overlap by `TOUCH` or more and the result does not follow
    another truth there: one that it overlaps by `FRAME_MATCH` or more, and more than this one. Where two tracks
    differ in length, only the frames that both have are counted, as `temporal_iou` does.

    Args:
        results: N tracks.
        truths: M tracks.
        over_result: for each truth, whether its `overlap` is divided by the result's own area and not by the union.

    Raises:
        InputError: a result and a truth differ in size.

    >>> left, right = {"size": [2, 2], "counts": b"022"}, {"size": [2, 2], "counts": b"22"}
    >>> from ovvis.evaluation.temporal_iou import volume
    >>> found = track_overlaps([volume([left, right])], [volume([left, left]), volume([right, right])])
    >>> found.overlap.round(2).tolist(), found.space.tolist(), found.time.round(2).tolist()
    ([[0.33, 0.33]], [[1.0, 1.0]], [[0.33, 0.33]])
    >>> found.switched.tolist()
    [[True, True]]
    """
    parts = [_block(results[i : i + BLOCK], truths, over_result) for i in range(0, max(len(results), 1), BLOCK)]
    names = ("overlap", "space", "time", "frames_on", "frames_lost", "frames_switched", "frames_seen")
    return TrackOverlaps(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _block(results: Sequence[Volume], truths: Sequence[Volume], over_result: Sequence[bool] | None) -> TrackOverlaps:
    frames = min(
        max((len(v.areas) for v in results), default=0),
        max((len(v.areas) for v in truths), default=0),
    )
    mine, theirs = frame_areas(results, frames), frame_areas(truths, frames)  # T, N and T, M
    both = (_lengths(results, frames)[:, :, None] & _lengths(truths, frames)[:, None, :]).astype(np.int64)
    shared = shared_pixels(results, truths, frames)
    own = mine[:, :, None] * both
    union = own + theirs[:, None, :] * both - shared
    within = _ratio(shared, union)  # T, N, M

    # Whether another truth is followed: the best of the others, which is the second best for the best itself.
    ranked = np.sort(within, axis=2)
    best = ranked[:, :, -1:] if len(truths) else within
    second = ranked[:, :, -2:-1] if len(truths) > 1 else np.zeros_like(best)
    others = np.where(within == best, second, best)
    elsewhere = (others >= FRAME_MATCH) & (others > within)
    on = (within >= TOUCH) & ~elsewhere
    lost = (union > 0) & ~on

    shared_in_all, union_in_all = shared.sum(axis=0), union.sum(axis=0)
    alone = np.array(over_result if over_result is not None else [False] * len(truths), dtype=np.bool_)
    below = np.where(alone, own.sum(axis=0), union_in_all)
    union_on = (union * on).sum(axis=0)
    return TrackOverlaps(
        overlap=_ratio(shared_in_all, below),
        space=_ratio((shared * on).sum(axis=0), union_on),
        time=_ratio(union_on, union_in_all),
        frames_on=on.sum(axis=0),
        frames_lost=lost.sum(axis=0),
        frames_switched=(lost & elsewhere).sum(axis=0),
        frames_seen=np.array([np.count_nonzero(volume.areas) for volume in results], dtype=np.int64),
    )


def frame_areas(volumes: Sequence[Volume], frames: int) -> Ints:
    """Return the tracks' areas in the first frames (T, N), 0 where a track has ended."""
    areas = np.zeros((frames, len(volumes)), dtype=np.int64)
    for i, volume in enumerate(volumes):
        areas[: len(volume.areas), i] = volume.areas[:frames]
    return areas


def _lengths(volumes: Sequence[Volume], frames: int) -> Bools:
    """Return whether each track has each of the first frames, seen there or not (T, N)."""
    return np.arange(frames)[:, None] < np.array([len(volume.areas) for volume in volumes], dtype=np.int64)


def _ratio(part: Ints, whole: Ints) -> Floats:
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
