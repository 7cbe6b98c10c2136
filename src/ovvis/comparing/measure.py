"""How two sets of tracks differ in each frame of their video, and which tracks of both are one object.

In a frame with n objects of one set and m of the other, pairs are chosen so that their masks' overlaps (IoU) sum up to
the most (the Hungarian method). The frame differs by 1 - sum / max(n, m): 0 where both have the same masks, 1 where
nothing overlaps, and an object that one of them lacks counts as one that nothing overlaps. This is the OSPA metric
(D. Schuhmacher et al., IEEE Transactions on Signal Processing 2008) with 1 - IoU as the distance of two objects, so
it is symmetric and keeps the triangle inequality. Names and identities do not enter it; they are counted apart.

Letters: T frames, N and M tracks of the first and of the second set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ovvis.evaluation.frame_overlap import FrameOverlaps, by_masks
from ovvis.evaluation.records import Masks
from ovvis.evaluation.temporal_iou import temporal_iou, volume
from ovvis.evaluation.track_overlap import FRAME_MATCH, TOUCH

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

By = Literal["all", "masks", "names", "identities"]
BY: tuple[By, ...] = ("all", "masks", "names", "identities")
"""What a frame's difference may be of."""

_PREFERRED = 1e-9  # more overlap of a pair that is one over the video: of masks that are the same it is the one


@dataclass(frozen=True, slots=True)
class Pair:
    """Two objects of a frame that lie on each other."""

    first: int  # place of its track in the first set
    second: int
    overlap: float  # of their masks here, in [0, 1]
    same_name: bool
    same_object: bool  # whether over the whole video, too, the one's track goes with the other's

    @property
    def followed(self) -> bool:
        """Whether they overlap enough for one to be taken for the other: from then on names and identities count."""
        return self.overlap >= FRAME_MATCH


@dataclass(frozen=True, slots=True)
class FrameDifference:
    """How two sets differ in a frame."""

    pairs: tuple[Pair, ...]  # that touch each other
    only_first: tuple[int, ...]  # tracks seen here that touch none of the other set's
    only_second: tuple[int, ...]
    objects: int  # seen here by the set that sees more
    masks: float  # 1 - sum of overlaps / objects; 0 where neither sees any
    names: float  # share of the objects that are there in both under different names
    identities: float  # share of the objects that are there in both, but elsewhere in the video go with others
    all: float  # as masks, an object of another name or identity counting as one that nothing overlaps

    def by(self, what: By) -> float:
        """Return one of the four, in [0, 1]."""
        value: float = getattr(self, what)
        return value


@dataclass(frozen=True, slots=True)
class Differences:
    """How two sets differ in a video."""

    frames: tuple[FrameDifference, ...]  # T
    partners: dict[int, int]  # of the first set's tracks: the second's that goes with it over the whole video

    def by(self, what: By) -> Floats:
        """Return the difference of each frame (T), in [0, 1]."""
        return np.array([frame.by(what) for frame in self.frames])


def compare_tracks(first: Sequence[Masks], second: Sequence[Masks], same_name: Bools, frames: int) -> Differences:
    """Compare two sets of tracks of one video.

    Over the whole video tracks go together so that their overlaps over space and time (as video AP counts them) sum up
    to the most; of these, two that hardly touch are not one object: they overlap by less than a tenth, and the shorter
    one follows the other in less than half of its frames.

    Args:
        first: N tracks.
        second: M tracks.
        same_name: N, M; whether two tracks have the same name.
        frames: T.

    Raises:
        InputError: a mask is damaged, or two differ in size.

    >>> left, both = {"size": [2, 2], "counts": b"022"}, {"size": [2, 2], "counts": b"04"}
    >>> found = compare_tracks([[left, left]], [[both, None]], np.array([[True]]), 2)
    >>> found.by("masks").tolist(), found.partners
    ([0.5, 1.0], {0: 0})
    """
    whole = temporal_iou([volume(masks) for masks in first], [volume(masks) for masks in second])
    found = by_masks(first, second, frames)
    near = _near(whole, found)
    partners = {i: j for i, j in _assigned(whole) if near[i, j]}
    together = np.zeros((len(first), len(second)), dtype=np.bool_)
    together[list(partners), list(partners.values())] = True
    each = (
        _frame(*parts, same_name, together) for parts in zip(found.truths, found.results, found.overlaps, strict=True)
    )
    return Differences(tuple(each), partners)


def _near(whole: Floats, found: FrameOverlaps) -> Bools:
    """Return which tracks may be one object (N, M), of their overlaps over the video and in each frame."""
    on = (found.overlaps >= FRAME_MATCH).sum(0)
    seen = np.minimum(found.truths.sum(0)[:, None], found.results.sum(0)[None, :])
    return np.asarray((whole >= TOUCH) | ((on > 0) & (2 * on >= seen)), dtype=np.bool_)


def _frame(mine: Bools, theirs: Bools, overlaps: Floats, same_name: Bools, together: Bools) -> FrameDifference:
    """Compare a frame: where the tracks are (N and M), how they overlap and go together (N, M)."""
    rows, columns = np.flatnonzero(mine), np.flatnonzero(theirs)
    here = overlaps[np.ix_(rows, columns)]
    chosen = _assigned(here + _PREFERRED * together[np.ix_(rows, columns)])
    pairs = [
        Pair(int(i), int(j), float(overlaps[i, j]), bool(same_name[i, j]), bool(together[i, j]))
        for i, j in ((rows[a], columns[b]) for a, b in chosen)
        if overlaps[i, j] >= TOUCH
    ]
    count, shared = max(len(rows), len(columns)), float(sum(here[a, b] for a, b in chosen))
    followed = [pair for pair in pairs if pair.followed]
    wrong = sum(pair.overlap for pair in followed if not (pair.same_name and pair.same_object))
    paired = {pair.first for pair in pairs}, {pair.second for pair in pairs}
    return FrameDifference(
        pairs=tuple(pairs),
        only_first=tuple(i for i in rows.tolist() if i not in paired[0]),
        only_second=tuple(j for j in columns.tolist() if j not in paired[1]),
        objects=count,
        masks=_share(count - shared, count),
        names=_share(sum(not pair.same_name for pair in followed), count),
        identities=_share(sum(not pair.same_object for pair in followed), count),
        all=_share(count - shared + wrong, count),
    )


def _assigned(overlaps: Floats) -> list[tuple[int, int]]:
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def _share(part: float, whole: int) -> float:
    return min(max(part / whole, 0.0), 1.0) if whole else 0.0
