"""How the truths and the results of a video overlap in each frame: by their masks, or by their masks' boxes.

Letters: T frames, N truths, M results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from ovvis.evaluation.records import Masks
from ovvis.evaluation.temporal_iou import same_size, volume
from ovvis.evaluation.track_overlap import frame_areas, shared_pixels

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FrameOverlaps:
    """Where tracks are, and how much of each other they cover there."""

    truths: Bools  # T, N; where each truth is
    results: Bools  # T, M
    overlaps: Floats  # T, N, M; in [0, 1], 0 where one of them is not


def by_masks(truths: Sequence[Masks], results: Sequence[Masks], frames: int) -> FrameOverlaps:
    """Compare masks: shared pixels over the pixels of either. A track is where it has a pixel.

    Args:
        truths: N tracks.
        results: M tracks.
        frames: T; a track that has fewer is not in the others.

    Raises:
        InputError: a mask is damaged, or two differ in size.

    >>> left, both = {"size": [2, 2], "counts": b"022"}, {"size": [2, 2], "counts": b"04"}
    >>> by_masks([[left]], [[both]], 1).overlaps.tolist()
    [[[0.5]]]
    """
    true, found = [volume(masks) for masks in truths], [volume(masks) for masks in results]
    shared = shared_pixels(found, true, frames).transpose(0, 2, 1)
    mine, theirs = frame_areas(true, frames), frame_areas(found, frames)
    joint = mine[:, :, None] + theirs[:, None, :] - shared
    overlaps = np.divide(shared, joint, out=np.zeros(shared.shape), where=joint > 0)
    return FrameOverlaps(mine > 0, theirs > 0, overlaps)


def by_boxes(truths: Sequence[Masks], results: Sequence[Masks], frames: int) -> FrameOverlaps:
    """Compare the boxes around masks. A track is where it has a mask, be it without a pixel: its box is empty then.

    Args and errors are those of `by_masks`.

    >>> left, ring = {"size": [3, 3], "counts": b"036"}, {"size": [3, 3], "counts": b"0410"}
    >>> [by([[{"size": [3, 3], "counts": b"09"}]], [[ring]], 1).overlaps.round(2).item() for by in (by_masks, by_boxes)]
    [0.89, 1.0]
    """
    same_size(volume(masks).size for masks in (*truths, *results))
    mine, theirs = are_there(truths, frames), are_there(results, frames)
    overlaps = np.zeros((frames, len(truths), len(results)))
    for t in np.flatnonzero(mine.any(axis=1) & theirs.any(axis=1)).tolist():
        rows, columns = np.flatnonzero(mine[t]), np.flatnonzero(theirs[t])
        true, found = [truths[i][t] for i in rows.tolist()], [results[j][t] for j in columns.tolist()]
        overlaps[t][np.ix_(rows, columns)] = coco.iou(coco.toBbox(true), coco.toBbox(found), [0] * len(found))
    return FrameOverlaps(mine, theirs, overlaps)


def are_there(tracks: Sequence[Masks], frames: int) -> Bools:
    """Return in which of the first frames each track has a mask, with or without pixels (T, N)."""
    there = np.zeros((frames, len(tracks)), dtype=np.bool_)
    for n, masks in enumerate(tracks):
        there[: len(masks), n] = [mask is not None for mask in masks]
    return there
