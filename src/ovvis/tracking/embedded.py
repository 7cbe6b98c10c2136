"""The trackers of queries, on what was detected: as many things as there are, each in a slot."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ovvis.structures import Detected, Followed
from ovvis.tracking.detected import Image
from ovvis.tracking.tracker import Tracker


class Embedded:
    """Follows things by their embeddings, as `Tracker` follows queries.

    A frame's things fill as many of the tracker's slots, empty ones the others: these are like nothing, and no object.
    What a slot shows is one tube, until it was empty for longer than the tracker remembers.

    Args:
        tracker: at its beginning.
        slots: the most things that are followed at once; of more the best scored are.
        memory: frames for which a slot may be empty and still show the same tube; None: any number.
    """

    looks = True

    def __init__(self, tracker: Tracker, slots: int = 100, memory: int | None = None) -> None:
        self._tracker, self._slots, self._memory = tracker, slots, memory
        self.reset()

    def update(self, detected: Detected, image: Image | None = None) -> Followed:  # noqa: ARG002
        """Take the next frame's things; see `Association`.

        Raises:
            ValueError: they have no embeddings.
        """
        tubes = np.full(len(detected), -1, dtype=np.int64)
        chosen = np.sort(np.argsort(-detected.scores, kind="stable")[: self._slots])
        if len(detected) and detected.embeddings is None:
            raise ValueError("things are followed by their embeddings here, and have none")
        if detected.embeddings is not None and len(chosen):
            self._width = detected.embeddings.shape[1]
        if not self._width:  # nothing was seen so far
            return Followed(tubes)
        embeddings, objects = torch.zeros(self._slots, self._width), torch.zeros(self._slots)
        if len(chosen):
            assert detected.embeddings is not None
            embeddings[: len(chosen)] = torch.from_numpy(detected.embeddings[chosen].astype(np.float32))
            objects[: len(chosen)] = torch.from_numpy(detected.scores[chosen].astype(np.float32))
        order = self._tracker.update(embeddings, objects).numpy()
        shown = order < len(chosen)  # slots that a thing continues
        tubes[chosen[order[shown]]] = self._numbers_of(np.flatnonzero(shown))
        self._empty += 1
        self._empty[shown] = 0
        return Followed(tubes)

    def _numbers_of(self, slots: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the tubes that slots show."""
        stale = self._numbers[slots] < 0
        if self._memory is not None:
            stale |= self._empty[slots] >= self._memory
        new = slots[stale]
        self._numbers[new] = self._begun + np.arange(len(new))
        self._begun += len(new)
        return self._numbers[slots]

    def reset(self) -> None:
        """Forget everything."""
        self._tracker.reset()
        self._numbers = np.full(self._slots, -1, dtype=np.int64)
        self._empty = np.zeros(self._slots, dtype=np.int64)
        self._begun = self._width = 0
