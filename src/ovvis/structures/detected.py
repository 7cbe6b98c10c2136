"""What a detector found in single frames, before anybody says who is who."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ovvis import masks
from ovvis.masks import Rle


@dataclass(frozen=True, slots=True)
class Detected:
    """The N things that were found in one frame, without identities."""

    masks: tuple[Rle, ...]  # N; of the frame's size, each with a pixel or more
    scores: NDArray[np.float64]  # N; in [0, 1]
    labels: tuple[str, ...] = ()  # N; "" where there is none; empty: nobody named them
    embeddings: NDArray[np.float32] | None = None  # N, D; how they look
    # N, K; scores of a vocabulary's labels, in place of `labels`; nan of what nobody named in this frame
    names: NDArray[np.float32] | None = None
    quality: NDArray[np.float32] | None = None  # N; how sure the masks' pixels are, in [0, 1]; None: 1

    def __len__(self) -> int:
        return len(self.masks)

    def boxes(self) -> NDArray[np.float64]:
        """Return the tight boxes of the masks (N, 4): x, y, width, height; pixels."""
        return np.array([masks.box(mask) for mask in self.masks]).reshape(-1, 4)

    def choose(self, rows: NDArray[np.intp]) -> Detected:
        """Return some of them: indices (n)."""
        return Detected(
            tuple(self.masks[i] for i in rows),
            self.scores[rows],
            tuple(self.labels[i] for i in rows) if self.labels else (),
            None if self.embeddings is None else self.embeddings[rows],
            None if self.names is None else self.names[rows],
            None if self.quality is None else self.quality[rows],
        )


NOTHING = Detected((), np.zeros(0))
"""A frame in which nothing was found."""


@dataclass(frozen=True, slots=True)
class Followed:
    """Which tubes the N things of a frame continue."""

    tubes: NDArray[np.int64]  # N; numbers from 0, each at most once; -1: of no tube
    carried: tuple[tuple[int, Rle], ...] = ()  # masks of tubes that none of them continues
