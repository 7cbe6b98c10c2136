"""What every source of frames has in common: its face, and which of its frames are asked for."""

from __future__ import annotations

import math
import operator
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ovvis.errors import InputError
from ovvis.structures import Frame, SourceInfo

if TYPE_CHECKING:
    from ovvis.sources.entry import Entry

DEFAULT_FPS = 24.0
"""Frames a second of a source that has no clock of its own: a folder, a list of arrays."""

TIME_SLACK = 0.0006
"""Seconds by which a frame may miss a bound and still be on it: Matroska rounds times to milliseconds."""


class WholeOnlyError(Exception):
    """Why a source's frames cannot be had in stretches that are, together, what a full reading gives; a clause."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some of the frames that a source gives, one after another."""

    first: int  # position among them, from 0
    count: int
    last: bool  # whether the source ends with them
    index: int  # number of the first one in the source
    entry: Entry | None = None  # where a video file is entered for them


class FrameError(InputError):
    """A frame is missing, cannot be read, or has another size than the others."""


class Source(ABC):
    """Frames one after another; never all in memory.

    Attributes:
        info: what is known before the frames are read; sizes after rotation.
        rereadable: whether a second `iter` gives the same frames again.
        endless: whether nothing tells where it ends: a camera, a screen, a stream, a pipe. It is read once.
        live: whether its frames come at their own pace, taken or not: whoever is slow may miss some.
        problem: None, or one sentence on why the last pass gave fewer frames than the source announces. It is
            settled when the pass ends and reset when the next begins.
        notes: sentences on what was left out, guessed or converted, for the user to see once. Known when the source
            is opened, or when a pass over it ends; of an endless one as it happens.
        files: those that it is read from, where they lie on this machine and nowhere else.
        opened_as: the options of `open_source` that open it again, of a file or folder; empty of all else.
    """

    info: SourceInfo
    rereadable: bool
    endless: bool = False
    live: bool = False
    problem: str | None = None
    notes: Sequence[str] = ()
    files: Sequence[Path] = ()
    opened_as: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Begin a pass over the frames.

        Raises:
            InputError: a frame cannot be used, or the options leave no frame.
        """

    def frame(self, index: int) -> Frame:
        """Return one frame by its number in the source, whatever the options leave.

        Raises:
            InputError: the source can be read once, or has no such frame.
        """
        if not self.rereadable:
            raise InputError(f"{self.info.name} can be read once, so that none of its frames can be had again")
        alone = copy(self)
        alone._only(index)
        found = next((frame for frame in alone if frame.index >= index), None)
        if found is None or found.index != index:
            raise InputError(f"{self.info.name} has no frame {index}: give the video that has it")
        return found

    def stretches(self, size: int) -> list[Stretch]:
        """Return the frames that it gives as stretches of `size`, the last one shorter.

        Raises:
            WholeOnlyError: they cannot be had so.
            InputError: the source cannot be read.
        """
        del size
        raise WholeOnlyError("its frames are only read one after another")

    def stretch(self, stretch: Stretch) -> Source:
        """Return one of `stretches` as a source: the same frames as a full reading gives there, index, time and pixels.

        Where the two differ, a pass over it gives other frames than were counted, ends with a `problem`, or raises.
        """
        raise NotImplementedError(f"{type(self).__name__} has no stretches")

    def _only(self, index: int) -> None:  # noqa: B027  it may stay empty
        """Leave out what need not be read for one frame; a source that cannot leave anything out is read up to it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A place in a source: seconds from its first frame, or a frame number from 0."""

    value: float
    in_frames: bool
    text: str  # as the user gave it

    def reached(self, index: int, time: float) -> bool:
        """Return whether a frame at `index` and `time` (seconds) is at this moment or after it."""
        return index >= self.value if self.in_frames else time > self.value - TIME_SLACK

    def index(self, fps: float) -> int:
        """Return the first frame at this moment or after it, at an even rate."""
        return int(self.value) if self.in_frames else max(math.ceil((self.value - TIME_SLACK) * fps), 0)

    def seconds(self, fps: float) -> float:
        """Return this moment in seconds, at an even rate."""
        return self.value / fps if self.in_frames else self.value


@dataclass(frozen=True, slots=True)
class Span:
    """Which frames of a source are asked for."""

    every: int  # each n-th, counted from the first
    start: Moment | None  # inclusive
    end: Moment | None  # exclusive
    max_frames: int | None

    def indices(self, fps: float, total: int | None) -> range:
        """Return the positions asked for in a source of `total` frames, at an even rate."""
        first = self.start.index(fps) if self.start else 0
        stop = sys.maxsize if total is None else total
        if self.end:
            stop = min(stop, self.end.index(fps))
        wanted = range(first, max(first, stop), self.every)
        return wanted if self.max_frames is None else wanted[: self.max_frames]

    def count(self, fps: float, total: int | None) -> int | None:
        """Return how many frames will come, or None where nothing bounds them that is known beforehand."""
        return len(self.indices(fps, total)) if total is not None else None

    def chosen(self, times: Sequence[float]) -> list[int]:
        """Return the positions asked for among frames of these times, in seconds."""
        reached = [
            k
            for k, time in enumerate(times)
            if not (self.start and not self.start.reached(k, time)) and not (self.end and self.end.reached(k, time))
        ]
        return reached[:: self.every][: self.max_frames]

    def check_order(self, fps: float | None = None) -> None:
        """Raise if `end` is not after `start`, where that can be said: both in seconds, both in frames, or a rate.

        Raises:
            InputError: names the value, the rule and the remedy.
        """
        if self.end is None:
            return
        start = self.start if self.start and self.start.value else None
        if fps is None and start and start.in_frames != self.end.in_frames:
            return
        begin = start.seconds(fps or 1.0) if start else 0.0
        if self.end.seconds(fps or 1.0) <= begin:
            after = f"start, which is {start.text}" if start else "0, the beginning"
            raise InputError(f"end is {self.end.text}: it must lie after {after}; give a later end")

    def check(self, name: str, fps: float, total: int | None) -> None:
        """Raise if `end` is not after `start`, or `start` not before the end of a source of even rate.

        Raises:
            InputError: names the value, the rule and the remedy.
        """
        self.check_order(fps)
        if self.start and total is not None and self.start.index(fps) >= total:
            raise self.behind(name, total, total / fps)

    def behind(self, name: str, total: int, seconds: float) -> InputError:
        """Return the error for a start that lies behind the end of a source of so many frames and seconds."""
        start = self.start.text if self.start else "not set"
        return InputError(
            f"start is {start}: it must lie before the end of {name}, which has {total} frames"
            f" ({seconds:.2f} s); give an earlier start"
        )

    def empty(self, name: str) -> InputError:
        """Return the error for a source of which the options leave nothing."""
        start = self.start.text if self.start else "not set"
        end = self.end.text if self.end else "not set"
        return InputError(
            f"{name}: no frame lies between start ({start}) and end ({end}); give an earlier start or a later end"
        )


def parse_span(
    every: int,
    start: float | str | None,
    end: float | str | None,
    max_frames: int | None,
    duration: float | str | None = None,
) -> Span:
    """Return the checked options as a `Span`; `duration` is what `end` lies behind `start`.

    Raises:
        InputError: names the value, the rule and the remedy.
    """
    begin = None if start is None else parse_moment("start", start)
    stop = None if end is None else parse_moment("end", end)
    if duration is not None:
        stop = _behind(begin, parse_moment("duration", duration), stop)
    return Span(
        every=_at_least_one("every", every, "1 keeps every frame"),
        start=begin,
        end=stop,
        max_frames=None
        if max_frames is None
        else _at_least_one("max_frames", max_frames, "leave it out to keep all frames"),
    )


def _behind(start: Moment | None, duration: Moment, end: Moment | None) -> Moment:
    """Return where a span of a duration ends."""
    if end is not None:
        raise InputError(f"duration is {duration.text} and end is {end.text}: both say where to stop; leave one out")
    if not duration.value:
        raise InputError(f"duration is {duration.text}: it must be above 0; leave it out to go on to the end")
    if start is None:
        return duration
    if start.in_frames != duration.in_frames:
        raise InputError(
            f"duration is {duration.text} and start is {start.text}: give both in seconds or both in frames (120f)"
        )
    value = start.value + duration.value
    return Moment(value, start.in_frames, f"{start.text} + {duration.text}")


def parse_moment(what: str, value: float | str) -> Moment:
    """Return a place in a source.

    Args:
        what: the option's name, for the message.
        value: seconds, or text: seconds, "[hh:]mm:ss[.frac]" or a frame number with "f" behind it.

    Raises:
        InputError: the value is negative or cannot be read.

    >>> parse_moment("start", "1:02.5").value
    62.5
    >>> parse_moment("start", "120f")
    Moment(value=120.0, in_frames=True, text='120f')
    """
    text = str(value).strip()
    if re.fullmatch(r"[0-9]+f", text):
        return Moment(float(text[:-1]), True, text)
    seconds = _clock(text) if isinstance(value, str) else _number(value)
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        raise InputError(
            f"{what} is {value!r}: it must be seconds from 0 up, such as 12.5, a time [hh:]mm:ss[.frac] such"
            f" as 1:02.5, or a frame number such as 120f; write it in one of these ways"
        )
    return Moment(seconds, False, text)


def check_fps(fps: float | None) -> float:
    """Return `fps`, or the default where it is None.

    Raises:
        InputError: it is not a number above 0.
    """
    if fps is None:
        return DEFAULT_FPS
    number = _number(fps)
    if number is None or not math.isfinite(number) or number <= 0:
        raise InputError(f"fps is {fps!r}: it must be a number above 0; leave it out for {DEFAULT_FPS:g}")
    return number


def _clock(text: str) -> float | None:
    match = re.fullmatch(r"(?:(?:([0-9]+):)?([0-9]+):)?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)", text)
    if match is None:
        return None
    hours, minutes, seconds = match.groups()
    if (minutes and float(seconds) >= 60) or (hours and int(minutes) >= 60):
        return None
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def _number(value: object) -> float | None:
    try:
        return None if isinstance(value, (str, bool)) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def _at_least_one(what: str, value: int, remedy: str) -> int:
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise InputError(f"{what} is {value!r}: it must be a whole number, 1 or more; {remedy}")
    return number
