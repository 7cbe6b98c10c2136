"""HOTA of tracks, class by class, for BURST's class-guided task.

The measure: J. Luiten et al., "HOTA: A higher order metric for evaluating multi-object tracking", IJCV 2021. Of BURST
(A. Athar et al., WACV 2023) come the rules about what is not annotated, and the mean over categories. Masks are
compared, as the papers mean it, or else boxes, as the program does that BURST's authors released (`RELEASED`).
Letters: T frames, N truths, M results, A overlap thresholds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ovvis.errors import InputError, nearest
from ovvis.evaluation.burst_categories import BurstCategories
from ovvis.evaluation.frame_overlap import are_there, by_boxes, by_masks
from ovvis.evaluation.records import Category, ResultTrack, TruthTrack
from ovvis.evaluation.temporal_iou import same_size, size_of, volume
from ovvis.evaluation.track_overlap import frame_areas

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

LEVELS: Floats = np.arange(0.05, 0.99, 0.05)  # A; least overlap of a match in a frame
FIGURES = ("HOTA", "DetA", "AssA", "LocA", "DetRe", "DetPr", "AssRe", "AssPr")
MOST_MASKS = 300  # of one frame that count, the best scores first
MASKS, RELEASED = "masks", "released"
HOTA_RULES = {
    MASKS: "masks are compared; a mask without a pixel is none; every frame counts",
    RELEASED: "as BURST's authors released it: boxes are compared, not masks; a code without a pixel is a mask too; "
    "frames without any truth do not count; BURST's distractors are left out, its merged categories are one",
}
"""What each way of counting is."""
_TINY = np.finfo(np.float64).eps


def _zeros() -> Floats:
    return np.zeros(len(LEVELS))


@dataclass(slots=True)
class Counts:
    """What is counted of a category, each at every level (A)."""

    right: Floats = field(default_factory=_zeros)  # masks matched
    missed: Floats = field(default_factory=_zeros)
    wrong: Floats = field(default_factory=_zeros)
    overlap: Floats = field(default_factory=_zeros)  # sum over the matched masks
    association: Floats = field(default_factory=_zeros)  # sum over the matched masks, as the next two
    association_recall: Floats = field(default_factory=_zeros)
    association_precision: Floats = field(default_factory=_zeros)

    def add(self, other: Counts) -> None:
        """Add the counts of another video."""
        for name in self.__slots__:
            getattr(self, name).__iadd__(getattr(other, name))

    def figures(self) -> dict[str, float]:
        """Return `FIGURES`, each the mean over the levels, in [0, 1]."""
        found = np.maximum(1, self.right)
        detection = self.right / np.maximum(1, self.right + self.missed + self.wrong)
        association = self.association / found
        by_level = {
            "HOTA": np.sqrt(detection * association),
            "DetA": detection,
            "AssA": association,
            "LocA": np.maximum(1e-10, self.overlap) / np.maximum(1e-10, self.right),
            "DetRe": self.right / np.maximum(1, self.right + self.missed),
            "DetPr": self.right / np.maximum(1, self.right + self.wrong),
            "AssRe": self.association_recall / found,
            "AssPr": self.association_precision / found,
        }
        return {name: float(values.mean()) for name, values in by_level.items()}


def count(overlaps: Floats, truths: Bools, results: Bools) -> Counts:
    """Match the results of a video and a category with its truths, frame by frame, and count.

    Pairs are matched so that the sum of overlap times the tracks' alignment over the whole video is largest.

    Args:
        overlaps: of each pair in each frame (T, N, M), in [0, 1]; 0 where one of them is absent.
        truths: where each truth is seen (T, N).
        results: where each result is seen (T, M).

    >>> seen = np.ones((2, 1), dtype=bool)
    >>> counts = count(np.full((2, 1, 1), 0.72), seen, seen)
    >>> int(counts.right.sum()), int(counts.missed.sum()), round(counts.figures()["HOTA"], 3)
    (28, 10, 0.737)
    """
    frames = [(np.flatnonzero(seen), np.flatnonzero(found)) for seen, found in zip(truths, results, strict=True)]
    shares = np.zeros(overlaps.shape[1:])  # N, M
    for overlap, (rows, columns) in zip(overlaps, frames, strict=True):
        # Only what is there is added up, frame by frame, as TrackEval does: so sums, and ties, are the same to a bit.
        here = overlap[np.ix_(rows, columns)]
        joint = here.sum(axis=0)[None] + here.sum(axis=1)[:, None] - here
        shares[np.ix_(rows, columns)] += np.divide(here, joint, out=np.zeros_like(here), where=joint > _TINY)
    lengths, own = truths.sum(axis=0)[:, None], results.sum(axis=0)[None, :]
    together = lengths + own - shares
    alignment = np.divide(shares, together, out=np.zeros_like(shares), where=together > 0)
    matched = [np.zeros((0, 2), dtype=np.int64)]
    values = [np.zeros(0)]
    for overlap, (rows, columns) in zip(overlaps, frames, strict=True):
        here = overlap[np.ix_(rows, columns)]
        i, j = linear_sum_assignment(-alignment[np.ix_(rows, columns)] * here)
        matched.append(np.stack([rows[i], columns[j]], axis=1))
        values.append(here[i, j])
    pairs, value = np.concatenate(matched), np.concatenate(values)
    close = value >= LEVELS[:, None] - _TINY  # A, number of pairs
    level, pair = np.nonzero(close)
    times = np.zeros((len(LEVELS), *shares.shape))  # A, N, M; frames in which a pair is matched
    np.add.at(times, (level, pairs[pair, 0], pairs[pair, 1]), 1)
    right = close.sum(axis=1).astype(np.float64)
    return Counts(
        right=right,
        missed=truths.sum() - right,
        wrong=results.sum() - right,
        overlap=(close * value).sum(axis=1),
        association=(times * times / np.maximum(1, lengths + own - times)).sum(axis=(1, 2)),
        association_recall=(times * times / np.maximum(1, lengths)).sum(axis=(1, 2)),
        association_precision=(times * times / np.maximum(1, own)).sum(axis=(1, 2)),
    )


def without_unjudged(overlaps: Floats, truths: Bools, results: Bools, absent: bool, exhaustive: bool) -> Bools:
    """Return the results (T, M) less those masks of which nobody can say whether they are wrong.

    A mask that matches no truth by half is passed over in a frame that has no truth of the category, unless the
    video is known not to hold the category; and everywhere if not all of the category's instances are annotated.

    Args:
        overlaps: of each pair in each frame (T, N, M).
        truths: where each truth is seen (T, N).
        results: where each result is seen (T, M).
        absent: the video is known not to hold the category.
        exhaustive: all instances are annotated.
    """
    kept = results.copy()
    for t in range(len(results)):
        rows, columns = np.flatnonzero(truths[t]), np.flatnonzero(results[t])
        if exhaustive and (len(rows) or absent):
            continue
        here = overlaps[t][np.ix_(rows, columns)]
        here = np.where(here < 0.5 - _TINY, 0, here)
        i, j = linear_sum_assignment(-here)
        kept[t] = False
        kept[t, columns[j[here[i, j] > _TINY]]] = True
    return kept


class HotaEvaluator:
    """Gathers the results of a dataset's videos and gives their HOTA.

    Args:
        categories: the dataset's; those of which a truth has a mask count.
        truths: all true tracks.
        absent: for each video the categories that it is known not to hold.
        not_exhaustive: for each video the categories of which not all instances are annotated.
        min_score: results below it are left out.
        rules: one of `HOTA_RULES`.

    Raises:
        InputError: there are no such rules.
    """

    def __init__(
        self,
        categories: Sequence[Category],
        truths: Iterable[TruthTrack],
        absent: Mapping[int, Collection[int]] | None = None,
        not_exhaustive: Mapping[int, Collection[int]] | None = None,
        min_score: float = float("-inf"),
        rules: str = MASKS,
    ) -> None:
        if rules not in HOTA_RULES:
            raise InputError(f"HOTA's rules {rules!r} are not known; {nearest(rules, HOTA_RULES)}")
        self.rules = rules
        self._categories = tuple(categories)
        self._released = BurstCategories(categories) if rules == RELEASED else None
        self.left_out: Counter[str] = Counter()
        """What the rules leave out, and how often."""
        self._truths: dict[int, list[TruthTrack]] = defaultdict(list)
        for truth in truths:
            if self._released and truth.category_id in self._released.distractors:
                self.left_out["true tracks of BURST's distractor categories are left out of HOTA"] += 1
            else:
                self._truths[truth.video_id].append(truth)
        kinds = {self._kind(truth) for tracks in self._truths.values() for truth in tracks}
        self._counts = {category.id: Counts() for category in self._categories if category.id in kinds}
        self._named: set[int] = set()  # categories of which a truth has a mask
        self._absent, self._partial = absent or {}, not_exhaustive or {}
        self._min_score = min_score
        self._seen: set[int] = set()

    def update(self, results: Iterable[ResultTrack]) -> None:
        """Take all results of one or several videos.

        Raises:
            InputError: a video had results before, or a result and a truth differ in size.
        """
        videos: dict[int, list[ResultTrack]] = defaultdict(list)
        for track in results:
            videos[track.video_id].append(track)
        for video, tracks in videos.items():
            if video in self._seen:
                raise InputError(f"video {video} has results in two places; HOTA needs all of a video's together")
            self._seen.add(video)
            self._count(video, [track for track in tracks if track.score >= self._min_score])

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return `FIGURES` by group: "all" and those that the categories name.

        Each is a mean over the categories of which a truth has a mask; -1 where there is none.
        """
        for video in self._truths.keys() - self._seen:
            self._seen.add(video)
            self._count(video, [])
        figures = {c.id: self._counts[c.id].figures() for c in self._categories if c.id in self._named}
        groups: dict[str, list[int]] = {"all": list(figures)}
        for category in self._categories:
            for group in sorted(category.groups):
                groups.setdefault(group, [])
                groups[group] += [category.id] * (category.id in figures)
        return {
            group: {name: float(np.mean([figures[id][name] for id in ids])) if ids else -1.0 for name in FIGURES}
            for group, ids in sorted(groups.items(), key=lambda item: (item[0] != "all", item[0]))
        }

    def _kind(self, track: TruthTrack | ResultTrack) -> int:
        """Return the category that a track counts in."""
        return self._released.counted_as(track.category_id) if self._released else track.category_id

    def _count(self, video: int, tracks: list[ResultTrack]) -> None:
        """Count a video, category by category."""
        found: dict[int, list[int]] = defaultdict(list)
        true: dict[int, list[TruthTrack]] = defaultdict(list)
        for n, track in enumerate(tracks):
            found[self._kind(track)].append(n)
        for truth in self._truths.get(video, ()):
            true[self._kind(truth)].append(truth)
        absent, partial = self._absent.get(video, ()), self._partial.get(video, ())
        everything = [truth.masks for truths in true.values() for truth in truths]
        try:
            same_size(size_of(masks) for masks in (*everything, *(track.masks for track in tracks)))
        except InputError as error:
            raise InputError(f"video {video}: {error}") from error
        frames = max((len(masks) for masks in (*everything, *(track.masks for track in tracks))), default=0)
        counted = np.ones((frames, len(tracks)), dtype=np.bool_)  # T, M; masks that count, if they are there
        if self._released:  # the authors' program numbers the frames that have truths, and knows no others
            counted[~are_there(everything, frames).any(axis=1)] = False
        if len(tracks) > MOST_MASKS:
            counted &= self._among_the_best(tracks, frames)
        compare = by_boxes if self._released else by_masks
        for kind in [id for id in self._counts if true.get(id) or (found.get(id) and id in absent)]:
            mine, theirs = true.get(kind, []), found.get(kind, [])
            pair = compare([truth.masks for truth in mine], [tracks[n].masks for n in theirs], frames)
            if pair.truths.any():
                self._named.add(kind)
            seen = pair.results & counted[:, theirs]
            overlaps = pair.overlaps * seen[:, None, :]
            seen = without_unjudged(overlaps, pair.truths, seen, kind in absent, kind not in partial)
            self._counts[kind].add(count(overlaps * seen[:, None, :], pair.truths, seen))

    def _among_the_best(self, tracks: Sequence[ResultTrack], frames: int) -> Bools:
        """Return which masks are among the `MOST_MASKS` best of their frame (T, M)."""
        masks = [track.masks for track in tracks]
        there = are_there(masks, frames) if self._released else frame_areas([volume(m) for m in masks], frames) > 0
        order = np.argsort([-track.score for track in tracks], kind="stable")
        best = np.zeros_like(there)
        best[:, order] = np.cumsum(there[:, order], axis=1) <= MOST_MASKS
        return there & best
