"""A video file as a source: PyAV's frames turned upright, counted, timed, and what was lost of them told."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from copy import copy
from dataclasses import replace
from typing import Any, final

import av

from ovvis.errors import InputError
from ovvis.sources.aspect import pixel_aspect
from ovvis.sources.clock import Clock
from ovvis.sources.container import MAX_DELAY, decode
from ovvis.sources.counting import Counting
from ovvis.sources.entry import AstrayError, Entry, find_entry, read_timeline
from ovvis.sources.facts import Facts, facts
from ovvis.sources.levels import Image8
from ovvis.sources.place import Place
from ovvis.sources.ranks import Ranks
from ovvis.sources.rgb import RgbFrames
from ovvis.sources.source import Moment, Source, Span, Stretch, WholeOnlyError
from ovvis.sources.turn import UPRIGHT, display_turn
from ovvis.structures import Frame, SourceInfo

FAR = 1000  # frames that may be decoded in vain before a stretch, or four times as many as it has


@final
class _Pass:
    """One reading of a file: what it has met so far. It watches the decoder's packets."""

    def __init__(self, known: Facts, entry: Entry | None = None) -> None:
        first = known.first.pts
        self.clock = Clock(known.base, first, known.rate, known.order)
        ranks = None
        if known.by_rank and known.base is not None and first is not None:
            place = (first, 0) if entry is None else (entry.key, entry.rank)
            ranks = Ranks(float(1 / known.base), *place)
        self.counting = Counting(ranks, known.rate, known.steady)
        self.used = 0  # frames given to the caller
        self.started = False  # whether a frame at the start or behind it was met
        self.ended = False  # the file's data ended before the options did
        self.scaled: dict[tuple[int, int], int] = {}  # frames of another size (height, width) than the first

    def fed(self, packet: Any) -> None:
        """Note a packet, in the order of decoding."""
        self.clock.fed(packet)
        self.counting.fed(packet)

    def failed(self, reason: str) -> None:
        """Note that a frame could not be read."""
        self.counting.failed(reason)

    def doubted(self, reason: str) -> None:
        """Note that data are missing."""
        self.counting.doubted(reason)

    def broke(self, reason: str) -> None:
        """Note that the data cannot be read on."""
        self.counting.broke(reason)


