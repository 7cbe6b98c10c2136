"""One line that says how a live run fares; in a file, where a line that changes would be noise, one a minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.live import Live as Changing
from rich.text import Text

from ovvis.cli.console import SILENCE, count, note, notes
from ovvis.inference.live_meter import LiveMeter
from ovvis.plain import visible
from ovvis.structures import LiveFrame

_AFRESH = 0.25  # seconds between two changes of the line
_NAMED = 4  # objects that it names


def latencies(quantile: Callable[[float], float]) -> str:
    """Return how long frames take, as text, from what gives the latency that a share stays below."""
    half, most = quantile(0.5), quantile(0.95)
    return f"{_seconds(half)} (p50), {_seconds(most)} (p95)"


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 10 else f"{value:.1f} s"


class Status:
    """Shows the line for the block.

    Args:
        name: of the source.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._line = Changing(console=notes, transient=True, auto_refresh=False) if notes.is_terminal else None
        self._spoken = time.monotonic()

    def __enter__(self) -> Status:
        if self._line is not None:
            self._line.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            self._line.stop()

    def show(self, meter: LiveMeter, live: LiveFrame, troubles: Sequence[str]) -> None:
        """Say how things are, if it is time."""
        now = time.monotonic()
        if now - self._spoken < (_AFRESH if self._line is not None else SILENCE):
            return
        self._spoken = now
        text = self._text(meter, live, troubles)
        if self._line is not None:
            self._line.update(Text(visible(text), overflow="ellipsis", no_wrap=True), refresh=True)
        else:
            note(text)

    def _text(self, meter: LiveMeter, live: LiveFrame, troubles: Sequence[str]) -> str:
        names = [f"{one.label} #{one.id}" for one in live.instances[:_NAMED]]
        names += ["..."] if len(live.instances) > _NAMED else []
        parts = [
            f"{self._name}: {meter.fps:.1f} pictures/s",
            f"latency {latencies(meter.latency)}",
            f"{meter.left_out:,} left out of {count(meter.frames + meter.left_out, 'frame')}",
            *troubles,
            ", ".join(names) or "nothing in the picture",
        ]
        return "; ".join(parts)
