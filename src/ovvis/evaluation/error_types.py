"""The one reason for which each wrong result is wrong, and the truth that it would have found.

After D. Bolya, S. Foley, J. Hays, J. Hoffman, "TIDE: A General Toolbox for Identifying Object Detection Errors",
ECCV 2020, section 3, with two kinds more for video. docs/explain.md defines every kind. Letters: D results,
G truths, P pairs of a result and a truth of its video, L overlap thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovvis.evaluation.average_precision import THRESHOLDS

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KINDS = {
    "name": "wrong name on the right mask",
    "mask": "right name on a poor mask",
    "switch": "right name, but the track changes over to another object",
    "broken": "right name, but the track begins late, ends early, has holes or drifts away",
    "both": "near an object, but neither the name nor the track is right",
    "duplicate": "right, but a better-scored result has found the object before",
    "background": "on no annotated object",
    "uncounted": "right, but the evaluator does not count it (a truth of id 0)",
    "missed": "an object that no result comes near enough to",
}
"""The kinds of error, each with its meaning; every one but "missed" is an error of a result."""

NAME, MASK, SWITCH, BROKEN, BOTH, DUPLICATE, BACKGROUND, UNCOUNTED, MISSED = range(len(KINDS))
NONE = -1
FINDS_TRUTH = (NAME, MASK, SWITCH, BROKEN, UNCOUNTED)
"""Kinds whose repair makes a result right; a repaired result of any other kind is gone."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Results and truths that share pixels in some frame, (P,) each; only truths that are to be found."""

    result: Ints
    truth: Ints
    overlap: Floats
    same_name: Bools
    near: Bools  # `TrackOverlaps.near`
    cause: Ints  # MASK, SWITCH or BROKEN


def kinds_of_error(wrong: Bools, counted: Bools, pairs: Pairs) -> Ints:
    """Return the kind of each error (L, D), `NONE` where a result is not wrong.

    The first that holds, at threshold t: "uncounted" for a result that the matching gave a truth; "duplicate" for
    an overlap of t or more with a truth of its name; "name" for one with a truth of another name; "mask", "switch"
    or "broken", as `pairs` says, for the truth of its name near it that it overlaps most; "both" near a truth of
    another name; "background".

    Args:
        wrong: results that count as wrong (L, D).
        counted: of the wrong, those that the matching gave no truth (L, D).
        pairs: how results and truths overlap.

    >>> pairs = Pairs(*map(np.array, ([0, 1], [0, 0], [0.6, 0.3], [False, True], [True, True], [MASK, MASK])))
    >>> kinds = kinds_of_error(np.ones((10, 3), dtype=bool), np.ones((10, 3), dtype=bool), pairs)
    >>> [list(KINDS)[kind] for kind in kinds[0]], [list(KINDS)[kind] for kind in kinds[-1]]
    (['name', 'mask', 'background'], ['both', 'mask', 'background'])
    """
    count = wrong.shape[1]
    own, other = np.zeros(count), np.zeros(count)
    np.maximum.at(own, pairs.result[pairs.same_name], pairs.overlap[pairs.same_name])
    np.maximum.at(other, pairs.result[~pairs.same_name], pairs.overlap[~pairs.same_name])
    other_near = np.zeros(count, dtype=np.bool_)
    other_near[pairs.result[~pairs.same_name & pairs.near]] = True
    cause = np.full(count, NONE, dtype=np.int64)
    mine = np.flatnonzero(pairs.same_name & pairs.near)
    mine = mine[np.argsort(pairs.overlap[mine], kind="stable")]
    cause[pairs.result[mine]] = pairs.cause[mine]  # the largest overlap is written last
    # An overlap of 0 reaches no threshold.
    levels = THRESHOLDS[:, None]
    kinds = np.select(
        [~wrong, ~counted, own >= levels, other >= levels, cause >= 0, other_near],
        [NONE, UNCOUNTED, DUPLICATE, NAME, cause, BOTH],
        BACKGROUND,
    )
    return kinds.astype(np.int64)


def truths_regained(kinds: Ints, matched: Ints, found: Bools, rank: Ints, pairs: Pairs, among: Sequence[int]) -> Ints:
    """Give each error of some kinds the truth that it finds once it is repaired.

    In the order of their rank results choose, each the free truth of the largest overlap of those that its kind
    speaks of: for "name" truths of another name that it overlaps by the threshold or more, for "mask", "switch" and
    "broken" those of its name that it is near.

    Args:
        kinds: from `kinds_of_error` (L, D).
        matched: the truth that the matching gave each result, -1 for none (L, D).
        found: truths that a result has found already (L, G).
        rank: the results' order (D,); of two that want one truth the lower may have it.
        pairs: how results and truths overlap.
        among: the kinds to repair; others than `FINDS_TRUTH` regain nothing.

    Returns:
        Index of the truth, -1 where none is regained, (L, D).
    """
    regained = np.full(kinds.shape, -1, dtype=np.int64)
    if UNCOUNTED in among:
        regained[kinds == UNCOUNTED] = matched[kinds == UNCOUNTED]
    order = np.lexsort((pairs.truth, -pairs.overlap, rank[pairs.result]))
    result, truth, overlap = pairs.result[order], pairs.truth[order], pairs.overlap[order]
    same, near = pairs.same_name[order], pairs.near[order]
    tracks = [kind for kind in (MASK, SWITCH, BROKEN) if kind in among]
    for level, threshold in enumerate(THRESHOLDS):
        kind = kinds[level, result]
        able = np.isin(kind, tracks) & same & near
        if NAME in among:
            able |= (kind == NAME) & ~same & (overlap >= threshold)
        able &= ~found[level, truth]
        done: set[int] = set()
        taken: set[int] = set()
        for d, g in zip(result[able].tolist(), truth[able].tolist(), strict=True):
            if d not in done and g not in taken:
                done.add(d)
                taken.add(g)
                regained[level, d] = g
    return regained
