"""A data set's results and what the matching says of each, as arrays: what explaining and its repairs work on.

Letters: D results, G truths, P pairs of a result and a truth, L overlap thresholds, K categories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovvis.evaluation.average_precision import THRESHOLDS, match

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TruthTable:
    """The truths of a data set (G,) each."""

    video: Ints  # id
    category: Ints  # index
    ignored: Bools  # need not be found
    reusable: Bools  # stays free when it is matched
    uncounted: Bools  # a result on it counts as wrong: `Rules.loses_id_zero`


@dataclass(frozen=True, slots=True)
class Judged:
    """Results that count, in the evaluator's order: by video, category and falling score, and their verdicts."""

    entry: Ints  # D; the result's number in the order of arrival
    category: Ints  # D; index
    score: Floats  # D
    matched: Ints  # L, D; the truth that the result has, -1 for none
    right: Bools  # L, D
    wrong: Bools  # L, D; a result that is neither is passed over
    found: Bools  # L, G; truths that a result has

    @property
    def rank(self) -> Ints:
        """Each result's place in the order of falling scores (D,); equal scores keep the evaluator's order."""
        place = np.empty(len(self.score), dtype=np.int64)
        place[np.argsort(-self.score, kind="stable")] = np.arange(len(place))
        return place


@dataclass(frozen=True, slots=True)
class Ranked:
    """Results that are looked at, in the evaluator's order (D,) each: see `Counting.order`."""

    entry: Ints  # the result's number in the order of arrival
    group: Ints  # a number for its video and category
    category: Ints  # index
    score: Floats
    excused: Bools  # cannot be wrong


def judge(ranked: Ranked, pairs: Ints, overlaps: Floats, truths: TruthTable) -> Judged:
    """Match results with truths as the evaluator does, for results and truths of any size.

    Args:
        ranked: the results.
        pairs: a result, by its number in the order of arrival, and a truth, of one video and category (P, 2).
        overlaps: their overlap (P,), in [0, 1].
        truths: what there is to find.
    """
    order = ranked.entry
    place = np.full(max(order.max(initial=-1), pairs[:, 0].max(initial=-1)) + 1, -1, dtype=np.int64)
    place[order] = np.arange(len(order))
    counted = place[pairs[:, 0]] >= 0
    placed = np.stack([place[pairs[counted, 0]], pairs[counted, 1]], axis=1)
    matched = match(ranked.group, placed, overlaps[counted], truths.ignored[None], truths.reusable)[0]

    has = matched >= 0
    # A last column stands for "no truth", which is what -1 points at.
    finds = has & ~np.append(truths.uncounted, False)[matched]
    passed = np.append(truths.ignored, False)[matched] | (~finds & ranked.excused)
    right = finds & ~passed
    found = np.zeros((len(THRESHOLDS), len(truths.video)), dtype=np.bool_)
    level, d = np.nonzero(has)
    found[level, matched[level, d]] = True
    return Judged(order, ranked.category, ranked.score, matched, right, ~right & ~passed, found)
