"""A video file as a source: PyAV's frames turned upright, counted, timed, and what was lost of them told."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, final

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from ovvis.errors import InputError
from ovvis.io.container import MAX_DELAY, decode, landing, open_video, reason
from ovvis.io.frames import Image8
from ovvis.io.source import Source, Span
from ovvis.structures import Frame, SourceInfo


@dataclass(slots=True)
class _Pass:
    """What one reading of a file has met so far."""

    used: int = 0  # frames given to the caller
    index: int = -1  # of the last readable frame
    time: float = 0.0  # of the last readable frame, seconds
    shift: float = 0.0  # seconds added to the file's own times
    longest_gap: float = 0.0  # between two readable frames, seconds
    skipped: int = 0  # unreadable frames with a readable one behind them
    reason: str = ""  # why the last skipped frame could not be read
    lost: list[str] = field(default_factory=list)  # why frames were lost that no readable frame was seen behind
    lost_before: int = 0  # their number at the frame before
    since_loss: int = 0  # readable frames since the last loss
    ended: bool = False  # the file's data ended before the options did


@final
class FileSource(Source):
    """A video file, decoded with PyAV."""

    def __init__(self, location: str, name: str, span: Span, fps: float | None) -> None:
        if fps is not None:
            raise InputError(
                f"fps is {fps!r}: the video {name} has its own clock; leave fps out, or take fewer frames with every"
            )
        self._location, self._name, self._span = location, name, span
        with open_video(location, name) as opened:
            self._rate, self._duration, self._announced = (
                opened.rate,
                opened.duration,
                opened.stream.frames or None,
            )
            self._time_base = opened.stream.time_base
        reasons: list[str] = []
        with closing(decode(location, name, reasons.append)) as frames:
            first = next(frames, None)
        if first is None:
            why = f" ({reasons[0]})" if reasons else ""
            raise InputError(f"{name} holds no readable frame{why}: it may be empty or damaged; encode it again")
        self._first_pts = first.pts
        self._size = (first.height, first.width)
        self._turn = _display_turn(first)
        height, width = self._size[::-1] if self._turn.transpose else self._size
        known = [n for n in (self._announced, self._duration and round(self._duration * self._rate)) if n]
        self._total = min(known, default=None)
        span.check(name, self._rate, self._total)
        count = span.count(self._rate, self._total)
        self.info = SourceInfo(name, height, width, self._rate / span.every, count and max(count, 1))
        self._local = location.startswith("file:")
        # A live stream has no duration; what it showed once does not come back.
        self.rereadable = self._local or (location.startswith("http") and self._duration is not None)

    def __iter__(self) -> Iterator[Frame]:
        self.problem = None
        return self._read()

    def _read(self) -> Iterator[Frame]:
        span, seen = self._span, _Pass()
        reformatter = VideoReformatter()
        reached = 0
        try:
            with closing(self._counted(seen)) as frames:
                for index, time, frame in frames:
                    if span.start and not span.start.reached(index, time):
                        continue
                    if span.end and span.end.reached(index, time):
                        break
                    if reached % span.every == 0:
                        seen.used += 1
                        yield Frame(self._image(reformatter, frame), index, time)
                        if seen.used == span.max_frames:
                            break
                    reached += 1
                else:
                    seen.ended = True
            if not seen.used:
                raise self._nothing(seen)
        finally:
            self.problem = self._describe(seen)

    def _counted(self, seen: _Pass) -> Generator[tuple[int, float, av.VideoFrame], None, None]:
        """Yield index, time (seconds) and frame from a place before the start on; keep count in `seen`."""
        frames, ranks = self._entered(seen)
        with closing(frames):
            for frame in frames:
                time = self._time(frame)
                index = self._next_index(seen, time)
                if frame.pts is not None:
                    index = ranks.get(frame.pts, index)
                if time is None:
                    time = index / self._rate
                elif seen.index >= 0 and time + seen.shift <= seen.time:
                    seen.shift = seen.time + 1 / self._rate - time  # the clock began again: recordings joined
                time += seen.shift
                if seen.index >= 0:
                    seen.longest_gap = max(seen.longest_gap, time - seen.time)
                seen.index, seen.time = index, time
                yield index, time, frame

    def _time(self, frame: av.VideoFrame) -> float | None:
        if frame.pts is None or self._first_pts is None or self._time_base is None:
            return None
        return float((frame.pts - self._first_pts) * self._time_base)

    def _next_index(self, seen: _Pass, time: float | None) -> int:
        """Return the index of the frame that follows, and settle which lost frames it leaves behind.

        The decoder reports a loss ahead of the frames that it still holds: the gap in time shows its place.
        """
        if seen.index < 0:
            return 0
        seen.since_loss = seen.since_loss + 1 if len(seen.lost) == seen.lost_before else 0
        gap = len(seen.lost) + 1 if time is None else round((time + seen.shift - seen.time) * self._rate)
        left_behind = min(max(gap - 1, 0), len(seen.lost))
        index = seen.index + 1 + left_behind
        if seen.since_loss > MAX_DELAY:
            left_behind = len(seen.lost)  # no gap showed it, but it is too long ago to lie ahead
        if left_behind:
            seen.skipped, seen.reason = seen.skipped + left_behind, seen.lost[0]
            del seen.lost[:left_behind]
        seen.lost_before = len(seen.lost)
        return index

    def _entered(self, seen: _Pass) -> tuple[Generator[av.VideoFrame, None, None], dict[int, int]]:
        """Return the frames from a keyframe before the start on, and the indices of the first ones by pts."""
        start = self._span.start
        if start and start.value and self._local and self._first_pts is not None:
            place = landing(self._location, self._name, start, self._first_pts)
            if place:
                frames = decode(self._location, self._name, seen.lost.append, place.key)
                first = next(frames, None)
                if first is not None and place.fits(first.pts):
                    return _put_back(first, frames), place.ranks
                frames.close()  # the container led elsewhere: read it from the beginning
                seen.lost.clear()
        return decode(self._location, self._name, seen.lost.append), {}

    def _image(self, reformatter: VideoReformatter, frame: av.VideoFrame) -> Image8:
        height, width = self._size
        try:
            array = reformatter.reformat(frame, width, height, "rgb24").to_ndarray()
        except (av.FFmpegError, ValueError) as error:
            raise InputError(
                f"{self._name} has frames in the pixel format {frame.format.name}, which cannot be converted"
                f" ({reason(error)}): encode it again, for example as H.264"
            ) from error
        return self._turn.apply(array.astype(np.uint8, copy=False))

    def _describe(self, seen: _Pass) -> str | None:
        """Return the sentence on what could not be read, or None."""
        why = seen.lost[-1] if seen.lost else "the file ends early"
        if seen.used and seen.ended and (seen.lost or self._short(seen)):
            about = f" of about {self._total}" if self._total else ""
            before = (
                "the 1 frame before it was used" if seen.used == 1 else f"the {seen.used} frames before it were used"
            )
            return f"{self._name}: frame {seen.index + 1}{about} could not be read ({why}); {before}"
        if seen.used and seen.skipped:
            lost = "1 frame" if seen.skipped == 1 else f"{seen.skipped} frames"
            return f"{self._name}: {lost} could not be read ({seen.reason}) and left out; {seen.used} were used"
        return None

    def _nothing(self, seen: _Pass) -> InputError:
        """Return the error for a pass in which no frame was used."""
        if seen.ended and (seen.lost or self._short(seen)):
            why = seen.lost[-1] if seen.lost else "the file ends early"
            return InputError(
                f"{self._name}: frame {seen.index + 1} could not be read ({why}) and start lies behind it;"
                " give an earlier start, or encode the video again"
            )
        return self._span.empty(self._name)

    def _short(self, seen: _Pass) -> bool:
        """Return whether the file ended clearly before what its header announces.

        By number and by time, where both are known: a cut made in the header only (an edit list) keeps the
        old number, and the last picture of a slide show lasts longer than the average.
        """
        if self._announced is None and self._duration is None:
            return False
        by_number = by_time = True
        if self._announced is not None:
            missing = self._announced - (seen.index + 1)
            by_number = missing > max(2, 0.01 * self._announced)
        if self._duration is not None:
            left = self._duration - seen.time - 1 / self._rate
            by_time = left > max(2 / self._rate, 0.01 * self._duration, 2 * seen.longest_gap)
        return by_number and by_time


@dataclass(frozen=True, slots=True)
class _Turn:
    """How a stored picture must be turned to be seen upright: first transposed, then flipped."""

    transpose: bool
    flip_x: bool
    flip_y: bool

    def apply(self, image: Image8) -> Image8:
        """Return the turned image (H, W, 3)."""
        if self.transpose:
            image = image.transpose(1, 0, 2)
        return np.ascontiguousarray(image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1])


def _display_turn(frame: av.VideoFrame) -> _Turn:
    """Return the turn that a frame's display matrix asks for, to the nearest right angle."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return _Turn(False, False, False)
    # x' = a x + c y, y' = b x + d y, in fixed point.
    a, b, _, c, d = (int(v) for v in np.frombuffer(data, dtype=np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return _Turn(False, a < 0, d < 0)
    return _Turn(True, c < 0, b < 0)


def _put_back(first: av.VideoFrame, rest: Generator[av.VideoFrame, None, None]) -> Generator[av.VideoFrame, None, None]:
    with closing(rest):
        yield first
        yield from rest
