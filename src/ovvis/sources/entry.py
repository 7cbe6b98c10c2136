"""Where to enter a file so that what comes from there is what a reading from the beginning gives."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import av
from av.video.frame import PictureType

from ovvis.sources.container import MAX_DELAY, Reasons, open_video, packets
from ovvis.sources.facts import Facts
from ovvis.sources.place import Place
from ovvis.sources.source import Moment


class AstrayError(Exception):
    """A reading that entered in the middle met something else than was expected: begin at the beginning."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A keyframe behind which every frame shown later lies, and what must come from there."""

    times: Sequence[int]  # pts of the frames from the keyframe up to the first frame asked for, in order
    rank: int  # the keyframe's index in the file

    @property
    def key(self) -> int:
        """The keyframe's pts."""
        return self.times[0]

    def led(
        self, frames: Generator[av.VideoFrame, None, None], harmed: Callable[[], bool]
    ) -> Generator[av.VideoFrame, None, None]:
        """Yield the frames from the keyframe on.

        Args:
            frames: what is decoded.
            harmed: tells whether a loss was reported so far.

        Raises:
            AstrayError: up to the target, they are not those that must come, or there was a loss.
        """
        came = 0
        for frame in frames:
            if not came and (frame.pts is None or frame.pts < self.key):
                continue  # the container led to an earlier keyframe, or it is shown before this one
            if not came and not (frame.key_frame and frame.pict_type == PictureType.I):
                raise AstrayError
            # What a decoder makes up in place of lost data depends on all that it saw before.
            if came < len(self.times) and (harmed() or frame.pts != self.times[came]):
                raise AstrayError
            came += 1
            yield frame
        if came < len(self.times):
            raise AstrayError


@dataclass(frozen=True, slots=True)
class Timeline:
    """When a file's frames are shown, and where it can be entered; from its packets alone, without decoding."""

    times: list[int]  # pts of the frames, in order
    keys: list[int]  # pts of the keyframes behind which every frame shown later lies, in order

    def entry(self, target: int) -> Entry | None:
        """Return where to enter for the frame at an index, or None for the beginning.

        It is the last keyframe but one before it: where data are damaged, what a decoder puts in their place comes from
        frames before the last one.
        """
        before = bisect_right(self.keys, self.times[target])
        if before < 2:
            return None
        rank = bisect_left(self.times, self.keys[before - 2])
        return Entry(array("q", self.times[rank : target + 1]), rank) if rank else None


def find_entry(place: Place, start: Moment, facts: Facts) -> Entry | None:
    """Return where to enter a file for `start`, or None where reading from the beginning is the sure way."""
    found = read_timeline(place, facts, start)
    if found is None:
        return None
    last = len(found.times) - 1
    return found.entry(next((i for i, t in enumerate(found.times) if start.reached(i, facts.seconds(t))), last))


def read_timeline(place: Place, facts: Facts, until: Moment | None = None) -> Timeline | None:
    """Return a file's timeline, or None where reading from the beginning is the sure way.

    An index is a frame's true place in the file whatever its rate. Any irregularity among the packets gives None.

    Args:
        place: the file.
        facts: what is known of it.
        until: read no farther than it takes to know all frames up to this moment; None reads all.
    """
    first = facts.first.pts
    if not facts.by_rank or first is None or facts.base is None:
        return None
    times: list[int] = []
    keys: list[int] = []
    doubts = Reasons()
    last_dts: int | None = None
    latest = first - 1
    with open_video(place, facts.number) as opened:
        for packet in packets(opened, doubts):
            if packet is None:
                break
            pts, dts = packet.pts, packet.dts
            if packet.is_discard:
                continue
            if pts is None or packet.is_corrupt or (dts is not None and last_dts is not None and dts <= last_dts):
                return None
            last_dts = dts if dts is not None else last_dts
            if pts < first:
                continue
            if packet.is_keyframe and pts > latest:  # every packet behind it is shown behind it, or is not needed
                keys.append(pts)
            latest = max(latest, pts)
            times.append(pts)
            # Of the frames before one this many packets back, none can be missing.
            far = len(times) - 1 - MAX_DELAY
            if until is not None and far >= 0 and until.reached(far, facts.seconds(times[far])):
                break
    times.sort()
    if doubts.reasons or not times or times[0] != first or len(set(times)) != len(times):
        return None
    return Timeline(times, keys)
