"""From a stored picture to an upright one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import numpy as np

from ovvis.sources.levels import Image8


@dataclass(frozen=True, slots=True)
class Turn:
    """How a stored picture must be turned to be seen upright: first transposed, then flipped."""

    transpose: bool
    flip_x: bool
    flip_y: bool

    def apply(self, image: Image8) -> Image8:
        """Return the turned image (H, W, 3)."""
        if self.transpose:
            image = image.transpose(1, 0, 2)
        return np.ascontiguousarray(image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1])


UPRIGHT = Turn(False, False, False)


def display_turn(frame: av.VideoFrame) -> Turn:
    """Return the turn that a frame's display matrix asks for, to the nearest right angle."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return UPRIGHT
    # x' = a x + c y, y' = b x + d y, in fixed point.
    a, b, _, c, d = (int(v) for v in np.frombuffer(data, dtype=np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(False, a < 0, d < 0)
    return Turn(True, c < 0, b < 0)