@final
class FileSource(Source):
    """A video file, decoded with PyAV.

    Args:
        place: a file, here or on the network.
        span: which frames are asked for.
        stream: which of its video streams, from 0; None for its default.

    Attributes:
        place: as given.
        span: as given.
        facts: what is known of it.
        turned: whether its pictures are turned upright.
        converted: whether its colours are converted, HDR or a wide gamut.
    """

    def __init__(self, place: Place, span: Span, stream: int | None = None) -> None:
        name = place.name
        self.place, self._name, self.span = place, name, span
        self.facts = known = facts(place, stream)
        self._size = (known.first.height, known.first.width)
        self._turn = display_turn(known.first)
        height, width = self._size[::-1] if self._turn.transpose else self._size
        span.check_order()
        count = span.count(known.rate, known.total)  # an estimate refuses nothing
        self._rgb = RgbFrames(name, known.first)
        self.turned, self.converted = self._turn != UPRIGHT, self._rgb.converted
        notes = self._rgb.notes
        aspect, doubted = pixel_aspect(known.stated_aspect, name)
        notes += doubted
        aspect = 1 / aspect if self._turn.transpose else aspect
        self.info = SourceInfo(name, height, width, known.rate / span.every, count or None, aspect)
        if stream is None and known.choices > 1:
            notes.append(
                f"{name} has {known.choices} video streams: number {known.number} is used, its default; choose"
                f" another with stream (0 to {known.choices - 1})"
            )
        self.notes = notes
        self.rereadable = True
        self.files = [file] if (file := place.path) else []
        self._entry: Entry | None = None  # where it is entered; None: that is found

    def __iter__(self) -> Iterator[Frame]:
        self.problem = None
        return self._read()

    def stretches(self, size: int) -> list[Stretch]:
        """See `Source`; it reads all of the file without decoding it."""
        if self.place.kind != "file":
            raise WholeOnlyError("it is read over the network")
        known = self.facts
        line = read_timeline(self.place, known)
        if line is None:
            raise WholeOnlyError("nothing tells exactly where its frames lie")
        chosen = self.span.chosen([known.seconds(pts) for pts in line.times])
        found, total = list[Stretch](), len(chosen)
        for k in range(0, total, size):
            entry = line.entry(chosen[k])
            if chosen[k] - (entry.rank if entry else 0) > max(FAR, 4 * size):
                raise WholeOnlyError("it has too few keyframes to be entered at")
            found.append(Stretch(k, min(size, total - k), k + size >= total, chosen[k], entry))
        return found

    def stretch(self, stretch: Stretch) -> Source:
        """See `Source`."""
        part, most = copy(self), self.span.max_frames
        if not stretch.last:
            most = stretch.count
        elif most is not None:  # the end of the file is looked for as a full reading does
            most -= stretch.first
        start = Moment(stretch.index, True, f"{stretch.index}f")
        part.span, part._entry = replace(self.span, start=start, max_frames=most), stretch.entry
        return part

    def _only(self, index: int) -> None:
        self._entry = None
        self.span = Span(1, Moment(index, True, f"{index}f"), None, 1)

    def only(self, index: int) -> FileSource:
        """Return a source of one frame, or of those behind it where it cannot be read."""
        alone = copy(self)
        alone._only(index)
        return alone

    def first_frames(self, count: int) -> Iterator[Frame]:
        """Return the file's first frames, whatever the options leave."""
        alone = copy(self)
        alone.span, alone._entry = Span(1, None, None, count), None
        return iter(alone)

    def _read(self) -> Iterator[Frame]:
        span, start = self.span, self.span.start
        entry = self._entry
        if entry is None and start and start.value and self.place.kind == "file":
            entry = find_entry(self.place, start, self.facts)
        seen = _Pass(self.facts, entry)
        try:
            if entry is not None:
                try:
                    yield from self._wanted(seen, span, entry)
                except AstrayError:  # before a frame was used
                    seen, entry = _Pass(self.facts), None
                    yield from self._wanted(seen, span, None)
            else:
                yield from self._wanted(seen, span, None)
            if not seen.used:
                raise self._nothing(seen)
        finally:
            self.problem = self._describe(seen)

    def _wanted(self, seen: _Pass, span: Span, entry: Entry | None) -> Generator[Frame, None, None]:
        """Yield the frames asked for; keep account in `seen`."""
        reached = beyond = 0
        with closing(self._placed(seen, entry)) as frames:
            for index, time, frame in frames:
                if span.start and not span.start.reached(index, time):
                    continue
                seen.started = True
                if span.end and span.end.reached(index, time):
                    beyond += 1
                    # In a damaged file, a frame before the end may come late.
                    if not seen.counting.skipped or beyond > MAX_DELAY:
                        return
                    continue
                if reached % span.every == 0:
                    seen.used += 1
                    yield Frame(self._image(frame, seen), index, time)
                    if seen.used == span.max_frames:
                        return
                reached += 1
        seen.ended = True

    def _placed(self, seen: _Pass, entry: Entry | None) -> Generator[tuple[int, float, av.VideoFrame], None, None]:
        """Yield index, time (seconds) and frame, from the entry or the beginning on."""
        at = None if entry is None else entry.key
        with closing(decode(self.place, seen, self.facts.number, at)) as decoded:
            for frame in decoded if entry is None else entry.led(decoded, lambda: seen.counting.harmed):
                by_clock = seen.clock.read(frame.pts)
                index = seen.counting.place(frame.pts, by_clock)
                yield index, seen.clock.settle(by_clock, index), frame

    def _image(self, frame: av.VideoFrame, seen: _Pass) -> Image8:
        stored = (frame.height, frame.width)
        if stored != self._size:
            seen.scaled[stored] = seen.scaled.get(stored, 0) + 1
        return self._turn.apply(self._rgb(frame, *self._size))

    def _describe(self, seen: _Pass) -> str | None:
        """Return the sentence on what could not be read or had to be changed, or None."""
        if not seen.used:
            return None
        told: list[str] = []
        count, short = seen.counting, self._short(seen)
        used = _frames(seen.used)
        if count.skipped or count.uncounted:
            lost = _frames(count.skipped) if not count.uncounted else "a number of frames that nothing tells"
            told.append(f"{lost} could not be read ({count.why}) and left out; {used} were used")
        if seen.ended and (count.broken or short):
            why = count.broken or "the file ends early"
            about = f" of about {self.facts.total}" if self.facts.total else ""
            before = "it was" if seen.used == 1 else "it were"
            told.append(f"frame {count.index + 1}{about} could not be read ({why}); the {used} before {before} used")
        if seen.scaled:
            sizes = ", ".join(f"{width}x{height}" for height, width in seen.scaled)
            told.append(
                f"{_frames(sum(seen.scaled.values()))} of another size ({sizes}) were scaled to the first frame's,"
                f" {self._size[1]}x{self._size[0]}"
            )
        return f"{self._name}: {'; '.join(told)}" if told else None

    def _nothing(self, seen: _Pass) -> InputError:
        """Return the error for a pass in which no frame was used."""
        count = seen.counting
        if seen.ended and (count.broken or self._short(seen)):
            why = count.broken or "the file ends early"
            return InputError(
                f"{self._name}: frame {count.index + 1} could not be read ({why}) and start lies behind it;"
                " give an earlier start, or encode the video again"
            )
        if seen.ended and not seen.started:
            return self.span.behind(self._name, count.index + 1, seen.clock.time + 1 / self.facts.rate)
        return self.span.empty(self._name)

    def _short(self, seen: _Pass) -> bool:
        """Return whether the file ended clearly before what its header announces.

        By number and by time, where both are known: a cut made in the header only (an edit list) keeps the
        old number, and the last picture of a slide show lasts longer than the average.
        """
        known, last = self.facts, seen.clock.time
        length = known.length if known.own_length else None
        if known.announced is None and length is None:
            return False
        by_number = by_time = True
        if known.announced is not None:
            missing = known.announced - (seen.counting.index + 1)
            by_number = missing > max(2, 0.01 * known.announced)
        if length is not None:
            left = length - last - 1 / known.rate
            by_time = left > max(2 / known.rate, 0.01 * length, 2 * seen.clock.longest_gap)
        return by_number and by_time


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"
