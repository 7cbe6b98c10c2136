"""Every error as one record, to look at one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovvis.evaluation.average_precision import THRESHOLDS
from ovvis.evaluation.error_types import BACKGROUND, BOTH, MISSED, NAME, NONE
from ovvis.evaluation.judged import Floats, Ints, Judged, TruthTable
from ovvis.evaluation.repairs import Errors

PairTable = NDArray[np.void]
"""Rows of `PAIR`: how a result and a truth of its video overlap. Only pairs that share pixels."""

PAIR: list[Any] = [("result", "i8"), ("truth", "i8"), ("overlap", "f8"), ("space", "f8"), ("time", "f8")]
PAIR += [("on", "i8"), ("lost", "i8"), ("switched", "i8"), ("near", "?"), ("cause", "i8")]


@dataclass(frozen=True, slots=True)
class ResultTable:
    """All results in the order of their arrival (N,) each."""

    video: Ints  # id
    category: Ints  # index
    score: Floats
    tube: Ints  # results of one tube have the same masks
    empty: NDArray[np.bool_]  # whether it has no pixel


@dataclass(frozen=True, slots=True)
class TrackError:
    """What is wrong with one result, or one truth that is missed."""

    kind: int  # into `KINDS`
    entry: int  # the result's number in the order of arrival, from 0; -1 for a missed truth
    truth: int  # index of the truth that the error is about; -1 for the background
    levels: tuple[bool, ...]  # L; the overlap thresholds at which this is so
    regains: bool  # whether its repair regains the truth at one of them; the others' makes the result vanish
    overlap: float = 0.0  # with that truth; for the background the largest with any; in [0, 1]
    space: float = 0.0  # `TrackOverlaps.space` and so on
    time: float = 0.0
    frames_on: int = 0
    frames_lost: int = 0
    frames_switched: int = 0


def list_errors(
    judged: Judged, errors: Errors, results: ResultTable, pairs: PairTable, truths: TruthTable
) -> tuple[TrackError, ...]:
    """Return the errors of results by video and entry, then the missed truths.

    The thresholds at which a result has the same error with the same truth make one record.

    Args:
        judged: the results that count.
        errors: what is wrong with them.
        results: all results.
        pairs: the pairs of all results and of truths that are to be found.
        truths: what there is to find.
    """
    count, bits = len(results.video), 1 << np.arange(len(THRESHOLDS))
    same = results.category[pairs["result"]] == truths.category[pairs["truth"]]
    own, other, any_ = (_best(pairs, kept, count) for kept in (same, ~same, np.ones_like(same)))
    level, d = np.nonzero(errors.kinds != NONE)
    kind, entry = errors.kinds[level, d], judged.entry[d]
    # The row of `pairs` that the error is about: that of the truth regained, or else that of the largest overlap.
    row = np.select([np.isin(kind, (NAME, BOTH)), kind == BACKGROUND], [other[entry], any_[entry]], own[entry])
    gained = errors.alone[level, d]
    row = np.where(gained >= 0, _rows_of(pairs, entry, gained), row)
    key = np.stack([results.video[entry], entry, kind, row], axis=1)
    unique, inverse = np.unique(key, axis=0, return_inverse=True)
    masks, regains = np.zeros(len(unique), dtype=np.int64), np.zeros(len(unique), dtype=np.bool_)
    np.bitwise_or.at(masks, inverse.reshape(-1), bits[level])
    np.logical_or.at(regains, inverse.reshape(-1), gained >= 0)
    out = []
    for (_, n, what, i), mask, regained in zip(unique.tolist(), masks, regains.tolist(), strict=True):
        levels = tuple(((mask & bits) > 0).tolist())
        if i < 0:
            out.append(TrackError(what, n, -1, levels, regained))
            continue
        _, truth, overlap, *measures = pairs[i].item()[:8]
        out.append(TrackError(what, n, -1 if what == BACKGROUND else truth, levels, regained, overlap, *measures))
    for g in np.flatnonzero(errors.missed.any(axis=0)).tolist():
        out.append(TrackError(MISSED, -1, g, tuple(errors.missed[:, g].tolist()), True))
    return tuple(out)


def best_scored_on(results: ResultTable, pairs: PairTable, truths: TruthTable) -> Ints:
    """Return for each truth the best-scored result that overlaps it by the least threshold, whatever its name (G,)."""
    best = np.full(len(truths.video), -1, dtype=np.int64)
    near = pairs[pairs["overlap"] >= THRESHOLDS[0]]
    order = np.lexsort((-near["result"], results.score[near["result"]]))
    best[near["truth"][order]] = near["result"][order]  # the last one written stays
    return best


def _best(pairs: PairTable, kept: NDArray[np.bool_], count: int) -> Ints:
    """Return for each result the row of `pairs` with the largest overlap among those kept, near ones first (N,)."""
    best = np.full(count, -1, dtype=np.int64)
    rows = np.flatnonzero(kept)
    rows = rows[np.lexsort((pairs["overlap"][rows], pairs["near"][rows]))]
    best[pairs["result"][rows]] = rows
    return best


def _rows_of(pairs: PairTable, result: Ints, truth: Ints) -> Ints:
    """Return the row of `pairs` that holds each result and truth; any row where there is none."""
    if not len(pairs):
        return np.full(len(result), -1, dtype=np.int64)
    width = int(max(pairs["truth"].max(), truth.max(initial=0))) + 2
    keys = pairs["result"] * width + pairs["truth"]
    order = np.argsort(keys)
    rows: Ints = order[np.minimum(np.searchsorted(keys[order], result * width + truth), len(keys) - 1)]
    return rows
