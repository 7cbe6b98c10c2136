"""What is read once and as it comes: cameras, screens, streams on the network, pipes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from fractions import Fraction
from typing import final

import av

from ovvis.errors import InputError
from ovvis.sources.aspect import pixel_aspect
from ovvis.sources.clock import JOIN
from ovvis.sources.container import Reasons, decoded, open_video, packets
from ovvis.sources.levels import Image8
from ovvis.sources.not_video import what_it_is
from ovvis.sources.place import Place
from ovvis.sources.rates import frame_rate
from ovvis.sources.rgb import RgbFrames
from ovvis.sources.source import Source, Span
from ovvis.sources.turn import display_turn
from ovvis.structures import Frame, SourceInfo

PATIENCE = 30.0
"""Seconds to wait for a stream that broke off to come back."""

_LEAP = 10.0  # seconds that a clock may leap ahead of the time that passed and still be believed
_TOLD = 20  # gaps that are told one by one


@final
class _Connection:
    """A place that is open, up to its first readable frame.

    Raises:
        InputError: it cannot be opened, or shows no frame.
    """

    def __init__(self, place: Place, number: int | None) -> None:
        with ExitStack() as stack:
            opened = stack.enter_context(open_video(place, number))
            self.watch = _Losses()
            self._frames = stack.enter_context(closing(decoded(opened, self.watch, packets(opened, self.watch))))
            first = next(self._frames, None)
            if first is None:
                why = self.watch.broken or next(iter(self.watch.reasons), "it ended")
                if place.kind == "pipe":
                    raise InputError(what_it_is(place, why))
                raise InputError(f"{place.name} showed no frame ({why}): check that it sends video")
            self.watch.reasons.clear()  # who joins a stream between its keyframes loses nothing
            self.first, self.opened = first, opened
            self._stack = stack.pop_all()

    def frames(self) -> Iterator[av.VideoFrame]:
        """Yield the frames from the first on, once."""
        yield self.first
        yield from self._frames

    def close(self) -> None:
        """Let the place go."""
        self._stack.close()


class _Losses(Reasons):
    """Why frames were lost, and why the data ended."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = ""  # why the data end, if they broke off

    def broke(self, reason: str) -> None:
        """Keep the reason apart: it is no frame's."""
        self.broken = reason


