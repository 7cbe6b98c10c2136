"""From values of any depth to 8 bits: one scale for a whole source, stated by its files or by the user."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovvis.errors import InputError
from ovvis.sources.source import FrameError

Image8 = NDArray[np.uint8]
Values = NDArray[Any]
"""Pixels as a file has them, H x W or H x W x C (grey, grey and alpha, RGB, RGB and alpha); of any kind of number."""

SMALL_PART = 0.25
"""A range that is used to less than this is not the one that the values were made for: 14 bits in 16, for example."""

_STRIP = 2**20  # values that are scaled at a time


@dataclass(frozen=True, slots=True)
class Levels:
    """The values that become black and white."""

    low: float
    high: float

    def apply(self, values: Values) -> Image8:
        """Return values as uint8 RGB (H, W, 3): `low` and less is 0, `high` and more is 255, NaN is 0.

        Whole numbers that can be shared out evenly are (of 16 bits, the upper 8 stay); others are rounded.
        """
        taken, table, low = colours(values), None, 0
        if taken.dtype.kind in "ui" and taken.dtype.itemsize <= 2:  # few values: each is scaled once
            limits = np.iinfo(taken.dtype)
            low = int(limits.min)
            table = self._scaled(np.arange(low, int(limits.max) + 1, dtype=np.int64))
        out = np.empty(taken.shape, np.uint8)
        rows = max(_STRIP // max(math.prod(taken.shape[1:]), 1), 1)
        for top in range(0, len(taken), rows):
            strip = taken[top : top + rows]
            out[top : top + rows] = self._scaled(strip) if table is None else table[strip.astype(np.intp) - low]
        return np.repeat(out, 3, axis=2) if taken.shape[2] == 1 else out

    def _scaled(self, values: Values) -> Image8:
        """Return values as 0 to 255, of the same shape."""
        with np.errstate(invalid="ignore"):  # a signalling NaN
            wide = np.nan_to_num(values.astype(np.float64), nan=self.low)
        share = np.clip(wide, self.low, self.high) - self.low
        if values.dtype.kind in "ui" and (self.high - self.low + 1) % 256 == 0:
            return np.floor(share * 256 / (self.high - self.low + 1)).astype(np.uint8)
        return np.rint(share / (self.high - self.low) * 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in pictures of one source."""

    low: float  # of the finite values
    high: float
    odd: int  # values that are NaN or infinite
    pictures: int

    def range(self) -> str:
        """Return the values as people write them."""
        where = "" if self.pictures == 1 else f" in {self.pictures} pictures looked at"
        return f"{self.low:g} to {self.high:g}{where}"


def parse_levels(levels: object) -> Levels | None:
    """Return what a user gave as levels: "LOW,HIGH", or two numbers; None for None.

    Raises:
        InputError: it is neither, or the second is not above the first.

    >>> parse_levels("2900,3400")
    Levels(low=2900.0, high=3400.0)
    """
    if levels is None or isinstance(levels, Levels):
        return levels
    try:
        parts: list[Any] = levels.split(",") if isinstance(levels, str) else list(levels)  # type: ignore[call-overload]
        low, high = (float(part) for part in parts)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(high - low) and low < high):
        raise InputError(
            f"levels {levels!r}: they must be two numbers, the value that becomes black and a higher one that becomes"
            " white; write them like 2900,3400"
        )
    return Levels(low, high)


def colours(values: Values) -> Values:
    """Return pixels without their alpha: H x W x 1 or H x W x 3."""
    if values.ndim == 2:
        return values[..., None]
    return values[..., :1] if values.shape[2] < 3 else values[..., :3]


def survey(pictures: Iterable[Values]) -> Found:
    """Return which values pictures use.

    Raises:
        FrameError: no value is finite.
    """
    low, high, odd, count = math.inf, -math.inf, 0, 0
    for values in pictures:
        count += 1
        taken = colours(values)
        finite = taken[np.isfinite(taken)] if taken.dtype.kind == "f" else taken
        odd += taken.size - finite.size
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        raise FrameError("no value is a finite number: a picture must have some; mend or remove it")
    return Found(low, high, odd, count)


def choose(
    name: str, dtype: np.dtype[Any], stated: tuple[float, float] | None, found: Found
) -> tuple[Levels, str | None]:
    """Return the scale of a source for which the user gave none, and what is to be said of it.

    Args:
        name: the source, or the file, that messages name.
        dtype: of its values.
        stated: the lowest and highest value that the file says it uses.
        found: which values it does use.

    Raises:
        FrameError: nothing says a scale, and the values do not fill the one that their kind has.
    """
    kind = f"{dtype.itemsize * 8}-bit {'float' if dtype.kind == 'f' else 'integer'}"
    remedy = f"give --levels {found.low:.6g},{found.high:.6g} (levels= in Python), or convert to 8 bits"
    odd = f" ({found.odd:,} are NaN or infinite: NaN becomes black)" if found.odd else ""
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    full = (0.0, 1.0) if dtype.kind == "f" else (float(limits.min), float(limits.max))
    if stated is not None:
        if found.low < stated[0] or found.high > stated[1]:
            raise FrameError(
                f"{name} has {kind} values from {found.range()}, but states {stated[0]:g} to {stated[1]:g}: {remedy}"
            )
        note = f"{name}: {kind} values are scaled from {stated[0]:g} to {stated[1]:g}, as stated{odd}"
        return Levels(*stated), None if stated == full and dtype.kind != "f" else note
    inside = full[0] <= found.low and found.high <= full[1]
    filled = found.low == found.high or found.high - found.low >= SMALL_PART * (full[1] - full[0])
    if not (inside and filled):
        raise FrameError(
            f"{name} has {kind} values from {found.range()}{odd}, and does not say which are black and white: {remedy}"
        )
    if dtype.kind == "f":
        return Levels(*full), f"{name}: {kind} values from {found.range()} are scaled from 0 to 1{odd}"
    return Levels(*full), None
