"""Which frame of its file a decoded frame is, and how many before it were lost."""

from __future__ import annotations

import heapq
from typing import Any, final

from ovvis.io.clock import JOIN
from ovvis.io.container import MAX_DELAY


@final
class Counting:
    """Gives every readable frame its index and keeps account of those that are lost.

    Where each packet is one frame with a time of its own, an index is a rank among the packets' times, so that a
    frame that never comes out of the decoder leaves its number free, wherever a reading began. Elsewhere frames
    are counted as they come, and the clock tells where a frame that was reported lost had its place.

    Args:
        second: ticks of the clock in a second if each packet is one frame with a time of its own, else None.
        rate: frames a second.
        steady: whether the clock's steps are even, so that a long step tells how many frames are missing.
        first: the index of the first frame that will come.
        origin: its pts.
    """

    def __init__(self, second: float | None, rate: float, steady: bool, first: int = 0, origin: int | None = None):
        self._pending = None if second is None else _Pending(second, origin)
        self._rate, self._steady = rate, steady
        self.index = first - 1  # of the last readable frame
        self._time: float | None = None  # its time by the clock, seconds
        self._begun = False
        self.skipped = 0  # lost frames with a readable one behind them
        self.uncounted = False  # more were lost, but nothing tells how many
        self.why = ""  # why the last of them could not be read
        self.open: list[str] = []  # why frames were lost that no readable frame was seen behind
        self._open_before = 0  # their number at the frame before
        self._since_loss = 0  # readable frames since the last report
        self._doubt = ""  # why data are missing near here
        self._doubt_left = 0  # for how many more frames

    def fed(self, packet: Any) -> None:
        """Note a packet, in the order of decoding."""
        if self._pending is not None and packet.pts is not None and not packet.is_discard:
            self._pending.fed(packet.pts, packet.dts)

    def failed(self, reason: str) -> None:
        """Note that a frame could not be read, some frames ahead of its place."""
        self.open.append(reason)

    def doubted(self, reason: str) -> None:
        """Note that data are missing before the packet that is fed next."""
        self._doubt, self._doubt_left = reason, MAX_DELAY

    def place(self, pts: int | None, time: float | None) -> int:
        """Return the index of the frame that follows, and settle which lost frames it leaves behind.

        Args:
            pts: the frame's.
            time: in seconds, by a clock that tells a gap; None where there is none.
        """
        lost = self._pending.taken(pts) if self._pending is not None else None
        if not self._begun:
            self._begun, lost, room = True, 0, 0
        elif time is None or self._time is None:
            room = None
        else:
            room = max(round((time - self._time) * self._rate) - 1, 0)
        if lost is None:
            lost = len(self.open) if room is None else min(room, len(self.open))
        if self._doubt_left:
            self._doubt_left -= 1
            if room is not None and room > lost:
                lost, self.uncounted = (room, self.uncounted) if self._steady else (lost, True)
                self.why = self._doubt
        self._settle(lost)
        self.index, self._time = self.index + 1 + lost, time
        return self.index

    def _settle(self, lost: int) -> None:
        self._since_loss = self._since_loss + 1 if len(self.open) == self._open_before else 0
        if lost:
            self.skipped += lost
            self.why = self.open[0] if self.open else self._doubt or "the decoder made nothing of them"
            del self.open[:lost]
        if self._since_loss > MAX_DELAY and self.open:  # no gap showed it, but it is too long ago to lie ahead
            self.skipped, self.why = self.skipped + len(self.open), self.open[0]
            self.open.clear()
        self._open_before = len(self.open)


@final
class _Pending:
    """The times of packets whose frames have not come out of the decoder, from `origin` on."""

    def __init__(self, second: float, origin: int | None) -> None:
        self._far = JOIN * second
        self._origin = origin
        self._heaps: list[list[int]] = [[]]  # one for each recording, where several were joined
        self._last_fed: int | None = None  # dts
        self._last_out: int | None = None  # pts

    def fed(self, pts: int, dts: int | None) -> None:
        """Note a packet."""
        back = dts is not None and self._last_fed is not None and dts < self._last_fed - self._far
        self._last_fed = dts if dts is not None else self._last_fed
        if not back and len(self._heaps) == 1 and self._origin is not None and pts < self._origin:
            return  # shown before the first frame, so that nobody misses it
        if back or (len(self._heaps) == 1 and self._last_out is not None and pts < self._last_out):
            self._heaps.append([])
            self._origin = None
        heapq.heappush(self._heaps[-1], pts)

    def taken(self, pts: int | None) -> int:
        """Take a frame out that came; return how many before it did not come."""
        if pts is None:
            return 0
        lost = 0
        while len(self._heaps) > 1 and pts not in self._heaps[0] and pts in self._heaps[1]:
            lost += len(self._heaps.pop(0))
        heap = self._heaps[0]
        while heap and heap[0] < pts:
            heapq.heappop(heap)
            lost += 1
        if heap and heap[0] == pts:
            heapq.heappop(heap)
        else:
            lost = max(lost - 1, 0)  # it came under another time than its packet's
        self._last_out = pts
        return lost