@final
class StreamSource(Source):
    """Frames of a camera, a screen, a stream or a pipe, as they come.

    Their times are those of the sender's clock; where it steps back or leaps, or where the stream broke off and came
    back, time goes on by what passed here. An index counts the frames that came.

    Args:
        place: what to open.
        span: which frames are asked for.
        number: which of its video streams, from 0; None for its default.
        patience: seconds to wait for a stream that broke off; 0 for not at all.
        now: a clock, seconds.

    Raises:
        InputError: it cannot be opened, or shows no frame.
    """

    endless = True
    rereadable = False

    def __init__(
        self,
        place: Place,
        span: Span,
        number: int | None = None,
        patience: float = PATIENCE,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        span.check_order()
        self.live = place.live
        self._place, self._span, self._number, self._now = place, span, number, now
        self._patience = 0.0 if place.kind == "pipe" else patience
        self._connection: _Connection | None = _Connection(place, number)
        first, opened = self._connection.first, self._connection.opened
        self._size = (first.height, first.width)
        self._turn = display_turn(first)
        height, width = self._size[::-1] if self._turn.transpose else self._size
        self._rgb = RgbFrames(place.name, first)
        aspect, doubted = pixel_aspect(opened.stream.sample_aspect_ratio, place.name)
        aspect = 1 / aspect if self._turn.transpose else aspect
        average, guessed = opened.stream.average_rate, opened.stream.guessed_rate
        self._rate = frame_rate(float(average) if average else None, float(guessed) if guessed else None, [], [])
        self.info = SourceInfo(place.name, height, width, self._rate / span.every, span.max_frames, aspect)
        self.notes: list[str] = [*self._rgb.notes, *doubted]
        if number is None and opened.choices > 1:
            self.notes.append(f"{place.name} has {opened.choices} video streams: number {opened.number} is used")
        self._gaps = self._lost = self._scaled = 0
        self._why = ""  # of a lost frame

    def __iter__(self) -> Iterator[Frame]:
        if self._connection is None:
            raise InputError(f"{self._place.name} was read before: what it showed does not come again; open it anew")
        return self._read(self._connection)

    def close(self) -> None:
        """Let the place go."""
        if self._connection is not None:
            self._connection.close()

    def _read(self, connection: _Connection) -> Iterator[Frame]:
        span, reached, used, index, seconds = self._span, 0, 0, -1, 0.0
        try:
            for index, seconds, frame in self._timed(connection):
                if span.start and not span.start.reached(index, seconds):
                    continue
                if span.end and span.end.reached(index, seconds):
                    break
                if reached % span.every == 0:
                    used += 1
                    yield Frame(self._image(frame), index, seconds)
                    if used == span.max_frames:
                        break
                reached += 1
            if not used:
                raise span.behind(self._place.name, index + 1, seconds) if span.start else span.empty(self._place.name)
        finally:
            self.close()
            self._connection = None
            self._tell()

    def _timed(self, connection: _Connection) -> Iterator[tuple[int, float, av.VideoFrame]]:
        """Yield index, time (seconds) and frame, also behind breaks of the stream."""
        index, clock = 0, SenderClock(self._now, self._rate, self._place.live)
        while True:
            clock.begin(connection.first.pts, connection.opened.stream.time_base)
            for frame in connection.frames():
                yield index, clock.read(frame.pts), frame
                index += 1
            why = self._ended(connection)
            again = self._again(connection, index, clock.time, why)
            if again is None:
                return
            connection = again

    def _ended(self, connection: _Connection) -> str:
        """Return why a connection gave no more frames; empty if it ended as it should."""
        if connection.watch.broken:
            return connection.watch.broken
        finished = self._place.kind == "pipe" or connection.opened.container.format.name.startswith("hls")
        return "" if finished else "it ended"

    def _again(self, old: _Connection, index: int, seconds: float, why: str) -> _Connection | None:
        """Return the stream that broke off, come back; None if it ended or did not come."""
        self._lost += len(old.watch.reasons)
        self._why = self._why or next(iter(old.watch.reasons), "")
        old.close()
        self._connection = None
        if not why:
            return None
        name, begun, pause = self._place.name, self._now(), 0.5
        at = f"{name} broke off after frame {index - 1} ({seconds:.1f} s; {why})"
        while self._patience:
            try:
                self._connection = _Connection(self._place, self._number)
            except InputError:
                left = begun + self._patience - self._now()
                if left <= 0:
                    break
                time.sleep(min(pause, left))
                pause = min(2 * pause, 5.0)
                continue
            self._gap(f"{at} and came back {self._now() - begun:.1f} s later: what it showed meanwhile is missing")
            return self._connection
        waited = f" and did not come back within {self._patience:g} s" if self._patience else ""
        self.problem = f"{at}{waited}; the {index} frames before it were used"
        return None

    def _gap(self, told: str) -> None:
        self._gaps += 1
        if self._gaps <= _TOLD:
            self.notes.append(told)

    def _image(self, frame: av.VideoFrame) -> Image8:
        self._scaled += (frame.height, frame.width) != self._size
        return self._turn.apply(self._rgb(frame, *self._size))

    def _tell(self) -> None:
        """Note what the end of a pass shows."""
        name = self._place.name
        if self._gaps > _TOLD:
            self.notes.append(f"{name} broke off {self._gaps - _TOLD} times more and came back")
        if self._lost:
            self.notes.append(f"{name}: {self._lost} frames could not be read ({self._why}) and are left out")
        if self._scaled:
            height, width = self._size
            self.notes.append(
                f"{name}: {self._scaled} frames of another size were scaled to the first one's, {width}x{height}"
            )


@final
class SenderClock:
    """The time of a stream's frames: the sender's clock, where the one here does not speak against it."""

    def __init__(self, now: Callable[[], float], rate: float, live: bool) -> None:
        self._now, self._rate, self._live = now, rate, live
        self._came: float | None = None  # when the last frame did, by the clock here
        self._zero: int | None = None
        self.time = 0.0  # of the last frame, seconds from the first

    def begin(self, first: int | None, base: Fraction | None) -> None:
        """Begin, or go on behind a break: the first frame's time is what passed since the last one."""
        self._first, self._base = first, base
        self._shift = 0.0 if self._came is None else self.time + max(self._now() - self._came, 1 / self._rate)
        self._fresh = True

    def read(self, pts: int | None) -> float:
        """Return the time of the frame that follows, never before the last one's."""
        now, step = self._now(), 1 / self._rate
        passed = step if self._came is None else now - self._came
        if self._came is None:
            time = 0.0
        elif self._fresh:
            time = self._shift
        elif pts is None or self._first is None or self._base is None:
            time = self.time + (passed if self._live else step)
        else:
            time = float((pts - self._first) * self._base) + self._shift
            leaps = self._live and time > self.time + passed + _LEAP
            if time < self.time - JOIN or leaps:
                self._shift += self.time + step - time
                time = self.time + step
        self._fresh, self._came = False, now
        self.time = max(time, self.time)
        return self.time
