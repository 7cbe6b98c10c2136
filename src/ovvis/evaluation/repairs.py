"""What AP would be if one kind of error, or the errors of one video, were repaired.

A repaired error that regains a truth is a right result with the score that it had, in the truth's category; another
is gone. A missed truth leaves the truths to be found, and a category left with none leaves the mean. Letters as in
`judged`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ovvis.evaluation.average_precision import THRESHOLDS, average_precision
from ovvis.evaluation.error_types import KINDS, MISSED, NAME, NONE
from ovvis.evaluation.judged import Bools, Floats, Ints, Judged, TruthTable

SPECIAL = ("no wrong result", "no truth missed", "everything")
"""Repairs besides those of a kind: all wrong results gone; no truth that is not found; all errors repaired."""

REPAIRS = (*KINDS, *SPECIAL)

CELLS = 20_000_000  # verdicts held at once while videos are repaired one by one


@dataclass(frozen=True, slots=True)
class Errors:
    """The errors of a data set and what their repair regains."""

    kinds: Ints  # L, D; kind of each result's error, `NONE` where it is not wrong
    alone: Ints  # L, D; truth regained when the errors of that kind are repaired, -1 for none
    together: Ints  # L, D; truth regained when all are
    missed: Bools  # L, G; truths to be found that no result has and no repair regains


@dataclass(frozen=True, slots=True)
class _Rows:
    """What can stand in the ranking of one category, the best score first (L, R): its results, results that a
    repair brings into it, and its missed truths."""  # noqa: D205, D209

    right: Bools
    wrong: Bools
    kind: Ints  # of the error; `NONE` where there is none
    alone: Bools  # right once its kind is repaired
    together: Bools  # right once all is repaired
    unfound: Bools  # stands for a truth that no result has
    video: Ints  # R; id
    positives: int  # truths to be found


def precisions(judged: Judged, truths: TruthTable, categories: int) -> Floats:
    """Return the AP of each category at each threshold (K, L); -1 where there is no truth to be found."""
    out = np.full((categories, len(THRESHOLDS)), -1.0)
    positives = np.bincount(truths.category[~truths.ignored], minlength=categories)
    order = np.lexsort((-judged.score, judged.category))
    starts = np.searchsorted(judged.category[order], np.arange(categories + 1))
    for k in np.flatnonzero(positives):
        mine = order[starts[k] : starts[k + 1]]
        counts = np.repeat(positives[k], len(THRESHOLDS))
        out[k] = average_precision(judged.right[:, mine], judged.wrong[:, mine], counts)
    return out


def repaired_precisions(judged: Judged, errors: Errors, truths: TruthTable, videos: Ints, categories: int) -> Floats:
    """Return the AP of each category after each of `REPAIRS` alone, at each threshold, (K, E, L).

    Args:
        judged: the results.
        errors: their errors.
        truths: what there is to find.
        videos: id of each result's video (D,).
        categories: number of categories K.

    Returns:
        AP in [0, 1], never below that without repair; -1 where there is no truth to be found, or none is left.
    """
    out = np.full((categories, len(REPAIRS), len(THRESHOLDS)), -1.0)
    for k, rows in _rankings(judged, errors, truths, videos, categories):
        repaired = rows.kind == np.arange(len(KINDS))[:, None, None]
        repaired[MISSED] = False
        right, wrong = rows.right | (rows.alone & repaired), rows.wrong & ~repaired
        nothing = np.zeros_like(rows.right)
        rights = [right, rows.right[None], rows.right[None], (rows.right | rows.together)[None]]
        wrongs = [wrong, nothing[None], rows.wrong[None], nothing[None]]
        positives = np.full((len(REPAIRS), len(THRESHOLDS)), rows.positives)
        positives[MISSED] -= (rows.kind == MISSED).sum(axis=1)
        positives[REPAIRS.index("no truth missed")] -= rows.unfound.sum(axis=1)
        out[k] = _averages(np.concatenate(rights), np.concatenate(wrongs), positives)
    return out


def regained_by_video(
    judged: Judged, errors: Errors, truths: TruthTable, videos: Ints, categories: int, chosen: Ints
) -> Floats:
    """Return how much AP, the mean over thresholds and categories with truths, each video alone takes.

    Args:
        judged: the results.
        errors: their errors.
        truths: what there is to find.
        videos: id of each result's video (D,).
        categories: number of categories K.
        chosen: ids of the videos asked for, ascending (V,).

    Returns:
        The gain in AP once all errors of the video, and of it alone, are repaired (V,), 0 or more. Its missed truths
        get results that are ranked first: taken away, they could leave a category of few truths with none.
    """
    gains = np.zeros(len(chosen))
    named = 0
    for _, rows in _rankings(judged, errors, truths, videos, categories):
        named += 1
        base = _averages(rows.right[None], rows.wrong[None], np.array(rows.positives))[0].mean()
        affected = np.intersect1d(np.unique(rows.video[(rows.kind != NONE).any(axis=0)]), chosen)
        step = max(CELLS // max(rows.kind.size, 1), 1)
        for start in range(0, len(affected), step):
            some = affected[start : start + step]
            repaired = rows.video == some[:, None, None]
            right, wrong = rows.right | (rows.together & repaired), rows.wrong & ~repaired
            better = _averages(right, wrong, np.array(rows.positives)).mean(axis=1)
            gains[np.searchsorted(chosen, some)] += better - base
    return gains / max(named, 1)


def _averages(right: Bools, wrong: Bools, positives: Ints) -> Floats:
    """Return AP for settings and thresholds (S, L) from verdicts (S, L, R) and truths to be found (S, L) or one."""
    settings, levels, length = right.shape
    counts = np.broadcast_to(positives, (settings, levels)).reshape(-1)
    return average_precision(right.reshape(-1, length), wrong.reshape(-1, length), counts).reshape(settings, levels)


def _rankings(
    judged: Judged, errors: Errors, truths: TruthTable, videos: Ints, categories: int
) -> Iterator[tuple[int, _Rows]]:
    """Yield each category that has truths to be found, and its ranking."""
    found = judged.found
    wanted = ~truths.ignored
    positives = np.bincount(truths.category[wanted], minlength=categories)
    # A result comes into the category of each truth that it regains under another name, once for each category.
    renamed = errors.kinds == NAME
    come: list[set[int]] = [set() for _ in range(categories)]
    for regained in (errors.alone, errors.together):
        level, d = np.nonzero(renamed & (regained >= 0))
        pairs = np.unique(np.stack([truths.category[regained[level, d]], d], axis=1), axis=0)
        for k, result in pairs.tolist():
            come[k].add(result)
    results_of = _members(judged.category, categories)
    truths_of = _members(np.where(wanted, truths.category, categories), categories)
    for k in np.flatnonzero(positives).tolist():
        own, guests = results_of[k], np.array(sorted(come[k]), dtype=np.int64)
        lost = truths_of[k][~found[:, truths_of[k]].all(axis=0)]
        alone, together = _lands(errors.alone, own, guests, k, truths), _lands(errors.together, own, guests, k, truths)
        both, guest = np.concatenate([own, guests]), np.zeros((len(THRESHOLDS), len(guests)), dtype=np.bool_)
        kind = errors.kinds[:, both]
        # A guest is another kind's error only where it stands: in its own category.
        kind[:, len(own) :] = np.where(renamed[:, guests], NAME, NONE)
        missed = errors.missed[:, lost]
        none = np.zeros_like(missed)
        columns = {
            "right": [judged.right[:, own], guest, none],
            "wrong": [judged.wrong[:, own], guest, none],
            "kind": [kind, np.where(missed, MISSED, NONE)],
            "alone": [alone, missed],
            "together": [together, missed],
            "unfound": [np.zeros_like(kind, dtype=np.bool_), ~found[:, lost]],
        }
        # Missed truths lead; equal scores keep the evaluator's order.
        score = np.concatenate([judged.score[both], np.full(len(lost), np.inf)])
        number = np.concatenate([both, np.arange(len(lost))])
        order = np.lexsort((number, -score))
        video = np.concatenate([videos[both], truths.video[lost]])[order]
        arrays = {name: np.concatenate(parts, axis=1)[:, order] for name, parts in columns.items()}
        yield k, _Rows(**arrays, video=video, positives=int(positives[k]))


def _lands(regained: Ints, own: Ints, guests: Ints, category: int, truths: TruthTable) -> Bools:
    """Return where results regain a truth of a category (L, R), its own results first, then its guests."""
    target = regained[:, np.concatenate([own, guests])]
    in_category: Bools = (target >= 0) & (np.append(truths.category, -1)[target] == category)
    return in_category


def _members(group: Ints, groups: int) -> list[Ints]:
    """Return the indices of each group's members, ascending."""
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(groups + 1))
    return [order[starts[k] : starts[k + 1]] for k in range(groups)]
