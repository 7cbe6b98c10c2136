"""Random numbers and curves that are the same on every machine.

Random numbers come from PCG64's raw output alone: numpy promises that stream, and not the methods of `Generator`.
Everything else is whole numbers, or float64 under +, -, *, / and floor, one operation at a time, which IEEE 754
fixes to the bit. No sum over an array of floats, no product of matrices, no function of a mathematics library:
their last bit hangs on the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
TURN = 4096  # steps of a whole turn in the table of sines
UNIT = 1 << 14  # the table's 1
_PI = 3.141592653589793


class Dice:
    """A stream of random numbers.

    Args:
        seed: whole numbers from 0; each sequence of them is a stream of its own.
    """

    def __init__(self, *seed: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(list(seed)))

    def unit(self) -> float:
        """Return a number in [0, 1)."""
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.unit()

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from low to high, both included."""
        return low + (((int(self._bits.random_raw()) >> 32) * (high - low + 1)) >> 32)

    def chance(self, share: float) -> bool:
        """Return true so often."""
        return self.unit() < share

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of some."""
        return choices[self.whole(0, len(choices) - 1)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return all in a random order."""
        out = list(items)
        for i in range(len(out) - 1, 0, -1):
            j = self.whole(0, i)
            out[i], out[j] = out[j], out[i]
        return out

    def bytes(self, *shape: int) -> NDArray[np.uint8]:
        """Return random bytes of a shape."""
        count = 1
        for edge in shape:
            count *= edge
        raw = np.asarray(self._bits.random_raw((count + 7) // 8), dtype=np.uint64).astype("<u8")
        return raw.view(np.uint8)[:count].reshape(shape).copy()


def _sines() -> NDArray[np.int32]:
    """Return a turn of sines times UNIT, by Taylor's series in Python's own floats."""
    quarter = []
    for i in range(TURN // 4 + 1):
        x = 2.0 * _PI * i / TURN
        term = total = x
        for n in range(1, 12):
            term = -term * x * x / ((2 * n) * (2 * n + 1))
            total = total + term
        quarter.append(int(total * UNIT + 0.5))
    half = quarter + quarter[-2::-1]
    return np.array([*half[:-1], *(-value for value in half[:-1])], dtype=np.int32)


SINES = _sines()
"""SINES[i] is the sine of i / TURN turns, times UNIT."""


def sine(turns: float) -> int:
    """Return the sine of so many turns, times UNIT.

    >>> sine(0.25) == UNIT, sine(0.5), sine(1.75) == -UNIT
    (True, 0, True)
    """
    return int(SINES[int(turns * TURN // 1) % TURN])


def cosine(turns: float) -> int:
    """Return the cosine of so many turns, times UNIT."""
    return sine(turns + 0.25)


def smooth(keys: Sequence[float], frames: int) -> list[float]:
    """Return a curve through keys that lie evenly over some frames (Catmull and Rom's), a value a frame.

    >>> smooth([0.0, 1.0], 3)
    [0.0, 0.5, 1.0]
    """
    if len(keys) == 1 or frames == 1:
        return [float(keys[0])] * frames
    out = []
    for i in range(frames):
        place = i * (len(keys) - 1) / (frames - 1)
        k = min(int(place), len(keys) - 2)
        u = place - k
        b, c = keys[k], keys[k + 1]
        a, d = keys[max(k - 1, 0)], keys[min(k + 2, len(keys) - 1)]
        bend = (a * -1.0 + b * 3.0 - c * 3.0 + d) * u + (a * 2.0 - b * 5.0 + c * 4.0 - d)
        out.append(b + 0.5 * u * ((c - a) + u * bend))
    return out
