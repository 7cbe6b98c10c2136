"""How many frames a second a video has: what its header says, held against its first packets."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from ovvis.sources.source import DEFAULT_FPS

_STANDARD = tuple(float(Fraction(n, d)) for n, d in ((24000, 1001), (30000, 1001), (60000, 1001), (120000, 1001)))
_STANDARD += tuple(map(float, (5, 10, 12, 12.5, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)))
_ABSURD = 1000.0  # frames a second that only a header with another meaning says: a camera's clock, a default


def frame_rate(average: float | None, guessed: float | None, times: Sequence[float], lengths: Sequence[float]) -> float:
    """Return a video's average rate in frames a second.

    The header's average is right for most files, but some hold the clock's rate or that of fields in its place, and
    a file without a clock a number made up. It is taken where no two packets lie closer than it says.

    Args:
        average: the header's average rate, or None.
        guessed: libav's guess of the rate, or None.
        times: of the first packets, seconds, in any order; empty if they have none.
        lengths: of the first packets, seconds, where the file says them.

    >>> frame_rate(60000.0, 25.0, [0, 0.04, 0.08, 0.12], [])
    25.0
    >>> frame_rate(25.0, 30000 / 1001, [], [1001 / 30000] * 4)
    29.97002997002997
    """
    ordered = sorted(set(times))
    steps = [b - a for a, b in pairwise(ordered)]
    steps = [step for step in steps if step > 1e-6]
    if len(steps) < 2:
        stated = sorted(length for length in lengths if length > 1e-6)
        by_length = _standard(1 / stated[len(stated) // 2]) if stated else None
        for rate in (guessed, by_length, average) if not times else (average, guessed, by_length):
            if rate and 0 < rate < _ABSURD:
                return rate
        return DEFAULT_FPS
    counted = (len(times) - 1) / sum(steps)
    fastest = max(1 / sorted(steps)[len(steps) // 10], counted)  # but for a few, which may be flaws
    for rate in (average, guessed):
        if rate and 0 < rate <= 1.4 * fastest:
            return rate
    return _standard(counted)


def is_steady(times: Sequence[float]) -> bool:
    """Return whether times (seconds, in any order) are evenly apart, but for rounding to milliseconds.

    >>> is_steady([0, 0.033, 0.067, 0.1]), is_steady([0, 0.033, 0.2, 0.233, 0.5])
    (True, False)
    """
    ordered = sorted(times)
    steps = sorted(b - a for a, b in pairwise(ordered))
    if not steps:
        return False
    usual = steps[len(steps) // 2]
    even = sum(abs(step - usual) <= max(0.0021, 0.1 * usual) for step in steps)
    return usual > 0 and even >= 0.9 * len(steps)


def _standard(rate: float) -> float:
    """Return the usual rate that a counted one is meant to be, or itself."""
    nearest = min(_STANDARD, key=lambda standard: abs(standard - rate))
    return nearest if abs(nearest - rate) <= 0.0015 * rate else rate
