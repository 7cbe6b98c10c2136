"""Masks that are propagated from frame to frame take up what is detected there, in the manner of Detic-XMem.

XMem (H. K. Cheng, A. Schwing, ECCV 2022) carries masks on by a learnt memory; who carries them here is a part: anything
with the face of a `Propagator`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np

from ovvis import masks
from ovvis.masks import Rle
from ovvis.structures import Detected, Followed
from ovvis.tracking.detected import Image, Lives, matched


class Propagator(Protocol):
    """Carries masks on through a video; once for each frame, in order: `carry`, then `remember`."""

    def carry(self, image: Image) -> dict[int, Rle]:
        """Return where the remembered tubes are in the next frame (H, W, 3; RGB), by number; those that it sees."""

    def remember(self, known: Mapping[int, Rle]) -> None:
        """Take what is true of tubes in the frame that was carried to last, those that begin there among them."""

    def forget(self, tubes: Collection[int]) -> None:
        """Drop tubes."""

    def reset(self) -> None:
        """Forget everything."""


class Propagate:
    """Things continue the tube whose carried mask they overlap; a tube that none continues shows its carried mask.

    Unless that mask lies mostly on a thing of another tube.

    Args:
        propagator: carries the masks; at its beginning.
        least: overlap of a carried mask and a thing's from which they may be one, in [0, 1].
        patience: frames for which a tube may show nothing but carried masks, and go on.
        start: score from which a thing may begin a tube.
    """

    looks = False

    def __init__(self, propagator: Propagator, least: float = 0.3, patience: int = 30, start: float = 0.0) -> None:
        self._propagator, self._least, self._start = propagator, least, start
        self._lives, self._patience = Lives(patience), patience

    def update(self, detected: Detected, image: Image | None = None) -> Followed:
        """Take the next frame's things; see `Association`.

        Raises:
            ValueError: the picture is missing.
        """
        if image is None:
            raise ValueError("masks are carried from picture to picture: the frame's is missing")
        carried = self._propagator.carry(image)
        numbers = self._lives.numbers
        seen = np.array([i for i, number in enumerate(numbers.tolist()) if number in carried], dtype=np.intp)
        shown = [carried[int(numbers[i])] for i in seen]
        places, columns = matched(masks.overlap(shown, detected.masks), self._least)
        tubes, living, _ = self._lives.settle(len(detected), seen[places], columns, detected.scores >= self._start)
        lost = [int(number) for number, lives in zip(numbers, living, strict=True) if not lives]
        alone = [
            (int(numbers[row]), mask)
            for place, (row, mask) in enumerate(zip(seen, shown, strict=True))
            if living[row] and place not in places and not _covered(mask, detected)
        ]
        self._propagator.forget(lost)
        found = {int(tube): detected.masks[i] for i, tube in enumerate(tubes) if tube >= 0}
        self._propagator.remember({**dict(alone), **found})
        return Followed(tubes, tuple(alone))

    def reset(self) -> None:
        """Forget everything."""
        self._propagator.reset()
        self._lives = Lives(self._patience)


def _covered(mask: Rle, detected: Detected) -> bool:
    """Return whether half of a mask or more lies on a thing."""
    return bool((masks.covered(mask, detected.masks) >= 0.5).any())
