"""Associations of what was detected in single frames: each puts the things of a frame to the tubes so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ovvis import masks
from ovvis.masks import Rle
from ovvis.structures import Detected, Followed
from ovvis.tracking.kalman import Array, KalmanBoxes

Image = NDArray[np.uint8]


class Association(Protocol):
    """Follows things from frame to frame: `update` once for each frame, in order.

    Attributes:
        looks: whether it compares embeddings, which every frame's things must have then.
    """

    looks: bool

    def update(self, detected: Detected, image: Image | None = None) -> Followed:
        """Take the next frame's N things, and its picture (H, W, 3; RGB) where it asks for one.

        The first frame begins the tubes; they are numbered in the order in which they begin.
        """

    def reset(self) -> None:
        """Forget everything: the next frame begins another video."""


def box_overlap(first: Array, second: Array) -> Array:
    """Return intersection over union (n, m) of boxes x, y, width, height (n, 4) and (m, 4); 0 where one is nan.

    >>> box_overlap(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 2, 2], [5, 5, 1, 1]])).round(3).tolist()
    [[0.333, 0.0]]
    """
    left_top = np.maximum(first[:, None, :2], second[None, :, :2])
    right_bottom = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    shared = np.nan_to_num((right_bottom - left_top).clip(min=0)).prod(-1)
    areas = (np.nan_to_num(boxes[:, 2] * boxes[:, 3]) for boxes in (first, second))
    union = next(areas)[:, None] + next(areas)[None] - shared
    overlap: Array = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def matched(overlap: Array, least: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the assignment with the most overlap in all, of which pairs below `least` are no part.

    >>> [pair.tolist() for pair in matched(np.array([[0.9, 0.6], [0.8, 0.1]]), 0.3)]
    [[0, 1], [1, 0]]
    """
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    good = overlap[rows, columns] >= least
    return rows[good], columns[good]


def without_twins(codes: Sequence[Rle], most: float) -> list[int]:
    """Return of masks, the best first, those that overlap no better one by more than `most`.

    >>> whole, half = np.ones((2, 2), dtype=bool), np.eye(2, dtype=bool)
    >>> codes = [masks.encode(mask) for mask in (whole, half, whole)]
    >>> without_twins(codes, 0.7), without_twins(codes, 0.4), without_twins(codes, 1.0)
    ([0, 1], [0], [0, 1, 2])
    """
    overlap = masks.overlap(codes, codes)
    kept: list[int] = []
    for i in range(len(codes)):
        if not (overlap[i, kept] > most).any():
            kept.append(i)
    return kept


@dataclass
class Lives:
    """The numbers of the tubes that go on, and for how many frames each was not seen.

    Args:
        patience: frames for which a tube may be unseen and still go on.
    """

    patience: int
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    unseen: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    begun: int = 0

    def __post_init__(self) -> None:
        if self.patience < 0:
            raise ValueError(f"patience {self.patience}: frames, 0 or more")

    def settle(
        self, count: int, rows: NDArray[np.intp], columns: NDArray[np.intp], may_begin: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.intp]]:
        """Take which of a frame's things continue which tubes.

        Args:
            count: N, the things of the frame.
            rows: tubes that go on, as positions among the living.
            columns: the things that continue them.
            may_begin: N; whether a thing that continues none may begin a tube.

        Returns:
            The tube's number of each thing (N), -1 for none; which of the tubes before go on living; and the things
            that begin tubes, which stand behind those now.
        """
        of_thing = np.full(count, -1, dtype=np.int64)
        of_thing[columns] = self.numbers[rows]
        self.unseen += 1
        self.unseen[rows] = 0
        living = self.unseen <= self.patience
        new = np.flatnonzero((of_thing < 0) & may_begin)
        of_thing[new] = self.begun + np.arange(len(new))
        self.begun += len(new)
        self.numbers = np.concatenate([self.numbers[living], of_thing[new]])
        self.unseen = np.concatenate([self.unseen[living], np.zeros(len(new), dtype=np.int64)])
        return of_thing, living, new


class Sort:
    """SORT: boxes that move evenly are matched by their overlap (A. Bewley et al., ICIP 2016).

    The published settings are `least` 0.3 and `patience` 1.

    Args:
        least: overlap of a predicted box and a thing's from which they may be one, in [0, 1].
        patience: frames for which a tube may be unseen and still go on.
        start: score from which a thing may begin a tube.
    """

    looks = False

    def __init__(self, least: float = 0.3, patience: int = 30, start: float = 0.0) -> None:
        self._least, self._start, self._patience = least, start, patience
        self._filters, self._lives = KalmanBoxes(), Lives(patience)

    def update(self, detected: Detected, image: Image | None = None) -> Followed:  # noqa: ARG002
        """Take the next frame's things; see `Association`."""
        boxes = detected.boxes()
        rows, columns = matched(box_overlap(self._filters.predict(), boxes), self._least)
        self._filters.update(rows, boxes[columns])
        tubes, living, new = self._lives.settle(len(detected), rows, columns, detected.scores >= self._start)
        self._filters.keep(living)
        self._filters.add(boxes[new])
        return Followed(tubes)

    def reset(self) -> None:
        """Forget everything."""
        self._filters, self._lives = KalmanBoxes(), Lives(self._patience)


class Overlap:
    """Masks are matched by their overlap with each tube's last one, in the manner of OWTB (Y. Liu et al., CVPR 2022).

    Without the optical flow by which the authors move the last masks, and without their features of appearance.

    Args:
        least: overlap of masks from which they may be one thing, in [0, 1].
        patience: frames for which a tube may be unseen and still go on.
        start: score from which a thing may begin a tube.
    """

    looks = False

    def __init__(self, least: float = 0.3, patience: int = 30, start: float = 0.0) -> None:
        self._least, self._start, self._patience = least, start, patience
        self._last: list[Rle] = []
        self._lives = Lives(patience)

    def update(self, detected: Detected, image: Image | None = None) -> Followed:  # noqa: ARG002
        """Take the next frame's things; see `Association`."""
        rows, columns = matched(masks.overlap(self._last, detected.masks), self._least)
        for row, column in zip(rows, columns, strict=True):
            self._last[row] = detected.masks[column]
        tubes, living, new = self._lives.settle(len(detected), rows, columns, detected.scores >= self._start)
        self._last = kept(self._last, living) + [detected.masks[i] for i in new]
        return Followed(tubes)

    def reset(self) -> None:
        """Forget everything."""
        self._last, self._lives = [], Lives(self._patience)


def kept(codes: Sequence[Rle], living: NDArray[np.bool_]) -> list[Rle]:
    """Return the masks of the tubes that go on."""
    return [code for code, lives in zip(codes, living, strict=True) if lives]
