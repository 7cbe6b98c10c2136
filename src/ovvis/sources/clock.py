"""The times of a video's frames: seconds from its first frame."""

from __future__ import annotations

import heapq
from fractions import Fraction
from typing import Any, Literal, final

JOIN = 1.0
"""Seconds by which the clock must step back to be one that began again: recordings joined into one file."""


@final
class Clock:
    """Turns the file's times into seconds from the first frame.

    A file whose times stand in the order of decoding (AVI) gives the k-th frame shown the k-th time. Where the
    clock steps far back, recordings were joined: time goes on one frame after the last. A small step back is that
    of one frame, which comes late or has a flaw in its time, and moves no other.

    Args:
        base: seconds of one tick; None if the file has no clock.
        first: the pts of the first frame; None if it has none.
        rate: frames a second, where the clock says nothing.
        order: which of a packet's times stand in the order of decoding; None if the frames' own are right.
    """

    def __init__(self, base: Fraction | None, first: int | None, rate: float, order: Literal["pts", "dts"] | None):
        self._base, self._first, self._rate, self._order = base, first, rate, order
        self._waiting: list[int] = []  # times of packets, where they are in order
        self._zero: int | None = None  # the first of them
        self._shift = 0.0  # seconds added to the file's own times
        self._last_dts: int | None = None
        self._stepped = False  # the packets' clock went back since the last join
        self._index = -1  # of the last frame
        self.time = 0.0  # of the furthest frame
        self.longest_gap = 0.0  # between two frames

    def fed(self, packet: Any) -> None:
        """Note a packet, in the order of decoding."""
        dts = packet.dts
        if dts is not None:
            self._stepped = self._stepped or (self._last_dts is not None and dts < self._last_dts)
            self._last_dts = dts
        tick = packet.pts if self._order == "pts" else dts
        if self._order and tick is not None and not packet.is_discard:
            heapq.heappush(self._waiting, tick)

    def read(self, pts: int | None) -> float | None:
        """Return the time of the frame that follows, or None where only its index can tell."""
        if pts is None or self._first is None or self._base is None or self._order:
            return None
        time = float((pts - self._first) * self._base) + self._shift
        back = self.time - time
        if self._index < 0:
            return time
        if back > JOIN or (self._stepped and back > max(0.1, 3 / self._rate)):
            self._stepped = False
            self._shift += back + 1 / self._rate
            return self.time + 1 / self._rate
        return time

    def settle(self, time: float | None, index: int) -> float:
        """Return the time of the frame at `index`, for which `read` gave `time`; the clock is there now, or ahead."""
        if time is None:
            time = self._by_index(index)
        if self._index >= 0:
            self.longest_gap = max(self.longest_gap, time - self.time)
        self._index, self.time = max(self._index, index), max(self.time, time)
        return time

    def _by_index(self, index: int) -> float:
        if not self._order or self._base is None:
            return index / self._rate
        tick = None
        for _ in range(index - self._index):
            tick = heapq.heappop(self._waiting) if self._waiting else None
        if tick is None:
            return self.time + 1 / self._rate
        self._zero = tick if self._zero is None else self._zero
        return max(float((tick - self._zero) * self._base), self.time)
