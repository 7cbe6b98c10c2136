"""What is known of one frame: of a stream as it comes, of a result when it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from ovvis.masks import Rle
from ovvis.structures.frames import Frame


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance in one frame, as a stream yields it."""

    id: int  # the same number in every frame of a video, from 1
    label: str
    score: float  # in [0, 1]; of the video so far
    mask: Rle = field(repr=False)
    box: tuple[float, float, float, float]  # x, y, width, height; pixels


@dataclass(frozen=True, slots=True)
class FrameResult:
    """The instances of one frame, best first."""

    frame: Frame
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """What is known of one frame of a source that goes on by itself."""

    frame: Frame
    instances: tuple[Instance, ...]  # best first; an id is one object's for as long as the stream lives
    labels: tuple[str, ...]  # asked for in this frame
    captured: float  # when the frame came from the source; seconds of `time.monotonic`
    left_out: int  # frames of the source between the one before and this, which came while the network worked
    time: float  # seconds since the first frame; never goes back, whatever the source's own clock does
