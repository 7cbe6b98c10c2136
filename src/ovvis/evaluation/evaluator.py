"""Gathers the results of a data set's videos and says how good they are."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ovvis.borders import BorderedMasks
from ovvis.errors import InputError
from ovvis.evaluation.average_precision import (
    AREA_NAMES,
    THRESHOLDS,
    Bools,
    Floats,
    Ints,
    average_precision,
    match,
    outside_areas,
    ranks,
    recall,
)
from ovvis.evaluation.counting import Counting, existing
from ovvis.evaluation.records import Category, Masks, ResultTrack, TruthTrack
from ovvis.evaluation.report import Report
from ovvis.evaluation.rules import LVVIS, Rules
from ovvis.evaluation.temporal_iou import Volume, same_size, size_of, temporal_iou, volume


@dataclass(frozen=True, slots=True)
class Compared:
    """Results as numbers: all that the figures are made of."""

    rows: tuple[tuple[int, int, float, float], ...]  # of each result: video id, category index, score, area
    pairs: tuple[tuple[int, int, float], ...]  # result, truth, overlap


class Evaluator:
    """Compares result tracks with the truth of a data set.

    Masks are compared as they come in and not kept: after `update` only numbers stay.

    Args:
        categories: the data set's categories; a result or truth of another is an error.
        truths: all true tracks of the data set.
        rules: how to count.
        videos: ids of the data set's videos, so that a result for another is an error; None: any will do.
        absent: for each video the categories that it surely does not hold; rules that are not federated do without.
        not_exhaustive: for each video the categories of which not all instances are annotated; as `absent`.

    Raises:
        InputError: a category stands twice, a truth names a category that is not listed, or the rules are federated
            and `absent` or `not_exhaustive` is not given.
    """

    def __init__(
        self,
        categories: Sequence[Category],
        truths: Iterable[TruthTrack],
        rules: Rules = LVVIS,
        videos: Iterable[int] | None = None,
        absent: Mapping[int, Collection[int]] | None = None,
        not_exhaustive: Mapping[int, Collection[int]] | None = None,
    ) -> None:
        self._categories = tuple(categories)
        self._rules = rules
        self._videos = None if videos is None else frozenset(videos)
        self._index = {category.id: k for k, category in enumerate(self._categories)}
        if len(self._index) < len(self._categories):
            raise InputError("two categories share an id; give each its own")
        self._truths = existing(truths, rules)
        self.counting = Counting(self._truths, self._index, rules, absent, not_exhaustive)
        self._truths_of: dict[tuple[int, int], list[int]] = defaultdict(list)
        for g, truth in enumerate(self._truths):
            self._check(truth, "truth")
            self._truths_of[truth.video_id, truth.category_id].append(g)
        self._named = {truth.category_id for truth in self._truths}
        self._sizes_of: dict[int, set[tuple[int, int] | None]] = defaultdict(set)  # of the truths of each video
        self._rows: list[tuple[int, int, float, float]] = []  # of each result: video id, category index, score, area
        self._pairs: list[tuple[int, int, float]] = []  # result, truth, overlap

    def update(self, results: Iterable[ResultTrack]) -> None:
        """Take results: of one video, of several, or a part of one. Among equal scores the first to come leads.

        Raises:
            InputError: a score is not finite, a category or video is not in the data set, or a mask has another
                size than the truth's.
        """
        self.take(self.compare(results))

    def compare(self, results: Iterable[ResultTrack]) -> Compared:
        """Return what `update` keeps of results, and keep nothing: for a program that stores it and goes on later.

        Raises:
            InputError: see `update`.
        """
        tracks = list(results)
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for n, track in enumerate(tracks):
            self._check(track, "result")
            if not math.isfinite(track.score):
                raise InputError(f"video {track.video_id}: score {track.score} is not finite; write a number")
            groups[track.video_id, track.category_id].append(n)
        self._check_sizes(tracks)
        videos: dict[int, dict[int, list[int]]] = defaultdict(dict)
        for (video, kind), members in groups.items():
            # A result without a truth to match matters by its size, unless its category has no truths at all.
            sized = self._rules.area_is_measured and kind in self._named
            if (sized or (video, kind) in self._truths_of) and self.counting.is_judged(video, self._index[kind]):
                # The others will never count: there are enough better ones already.
                videos[video][kind] = sorted(members, key=lambda n: -tracks[n].score)[: self._rules.limits[-1]]
        sizes, pairs = [0.0] * len(tracks), []
        for video, kinds in videos.items():
            try:
                pairs += self._compare(video, kinds, tracks, sizes)
            except InputError as error:
                raise InputError(f"video {video}: {error}") from error
        rows = [
            (track.video_id, self._index[track.category_id], track.score, size)
            for track, size in zip(tracks, sizes, strict=True)
        ]
        return Compared(tuple(rows), tuple(pairs))

    def take(self, compared: Compared) -> None:
        """Take results that `compare` of an evaluator with the same categories, truths and rules has compared."""
        start = len(self._rows)
        self._pairs += [(start + n, g, overlap) for n, g, overlap in compared.pairs]
        self._rows += compared.rows

    def report(self) -> Report:
        """Return the figures of all results so far."""
        table = np.array(self._rows, dtype=np.float64).reshape(-1, 4)
        video, category = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
        order, groups = self.counting.order(video, category, table[:, 2], table[:, 3] <= 0)
        rank, excused = ranks(groups), self.counting.excused(video, category)[order]
        category, score, area = category[order], table[order, 2], table[order, 3]

        ignored = self.counting.ignored
        right, passed = self._judge(order, groups, area, excused)
        kinds = np.array([self._index[truth.category_id] for truth in self._truths], dtype=np.int64)
        sizes, limits = (len(self._categories), len(AREA_NAMES), len(THRESHOLDS)), self._rules.limits
        precisions, recalls = np.full(sizes, -1.0), np.full((*sizes, len(limits)), -1.0)
        by_score = np.lexsort((-score, category))
        starts = np.searchsorted(category[by_score], np.arange(len(self._categories) + 1))
        for k in np.unique(kinds):
            mine = by_score[starts[k] : starts[k + 1]]
            positives = np.repeat((~ignored[:, kinds == k]).sum(axis=1), len(THRESHOLDS))
            hit = right[:, :, mine].reshape(len(positives), -1)
            miss = ~(hit | passed[:, :, mine].reshape(len(positives), -1))
            precisions[k] = average_precision(hit, miss, positives).reshape(sizes[1:])
            recalls[k] = recall(hit, rank[mine], positives, limits).reshape(*sizes[1:], len(limits))
        return Report(self._rules.name, self._categories, precisions, recalls, limits, self._rules.is_federated)

    def _check_sizes(self, tracks: Sequence[ResultTrack]) -> None:
        if not self._sizes_of:
            for truth in self._truths:
                self._sizes_of[truth.video_id].add(size_of(truth.masks))
        found: dict[int, set[tuple[int, int] | None]] = defaultdict(set)
        for track in tracks:
            try:
                found[track.video_id].add(size_of(track.masks))
                same_size(found[track.video_id] | self._sizes_of.get(track.video_id, set()))
            except InputError as error:
                raise InputError(f"video {track.video_id}: {error}") from error

    def _check(self, track: TruthTrack | ResultTrack, what: str) -> None:
        if track.category_id not in self._index:
            raise InputError(
                f"video {track.video_id}: category id {track.category_id} of a {what} is not one of the "
                f"{len(self._index)} of the data set; number the labels as its file does"
            )
        if self._videos is not None and track.video_id not in self._videos:
            raise InputError(f"video {track.video_id} of a {what} is not in the data set; is it of another split?")

    def _compare(
        self, video: int, kinds: dict[int, list[int]], tracks: list[ResultTrack], sizes: list[float]
    ) -> list[tuple[int, int, float]]:
        """Return result, truth and overlap of the pairs of a video that may match; set the results' sizes.

        Args:
            video: its id.
            kinds: for each category the indices of its results.
            tracks: all results.
            sizes: of each result; set for those of `kinds`.
        """
        volumes: dict[object, Volume] = {}  # models give one tube under several labels
        pairs = []
        for kind, members in kinds.items():
            found = []
            for n in members:
                key = _key(tracks[n].masks)
                if key not in volumes:
                    volumes[key] = volume(tracks[n].masks)
                found.append(volumes[key])
                if self._rules.area_is_measured:
                    sizes[n] = found[-1].mean_area
            indices = self._truths_of.get((video, kind), [])
            if not indices:
                continue
            truths = [self._truths[g] for g in indices]
            overlaps = temporal_iou(
                found,
                [volume(truth.masks) for truth in truths],
                [truth.is_crowd and self._rules.crowd_over_result for truth in truths],
                at_least=float(THRESHOLDS[0]),
            )
            pairs += [(members[i], indices[j], float(overlaps[i, j])) for i, j in np.argwhere(overlaps)]
        return pairs

    def _judge(self, order: Ints, groups: Ints, area: Floats, excused: Bools) -> tuple[Bools, Bools]:
        """Return the results that are right and those that are passed over, (A, L, D) each."""
        place = np.full(len(self._rows), -1, dtype=np.int64)
        place[order] = np.arange(len(order))
        pairs = np.array([(place[d], g) for d, g, _ in self._pairs], dtype=np.int64).reshape(-1, 2)
        overlaps = np.array([overlap for _, _, overlap in self._pairs], dtype=np.float64)
        kept = pairs[:, 0] >= 0
        ignored = self.counting.ignored
        matched = match(groups, pairs[kept], overlaps[kept], ignored, self.counting.reusable)

        # A last column stands for "no truth", which is what -1 points at.
        lost = np.append(self.counting.uncounted, True)
        found = ~lost[matched]
        on_ignored = np.pad(ignored, ((0, 0), (0, 1)))[np.arange(len(AREA_NAMES))[:, None, None], matched]
        outside = outside_areas(area, self._rules.area_edges)[:, None]
        passed = on_ignored | (~found & (outside | excused))
        return found & ~passed, passed


def _key(masks: Masks) -> object:
    """Return what two results share if they share their masks; for those from files it is the object."""
    return id(masks) if isinstance(masks, BorderedMasks) else tuple(mask and mask["counts"] for mask in masks)
