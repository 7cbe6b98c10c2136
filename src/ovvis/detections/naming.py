"""Who names things by words, and says how they look."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ovvis.structures import Detected


class Namer(Protocol):
    """Names the things of a frame.

    Attributes:
        labels: K; the vocabulary; None: the things keep their own labels, and are looked at alone.
    """

    labels: tuple[str, ...] | None

    def __call__(self, image: NDArray[np.uint8], detected: Detected) -> Detected:
        """Return a frame's things with `names` (N, K) and `embeddings` (N, D).

        Args:
            image: the frame (H, W, 3), RGB.
            detected: what was found in it.
        """

    def describe(self) -> dict[str, Any]:
        """Return what decides the names, as JSON knows it."""
