"""What a track's row on the timeline shows: where it is seen, and a curve of its size or score."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ovvis import masks
from ovvis.masks import Rle
from ovvis.outputs.formats.masks_in_file import MasksInFile

COLUMNS = 1200  # of a row, at most: what its curves are sampled at
_LONGEST_NUMBER = 7  # signs of a code


def columns_of(frames: int) -> int:
    """Return how many values the curves of a video of so many frames have."""
    return min(frames, COLUMNS)


def timeline_of(track: Sequence[Rle | None], scores: Sequence[float | None] | None = None) -> dict[str, Any]:
    """Return a row's facts, as JSON knows them.

    Args:
        track: its mask in each frame, or None.
        scores: its score in each frame, where it is known.

    Returns:
        `spans`: first and last frame of each time in sight; `largest`: pixels of its largest mask among those that
        are sampled; `sizes`: of each column its size in [0, 1], as a share of the largest; `scores`, if they are
        given: of each column, or None where it is not seen. A column has the first frame of its own in which the track
        is seen.
    """
    frames = len(track)
    pixels = map(track.has_pixels, range(frames)) if isinstance(track, MasksInFile) else map(_has_pixels, track)
    seen = np.fromiter(pixels, dtype=np.bool_, count=frames)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], seen.view(np.int8), [0]])))
    bounds = [column * frames // columns_of(frames) for column in range(columns_of(frames) + 1)]
    sampled = [a + int(seen[a:b].argmax()) if seen[a:b].any() else None for a, b in pairwise(bounds)]
    there = [i for i in sampled if i is not None]
    taken = track.take(there) if isinstance(track, MasksInFile) else [track[i] for i in there]
    area = dict(zip(there, map(_area, taken), strict=True))
    areas = [0 if i is None else area[i] for i in sampled]
    largest = max(areas, default=0)
    row: dict[str, Any] = {
        "spans": [[int(a), int(b) - 1] for a, b in edges.reshape(-1, 2)],
        "largest": largest,
        "sizes": [round(area / (largest or 1), 3) for area in areas],
    }
    if scores is not None:
        found = [None if i is None else scores[i] for i in sampled]
        row["scores"] = [None if value is None else round(float(value), 4) for value in found]
    return row


def _area(mask: Rle | None) -> int:
    return 0 if mask is None else masks.area(mask)


def _has_pixels(mask: Rle | None) -> bool:
    # A code of one number is a mask without a pixel; a longer one than any number needs not be read.
    return mask is not None and (len(mask["counts"]) > _LONGEST_NUMBER or masks.area(mask) > 0)
