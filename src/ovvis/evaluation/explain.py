"""Says what AP is lost to: gathers the results of a data set's videos and explains every error."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovvis.errors import InputError
from ovvis.evaluation.counting import existing
from ovvis.evaluation.error_list import PAIR, PairTable, ResultTable, best_scored_on, list_errors
from ovvis.evaluation.error_types import (
    BROKEN,
    FINDS_TRUTH,
    MASK,
    SWITCH,
    Pairs,
    kinds_of_error,
    truths_regained,
)
from ovvis.evaluation.evaluator import Evaluator
from ovvis.evaluation.explanation import Explanation
from ovvis.evaluation.judged import Bools, Floats, Ints, Judged, Ranked, TruthTable, judge
from ovvis.evaluation.records import Category, ResultTrack, TruthTrack
from ovvis.evaluation.repairs import Errors, precisions, regained_by_video, repaired_precisions
from ovvis.evaluation.report import Report
from ovvis.evaluation.rules import LVVIS, Rules
from ovvis.evaluation.temporal_iou import Volume, volume
from ovvis.evaluation.track_overlap import track_overlaps


class Explainer:
    """Compares result tracks with the truths of their video, whatever their names, and explains what goes wrong.

    Takes the same as `Evaluator`, in the same way, and gives its `Report` too. Masks are not kept.

    Args:
        categories: the data set's categories.
        truths: all true tracks of the data set.
        rules: how to count.
        videos: ids of the data set's videos; None: any will do.
        absent: as `Evaluator`'s.
        not_exhaustive: as `Evaluator`'s.

    Raises:
        InputError: as `Evaluator`.
    """

    def __init__(
        self,
        categories: Sequence[Category],
        truths: Iterable[TruthTrack],
        rules: Rules = LVVIS,
        videos: Collection[int] | None = None,
        absent: Mapping[int, Collection[int]] | None = None,
        not_exhaustive: Mapping[int, Collection[int]] | None = None,
    ) -> None:
        self._truths = existing(truths, rules)
        self._evaluator = Evaluator(categories, self._truths, rules, videos, absent, not_exhaustive)
        self._categories, self._rules = tuple(categories), rules
        self._index = {category.id: k for k, category in enumerate(self._categories)}
        self._truths_of: dict[int, list[int]] = defaultdict(list)
        for g, truth in enumerate(self._truths):
            self._truths_of[truth.video_id].append(g)
        # Of each result: video id, category index, score, tube, whether it has no pixel.
        self._rows: list[tuple[int, int, float, int, bool]] = []
        self._tubes: dict[tuple[int, int], int] = {}  # video and hash of the masks -> number of the tube
        self._pairs: list[PairTable] = [np.zeros(0, dtype=PAIR)]

    def update(self, results: Iterable[ResultTrack]) -> None:
        """Take results, as `Evaluator.update`.

        Raises:
            InputError: as `Evaluator.update`.
        """
        tracks = list(results)
        self._evaluator.update(tracks)
        videos: dict[int, list[int]] = defaultdict(list)
        for n, track in enumerate(tracks):
            videos[track.video_id].append(n)
        start, rows = len(self._rows), [(0, 0, 0.0, 0, True)] * len(tracks)
        for video, members in videos.items():
            # Models give one tube under several labels: it is measured once.
            shapes: dict[tuple[bytes | None, ...], int] = {}
            places = []
            for n in members:
                code = tuple(mask["counts"] if mask else None for mask in tracks[n].masks)
                places.append(shapes.setdefault(code, len(shapes)))
                tube = self._tubes.setdefault((video, hash(code)), len(self._tubes))
                rows[n] = (video, self._index[tracks[n].category_id], tracks[n].score, tube, True)
            first = [members[places.index(place)] for place in range(len(shapes))]
            volumes = [volume(tracks[n].masks) for n in first]
            for n, place in zip(members, places, strict=True):
                rows[n] = (*rows[n][:4], not volumes[place].areas.any())
            try:
                self._compare(volumes, self._truths_of.get(video, []), np.array(members) + start, np.array(places))
            except InputError as error:
                raise InputError(f"video {video}: {error}") from error
        self._rows += rows

    def _compare(self, shapes: list[Volume], truths: list[int], entries: Ints, shape_of: Ints) -> None:
        """Keep the measures of the pairs that share anything."""
        if not truths:
            return
        found = track_overlaps(
            shapes,
            [volume(self._truths[g].masks) for g in truths],
            [self._truths[g].is_crowd and self._rules.crowd_over_result for g in truths],
        )
        cause = np.where(found.lost_in_time, np.where(found.switched, SWITCH, BROKEN), MASK)
        n, j = np.nonzero(found.overlap[shape_of] > 0)
        shape = shape_of[n]
        rows = np.zeros(len(n), dtype=PAIR)
        rows["result"], rows["truth"] = entries[n], np.array(truths)[j]
        columns: dict[str, NDArray[Any]] = {
            "overlap": found.overlap,
            "space": found.space,
            "time": found.time,
            "on": found.frames_on,
        }
        columns |= {"lost": found.frames_lost, "switched": found.frames_switched, "near": found.near, "cause": cause}
        for name, values in columns.items():
            rows[name] = values[shape, j]
        self._pairs.append(rows)

    def report(self) -> Report:
        """Return the figures of all results so far, as `Evaluator.report`."""
        return self._evaluator.report()

    def explain(self) -> Explanation:
        """Return what the results so far lose, and to what."""
        table = np.array(self._rows, dtype=np.float64).reshape(-1, 5)
        video, category, tube = (table[:, i].astype(np.int64) for i in (0, 1, 3))
        results = ResultTable(video, category, table[:, 2], tube, table[:, 4] > 0)
        truths, count = self._truth_table(), len(self._index)
        every = np.concatenate(self._pairs)
        judged = self._judge(results, every, truths)
        pairs = every[~truths.ignored[every["truth"]]]  # what need not be found explains nothing
        errors = self._find_errors(judged, results, pairs, truths)
        videos, where = np.union1d(truths.video, video), video[judged.entry]
        best = _best_truths(results, pairs, truths)
        oracles = [
            self._oracle(results, every, best, truths, names=names, masks=masks)
            for names, masks in ((True, False), (False, True), (True, True))
        ]
        right = np.zeros((len(judged.right), len(video)), dtype=np.bool_)
        right[:, judged.entry] = judged.right
        return Explanation(
            report=self.report(),
            results=results,
            truths=truths,
            truth_ids=np.array([truth.id for truth in self._truths], dtype=np.int64),
            precisions=precisions(judged, truths, count),
            repaired=repaired_precisions(judged, errors, truths, where, count),
            oracles=np.stack(oracles, axis=1),
            videos=videos,
            video_losses=regained_by_video(judged, errors, truths, where, count, videos),
            errors=list_errors(judged, errors, results, pairs, truths),
            right=right,
            found=judged.found,
            best_on=best_scored_on(results, pairs, truths),
        )

    def _truth_table(self) -> TruthTable:
        truths, counting = self._truths, self._evaluator.counting
        return TruthTable(
            video=np.array([truth.video_id for truth in truths], dtype=np.int64),
            category=np.array([self._index[truth.category_id] for truth in truths], dtype=np.int64),
            ignored=counting.ignored[0],  # of tracks of any size
            reusable=counting.reusable,
            uncounted=counting.uncounted,
        )

    def _judge(self, results: ResultTable, pairs: PairTable, truths: TruthTable) -> Judged:
        same = pairs[results.category[pairs["result"]] == truths.category[pairs["truth"]]]
        numbers = np.stack([same["result"], same["truth"]], axis=1)
        counting = self._evaluator.counting
        order, groups = counting.order(results.video, results.category, results.score, results.empty)
        excused = counting.excused(results.video, results.category)[order]
        ranked = Ranked(order, groups, results.category[order], results.score[order], excused)
        return judge(ranked, numbers, same["overlap"], truths)

    def _find_errors(self, judged: Judged, results: ResultTable, pairs: PairTable, truths: TruthTable) -> Errors:
        place = np.full(len(results.video), -1, dtype=np.int64)
        place[judged.entry] = np.arange(len(judged.entry))
        counted = pairs[place[pairs["result"]] >= 0]
        same = results.category[counted["result"]] == truths.category[counted["truth"]]
        shown = [counted[name] for name in ("truth", "overlap", "near", "cause")]
        truth, overlap, near, cause = shown
        return find_errors(judged, Pairs(place[counted["result"]], truth, overlap, same, near, cause), truths)

    def _oracle(
        self, results: ResultTable, pairs: PairTable, best: Ints, truths: TruthTable, names: bool, masks: bool
    ) -> Floats:
        """Return AP (K, L) if each result had the name, the masks, or both, of its best truth (N)."""
        has, count = best >= 0, len(self._categories)
        truth_names = np.append(truths.category, -1)
        named = np.where(has, truth_names[best], results.category) if names else results.category
        shape = np.where(has, -1 - best, results.tube) if masks else results.tube
        # Of results that are now the same, name and masks, the best-scored stays.
        order = np.lexsort((-results.score, shape, named, results.video))
        keys = np.stack([results.video, named, shape], axis=1)[order]
        first = np.ones(len(order), dtype=np.bool_)
        first[1:] = (keys[1:] != keys[:-1]).any(axis=1)
        kept = np.sort(order[first])
        if masks:  # on the truth wholly, and on no other
            pairs = pairs[~has[pairs["result"]] | (pairs["truth"] == best[pairs["result"]])]
            pairs["overlap"][has[pairs["result"]]] = 1.0
        number = np.full(len(has), -1, dtype=np.int64)
        number[kept] = np.arange(len(kept))
        pairs = pairs[number[pairs["result"]] >= 0]
        pairs["result"] = number[pairs["result"]]
        changed = ResultTable(
            results.video[kept], named[kept], results.score[kept], results.tube[kept], results.empty[kept]
        )
        return precisions(self._judge(changed, pairs, truths), truths, count)


def find_errors(judged: Judged, pairs: Pairs, truths: TruthTable) -> Errors:
    """Return the kind of every error and the truths that its repair regains.

    Args:
        judged: the results.
        pairs: how they overlap the truths that are to be found; results are numbered as in `judged`.
        truths: what there is to find.
    """
    kinds = kinds_of_error(judged.wrong, judged.matched < 0, pairs)
    rank, alone = judged.rank, np.full(kinds.shape, -1, dtype=np.int64)
    for kind in FINDS_TRUTH:
        alone = np.maximum(alone, truths_regained(kinds, judged.matched, judged.found, rank, pairs, [kind]))
    together = truths_regained(kinds, judged.matched, judged.found, rank, pairs, FINDS_TRUTH)
    missed: Bools = ~judged.found & ~truths.ignored
    level, d = np.nonzero(together >= 0)
    missed[level, together[level, d]] = False
    return Errors(kinds, alone, together, missed)


def _best_truths(results: ResultTable, pairs: PairTable, truths: TruthTable) -> Ints:
    """Return for each result the near truth that it overlaps most, one of its name before others; -1 for none (N,)."""
    best = np.full(len(results.video), -1, dtype=np.int64)
    near = pairs[pairs["near"]]
    same = results.category[near["result"]] == truths.category[near["truth"]]
    order = np.lexsort((-near["truth"], same, near["overlap"]))
    best[near["result"][order]] = near["truth"][order]  # the last one written stays
    return best
