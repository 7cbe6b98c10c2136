"""What counts, by an evaluator's rules: which truths are to be found, and which results are looked at.

Letters: N results, G truths, A area ranges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ovvis.errors import InputError
from ovvis.evaluation.average_precision import outside_areas, ranks
from ovvis.evaluation.records import TruthTrack
from ovvis.evaluation.rules import Rules
from ovvis.evaluation.temporal_iou import volume

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Counting:
    """Says of a data set's truths and of any results what counts.

    Args:
        truths: all true tracks (G).
        index: the index of each category's id; of other ids `absent` and `not_exhaustive` say nothing.
        rules: how to count.
        absent: for each video the ids of the categories that it surely does not hold.
        not_exhaustive: for each video the ids of those of which not all instances are annotated.

    Raises:
        InputError: the rules ask for the last two, and they are not given.
    """

    def __init__(
        self,
        truths: Sequence[TruthTrack],
        index: Mapping[int, int],
        rules: Rules,
        absent: Mapping[int, Collection[int]] | None = None,
        not_exhaustive: Mapping[int, Collection[int]] | None = None,
    ) -> None:
        if rules.is_federated and (absent is None or not_exhaustive is None):
            raise InputError(
                f"the rules {rules.name} need to know what is not annotated: give `absent` and `not_exhaustive`"
            )
        self.rules = rules
        self._truths = truths
        held: dict[int, list[int]] = defaultdict(list)
        for truth in truths:
            held[truth.video_id].append(truth.category_id)
        self._known = _pairs(held, index) | _pairs(absent or {}, index)
        self._partial = _pairs(not_exhaustive or {}, index)
        self._ignored: Bools | None = None

    @property
    def ignored(self) -> Bools:
        """Truths that need not be found (A, G): crowds, and those outside an area range."""
        if self._ignored is None:
            sizes = np.zeros(len(self._truths))
            if self.rules.area_is_measured:
                sizes[:] = [_stated_area(truth, self.rules.area_is_cut) for truth in self._truths]
            self._ignored = outside_areas(sizes, self.rules.area_edges) | (self._crowds & self.rules.crowd_is_ignored)
        return self._ignored

    @property
    def reusable(self) -> Bools:
        """Truths that stay free when they are matched (G,)."""
        return self._crowds | (not self.rules.truth_is_matched_once)

    @property
    def uncounted(self) -> Bools:
        """Truths on which a result counts as wrong (G,): `Rules.loses_id_zero`."""
        return np.array([truth.id == 0 and self.rules.loses_id_zero for truth in self._truths], dtype=np.bool_)

    @property
    def _crowds(self) -> Bools:
        return np.array([truth.is_crowd and self.rules.knows_crowds for truth in self._truths], dtype=np.bool_)

    def is_judged(self, video: int, category: int) -> bool:
        """Return whether results of a category (index) count in a video: whether it is annotated there."""
        return not self.rules.is_federated or (video, category) in self._known

    def order(self, video: Ints, category: Ints, score: Floats, empty: Bools) -> tuple[Ints, Ints]:
        """Return the results that are looked at, and the video and category of each.

        Among equal scores the first to come leads.

        Args:
            video: id of each result's video (N,).
            category: index of its category (N,).
            score: its score (N,).
            empty: whether it has no pixel (N,).

        Returns:
            order: indices of those that are looked at (D), by video, then category, the best score first.
            groups: a number for each one's video and category (D,).
        """
        kept = np.ones(len(score), dtype=np.bool_)
        if self.rules.limit_is_shared:
            best = np.lexsort((-score, video))
            kept[best] = ranks(video[best]) < self.rules.limits[-1]
        if self.rules.empty_is_none:
            kept &= ~empty
        if self.rules.is_federated:
            kept &= _members(video, category, self._known)
        order = np.lexsort((-score, category, video))
        order = order[kept[order]]
        begins = np.ones(len(order), dtype=np.bool_)
        begins[1:] = (np.diff(video[order]) != 0) | (np.diff(category[order]) != 0)
        groups = np.cumsum(begins, dtype=np.int64)
        kept = ranks(groups) < self.rules.limits[-1]
        return order[kept], groups[kept]

    def excused(self, video: Ints, category: Ints) -> Bools:
        """Return the results that cannot be wrong, as not all of their category is annotated in their video (N,)."""
        if not self.rules.is_federated:
            return np.zeros(len(video), dtype=np.bool_)
        return _members(video, category, self._partial)


def existing(truths: Iterable[TruthTrack], rules: Rules) -> tuple[TruthTrack, ...]:
    """Return the truths that there are by an evaluator's rules: `Rules.empty_is_none`."""
    if not rules.empty_is_none:
        return tuple(truths)
    return tuple(truth for truth in truths if _stated_area(truth, rules.area_is_cut) > 0)


def _pairs(kinds: Mapping[int, Collection[int]], index: Mapping[int, int]) -> set[tuple[int, int]]:
    """Return each video with the index of each of its categories."""
    return {(video, index[kind]) for video, some in kinds.items() for kind in some if kind in index}


def _members(video: Ints, category: Ints, pairs: set[tuple[int, int]]) -> Bools:
    """Return which videos and categories (N,) are among some pairs (N,)."""
    given = zip(video.tolist(), category.tolist(), strict=True)
    return np.fromiter((pair in pairs for pair in given), dtype=np.bool_, count=len(video))


def _stated_area(truth: TruthTrack, cut: bool) -> float:
    """Return the mean area that the truth's file states, in whole pixels if fractions are cut."""
    if truth.areas is None:
        return volume(truth.masks).mean_area
    areas = [int(area) if cut else area for area in truth.areas if area]
    return sum(areas) / len(areas) if areas else 0.0
