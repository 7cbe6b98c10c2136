"""Average precision and recall of ranked results, by the rules of COCO's evaluation.

The measure: https://cocodataset.org/#detection-eval. Letters: D results, G truths, A area ranges, L overlap
thresholds, R recall levels, K categories, M limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ovvis.evaluation.rules import LIMITS

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)  # L; least overlap of a match
RECALL_LEVELS: Floats = np.linspace(0.0, 1.0, 101)  # R; where precision is read
AREA_NAMES = ("all", "small", "medium", "large")  # A


def outside_areas(areas: Floats, edges: tuple[float, float]) -> Bools:
    """Return for each area range (`AREA_NAMES`) which tracks lie outside it, (A, N). The edges belong to both sides.

    >>> outside_areas(np.array([5.0, 10.0, 50.0]), (10, 20)).astype(int).tolist()
    [[0, 0, 0], [0, 0, 1], [1, 0, 1], [1, 1, 0]]
    """
    low = np.array([0, 0, edges[0], edges[1]])[:, None]
    high = np.array([1e10, edges[0], edges[1], 1e10])[:, None]
    return (areas < low) | (areas > high)


def ranks(groups: Ints) -> Ints:
    """Return each entry's position within its group (D,); entries of one group stand together.

    >>> ranks(np.array([4, 4, 4, 9, 9, 2])).tolist()
    [0, 1, 2, 0, 1, 0]
    """
    index = np.arange(len(groups))
    begins = np.ones(len(groups), dtype=np.bool_)
    begins[1:] = groups[1:] != groups[:-1]
    return index - np.maximum.accumulate(np.where(begins, index, 0))


def match(groups: Ints, pairs: Ints, overlaps: Floats, ignored: Bools, reusable: Bools) -> Ints:
    """Give each result the truth that it matches, for every area range and threshold.

    Within a group (a video and a category) results choose in their order. A result takes the free truth of the
    largest overlap, the last of equals; a truth that is ignored only where no other is left.

    Args:
        groups: the group of each result (D,); results of one group stand together, the best score first.
        pairs: a result and a truth of the same group (P, 2), in any order.
        overlaps: their overlap (P,), in [0, 1].
        ignored: truths that need not be found (A, G).
        reusable: truths that stay free when they are matched (G,).

    Returns:
        Index of the truth, -1 where none is matched, (A, L, D).

    >>> one = np.zeros((1, 1), dtype=bool)
    >>> match(np.array([0, 0]), np.array([[0, 0], [1, 0]]), np.array([0.6, 0.9]), one, one[0])[0, :3].tolist()
    [[0, -1], [0, -1], [0, -1]]
    """
    areas, levels = len(ignored), len(THRESHOLDS)
    matched = np.full((areas, levels, len(groups)), -1, dtype=np.int64)
    close = overlaps >= THRESHOLDS[0]
    if not close.any():
        return matched
    # One row for each result with a candidate: rows, candidates (the last truth first), their overlaps.
    order = np.lexsort((-pairs[close, 1], pairs[close, 0]))
    result_of, truth_of = pairs[close][order].T
    column = ranks(result_of)
    rows, row_of = np.unique(result_of, return_inverse=True)
    candidates = np.zeros((len(rows), column.max() + 1), dtype=np.int64)
    overlap = np.full(candidates.shape, -1.0)
    candidates[row_of, column], overlap[row_of, column] = truth_of, overlaps[close][order]

    taken = np.zeros((areas, levels, len(reusable)), dtype=np.bool_)
    turns = ranks(groups[rows])
    for turn in range(turns.max() + 1):  # at most one result of each group chooses in a turn
        now = turns == turn
        truths = candidates[now]
        able = overlap[now] >= THRESHOLDS[:, None, None]
        able = able & (reusable[truths] | ~taken[:, :, truths])  # A, L, n, C
        value = np.where(able, overlap[now], -1.0)
        wanted = np.where(ignored[:, None, truths], -1.0, value)
        choice = np.where(wanted.max(-1) >= 0, wanted.argmax(-1), value.argmax(-1))
        chosen = np.where(able.any(-1), truths[np.arange(len(truths)), choice], -1)  # A, L, n
        matched[:, :, rows[now]] = chosen
        a, level, n = np.nonzero(chosen >= 0)
        taken[a, level, chosen[a, level, n]] = True
    return matched


@lru_cache(maxsize=1024)
def _needed(positives: int) -> Ints:
    """Return how many truths must be found to reach each recall level (R,)."""
    if not positives:
        return np.zeros(len(RECALL_LEVELS), dtype=np.int64)
    return np.searchsorted(np.arange(positives + 1) / positives, RECALL_LEVELS).astype(np.int64)


def average_precision(right: Bools, wrong: Bools, positives: Ints) -> Floats:
    """Return the area under the curves of precision over recall, read at `RECALL_LEVELS`.

    Args:
        right: results that found a truth (S, D), for S settings; the best score first.
        wrong: results that found none (S, D). A result that is neither is passed over.
        positives: truths to be found (S,).

    Returns:
        AP (S,), in [0, 1]; -1 where there is no truth to be found.

    >>> average_precision(np.array([[True, False, True]]), np.array([[False, True, False]]), np.array([2])).round(3)
    array([0.835])
    """
    count, length = right.shape
    if not length:
        return np.where(positives > 0, 0.0, -1.0)
    hits = np.cumsum(right, axis=1, dtype=np.int64)
    misses = np.cumsum(wrong, axis=1, dtype=np.int64)
    precision = hits / (misses + hits + np.spacing(1))
    best = np.zeros((count, length + 1))  # from each place on; the last column is for a recall never reached
    best[:, :-1] = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    needed = np.array([_needed(p) for p in positives.tolist()])
    # One search in all rows: each row of rising counts is lifted above the row before it.
    row = np.arange(count)[:, None]
    lift = row * (length + int(needed.max()) + 1)
    place = np.searchsorted((hits + lift).reshape(-1), needed + lift) - row * length
    read = best[row, np.minimum(place, length)]
    return np.where(positives > 0, read.mean(axis=1), -1.0)


def recall(right: Bools, rank: Ints, positives: Ints, limits: Sequence[int] = LIMITS) -> Floats:
    """Return the share of the truths that the best results of each video find.

    Args:
        right: results that found a truth (S, D), for S settings.
        rank: each result's position in its video and category (D,), from 0.
        positives: truths to be found (S,).
        limits: how many results of each video and category to take (M).

    Returns:
        Recall (S, M) for each limit, 0 or more; -1 where there is no truth to be found. It exceeds 1 only if
        a truth may be found twice.

    >>> recall(np.array([[True, True, False]]), np.array([0, 1, 0]), np.array([4])).tolist()
    [[0.25, 0.5, 0.5]]
    """
    found = np.stack([right[:, rank < limit].sum(axis=1) for limit in limits], axis=1)
    return np.where(positives[:, None] > 0, found / np.maximum(positives, 1)[:, None], -1.0)
