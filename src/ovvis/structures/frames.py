"""A video as its source gives it: frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of a video."""

    image: NDArray[np.uint8] = field(repr=False)  # H, W, 3; RGB
    index: int  # position in the source, counted from 0 before any frame is skipped
    time: float  # seconds from the source's first frame


@dataclass(frozen=True, slots=True)
class Region:
    """The part of a picture that is asked for: a box of whole pixels, and a polygon in it where it is one."""

    left: int
    top: int
    width: int
    height: int
    polygon: tuple[tuple[float, float], ...] = ()  # corners, counted from the box's own


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source before its frames are read."""

    name: str
    height: int  # pixels, after rotation
    width: int
    fps: float  # frames a second that the source yields, skipped ones not counted
    frame_count: int | None  # frames that it will yield; an estimate; None where nothing is known
    pixel_aspect: Fraction = Fraction(1)  # width of a pixel by its height, after rotation: DV's are not square
    region: Region | None = None  # of each frame, what the network sees; None for all of it


class FrameSource(Protocol):
    """What can show any of its frames again."""

    def frame(self, index: int) -> Frame:
        """Return the frame of a number, in the source's own count from 0."""
