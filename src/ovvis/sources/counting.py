"""Which frame of its file a decoded frame is, and how many before it were lost."""

from __future__ import annotations

from typing import Any, final

from ovvis.sources.container import MAX_DELAY
from ovvis.sources.ranks import Ranks

_BELIEVED = 60.0
"""Seconds that a damaged file's clock may leap ahead and still tell how many frames are missing."""


@final
class Counting:
    """Gives every readable frame its index and keeps account of those that are lost.

    Where each packet is one frame with a time of its own, an index is a rank among the packets' times, so that a
    frame that never comes out of the decoder leaves its number free, wherever a reading began. Elsewhere frames
    are counted as they come, and the clock tells where a frame that was reported lost had its place.

    Args:
        ranks: tells the place of each frame, if the packets do.
        rate: frames a second.
        steady: whether the clock's steps are even, so that a long step tells how many frames are missing.
    """

    def __init__(self, ranks: Ranks | None, rate: float, steady: bool) -> None:
        self._ranks, self._rate, self._steady = ranks, rate, steady
        self.index = -1  # of the furthest readable frame
        self._time: float | None = None  # its time by the clock, seconds
        self._begun = False
        self._passed = 0  # lost frames with a readable one behind them, but for those that the ranks know of
        self._absent = 0  # those of them that no packet speaks of
        self.uncounted = False  # more were lost, but nothing tells how many
        self._why = ""  # why the last of them could not be read
        self._reports: list[str] = []  # why frames were lost whose place is not known
        self._reports_before = 0  # their number at the frame before
        self._since_report = 0  # readable frames since the last report
        self._broken = ""  # why the data end
        self._free: list[int] = []  # numbers of the frames that were lost of late
        self._doubt = ""  # why data are missing near here
        self._doubt_left = 0  # for how many more frames

    def fed(self, packet: Any) -> None:
        """Note a packet, in the order of decoding."""
        if self._ranks is not None and packet.pts is not None and not packet.is_discard:
            self._ranks.fed(packet.pts, packet.dts)

    def failed(self, reason: str) -> None:
        """Note that a frame could not be read, some frames ahead of its place."""
        self._reports.append(reason)

    def doubted(self, reason: str) -> None:
        """Note that data are missing before the packet that is fed next."""
        self._doubt, self._doubt_left = reason, MAX_DELAY

    def broke(self, reason: str) -> None:
        """Note that the data cannot be read on."""
        self._broken = reason

    def place(self, pts: int | None, time: float | None) -> int:
        """Return the index of the frame that follows, and settle which lost frames it leaves behind.

        Args:
            pts: the frame's.
            time: in seconds, by a clock that tells a gap; None where there is none.
        """
        room = None  # for frames between the last one and this, by the clock
        if self._begun and time is not None and self._time is not None:
            steps = round((time - self._time) * self._rate)
            if self._ranks is None and self.index + steps in self._free:  # it comes late
                self._free.remove(self.index + steps)
                self._passed -= 1
                return self.index + steps
            room = max(steps - 1, 0)
        index = self._counted(room) if self._ranks is None else self._ranks.taken(pts) + self._absent
        if self._doubt_left:
            self._doubt_left -= 1
            between = index - self.index - 1
            if room is not None and room > between >= 0:
                self._why = self._doubt
                if self._steady and room <= _BELIEVED * self._rate:
                    self._absent, self._passed = self._absent + room - between, self._passed + room - between
                    index += room - between
                else:
                    self.uncounted = True
        if self._begun:
            self._free = [*self._free, *range(self.index + 1, index)][-MAX_DELAY:]
        self._begun, self._time = True, time if self._time is None or time is None else max(self._time, time)
        self.index = max(self.index, index)
        return index

    def _counted(self, room: int | None) -> int:
        """Return the index by counting, settling reports of losses where the clock has room for them."""
        self._since_report = self._since_report + 1 if len(self._reports) == self._reports_before else 0
        lost = 0 if not self._begun else len(self._reports) if room is None else min(room, len(self._reports))
        settled = lost
        if self._since_report > MAX_DELAY:  # no gap showed it, but it is too long ago to lie ahead
            settled = len(self._reports)
        if settled:
            self._passed, self._why = self._passed + settled, self._reports[0]
            del self._reports[:settled]
        self._reports_before = len(self._reports)
        return self.index + 1 + lost

    @property
    def harmed(self) -> bool:
        """Whether any loss was reported so far."""
        return bool(self._reports or self._doubt or self._broken or self.skipped)

    @property
    def skipped(self) -> int:
        """How many frames before the furthest one could not be read."""
        return self._passed + (0 if self._ranks is None else self._ranks.missing)

    @property
    def why(self) -> str:
        """Why the skipped ones could not be read."""
        if self._ranks is not None and self._ranks.missing and self._reports:
            return self._reports[0]
        return self._why or self._doubt or "the decoder made nothing of the data"

    @property
    def broken(self) -> str:
        """Why no readable frame came behind the furthest one, though data did; empty if none did."""
        if self._broken:
            return self._broken
        lost_behind = bool(self._reports) if self._ranks is None else self._ranks.waiting > 0 and bool(self._reports)
        return self._reports[-1] if lost_behind else ""
