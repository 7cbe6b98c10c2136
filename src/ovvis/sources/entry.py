"""Where to enter a file so that what comes from there is what a reading from the beginning gives."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Generator
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

    times: list[int]  # pts of the frames of the file, in order, up to some behind the start
    key: int  # pts of the keyframe
    target: int  # pts of the first frame asked for

    @property
    def rank(self) -> int:
        """The keyframe's index."""
        return bisect_left(self.times, self.key)

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
        rank = self.rank
        for frame in frames:
            if rank == self.rank and (frame.pts is None or frame.pts < self.key):
                continue  # the container led to an earlier keyframe, or it is shown before this one
            if rank == self.rank and not (frame.key_frame and frame.pict_type == PictureType.I):
                raise AstrayError
            awaited = rank < len(self.times) and self.times[rank] <= self.target
            # What a decoder makes up in place of lost data depends on all that it saw before.
            if awaited and (harmed() or frame.pts != self.times[rank]):
                raise AstrayError
            rank += 1
            yield frame
        if rank < len(self.times) and self.times[rank] <= self.target:
            raise AstrayError


def find_entry(place: Place, start: Moment, facts: Facts) -> Entry | None:
    """Return where to enter a file for `start`, or None where reading from the beginning is the sure way.

    It reads the packets up to `start` without decoding them, so that an index is a frame's true place in the
    file whatever its rate. Any irregularity among them gives None. The entry is the last keyframe but one before
    the start: where data are damaged, what a decoder puts in their place comes from frames before the last one.
    """
    first, base = facts.first.pts, facts.base
    if not facts.by_rank or first is None or base is None:
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
            if far >= 0 and start.reached(far, float((times[far] - first) * base)):
                break
    times.sort()
    if doubts.reasons or not times or times[0] != first or len(set(times)) != len(times):
        return None
    target = next((t for i, t in enumerate(times) if start.reached(i, float((t - first) * base))), times[-1])
    before = [key for key in keys if key <= target]
    key = before[-2] if len(before) > 1 else first
    return None if key == first else Entry(times, key, target)
