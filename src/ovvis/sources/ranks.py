"""The places of packets in the order in which their frames are shown."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import final

from ovvis.sources.clock import JOIN
from ovvis.sources.container import MAX_DELAY


@final
class Ranks:
    """Tells a frame's place from the times of the packets, whatever the decoder makes of the others.

    Args:
        second: ticks of the clock in a second.
        origin: pts of the first frame; what is shown before it is not counted.
        first: the place of the first frame.
    """

    def __init__(self, second: float, origin: int, first: int = 0) -> None:
        self._far = JOIN * second
        self._origin: int | None = origin
        self._recordings = [_Recording(first)]  # several where they were joined
        self._last_fed: int | None = None  # dts
        self._lost = 0  # in recordings that are over

    def fed(self, pts: int, dts: int | None) -> None:
        """Note a packet, in the order of decoding."""
        newest = self._recordings[-1]
        joined = dts is not None and self._last_fed is not None and dts < self._last_fed - self._far
        if newest.last is not None and pts < newest.last - self._far:
            joined = True
        self._last_fed = dts if dts is not None else self._last_fed
        if joined:
            self._origin = None
            newest = _Recording(newest.end)
            self._recordings.append(newest)
        if self._origin is None or pts >= self._origin:
            newest.fed(pts)

    def taken(self, pts: int | None) -> int:
        """Return the place of a frame that came."""
        while len(self._recordings) > 1 and not self._recordings[0].waits_for(pts):
            over = self._recordings.pop(0)
            self._lost += over.missing + over.waiting
        return self._recordings[0].taken(pts)

    @property
    def missing(self) -> int:
        """How many frames before the last one have not come."""
        return self._lost + self._recordings[0].missing

    @property
    def waiting(self) -> int:
        """How many frames behind the last one have not come."""
        return sum(recording.waiting for recording in self._recordings)


@final
class _Recording:
    """The packets of one recording; each has an order, which is its pts unless it is fed too late for that."""

    def __init__(self, first: int) -> None:
        self._base = first  # place of the first entry
        self._orders: list[tuple[int, int]] = []  # order, and a number that keeps equal ones apart; sorted
        self._open: dict[int, list[tuple[int, int]]] = {}  # pts -> entries whose frames have not come
        self._fed = 0
        self._last_entry: tuple[int, int] | None = None  # the furthest that came
        self._passed = 0  # entries that are forgotten and whose frame has not come
        self.last: int | None = None  # pts of the furthest frame that came

    @property
    def end(self) -> int:
        """The place behind the last packet's."""
        return self._base + len(self._orders)

    def fed(self, pts: int) -> None:
        # A packet that comes when later frames have come takes its place behind them: no place is given twice.
        order = pts if self._last_entry is None else max(pts, self._last_entry[0])
        entry = (order, self._fed)
        self._fed += 1
        insort(self._orders, entry)
        self._open.setdefault(pts, []).append(entry)

    def waits_for(self, pts: int | None) -> bool:
        return pts in self._open if pts is not None else bool(self._open)

    def taken(self, pts: int | None) -> int:
        entry = self._entry(pts)
        if entry is None:  # a frame without a packet: behind all
            self._orders.append(((self._last_entry or (0, 0))[0], self._fed))
            self._orders.sort()
            entry = self._orders[-1]
            self._fed += 1
        place = self._base + bisect_left(self._orders, entry)
        if self._last_entry is None or entry > self._last_entry:
            self._last_entry = entry
            self.last = pts if pts is not None else self.last
        self._forget()
        return place

    def _entry(self, pts: int | None) -> tuple[int, int] | None:
        """Take out the entry of the frame; where no packet has its pts, the first whose frame has not come."""
        if pts is None or pts not in self._open:
            if not self._open:
                return None
            pts = min(self._open, key=lambda known: self._open[known][0])
        entries = self._open[pts]
        entry = entries.pop(0)
        if not entries:
            del self._open[pts]
        return entry

    def _forget(self) -> None:
        """Drop the entries far before the last frame that came."""
        assert self._last_entry is not None
        over = bisect_left(self._orders, self._last_entry) - 4 * MAX_DELAY
        if over <= MAX_DELAY:
            return
        gone = set(self._orders[:over])
        self._base += over
        del self._orders[:over]
        for pts in [pts for pts, entries in self._open.items() if not gone.isdisjoint(entries)]:
            left = [entry for entry in self._open[pts] if entry not in gone]
            self._passed += len(self._open[pts]) - len(left)
            if left:
                self._open[pts] = left
            else:
                del self._open[pts]

    @property
    def missing(self) -> int:
        """How many frames before the furthest one have not come."""
        if self._last_entry is None:
            return 0
        return self._passed + sum(e < self._last_entry for entries in self._open.values() for e in entries)

    @property
    def waiting(self) -> int:
        """How many frames behind the furthest one have not come."""
        return sum(len(entries) for entries in self._open.values()) - (self.missing - self._passed)
