"""Pixels that are not square, as a video states them: DV, DVD, anamorphic."""

from __future__ import annotations

from fractions import Fraction

SQUARE = Fraction(1)

_MOST = 4
"""The most unequal pixels that are believed: those of half-width DVD pictures for a wide screen come nearest, 2.4."""


def pixel_aspect(stated: Fraction | None, name: str) -> tuple[Fraction, list[str]]:
    """Return the width of a stored pixel by its height, and what to tell of a statement that is not believed.

    Args:
        stated: what the container says, else the codec; None or 0 where they say nothing: square pixels.
        name: what the sentence calls the video.
    """
    if not stated or stated < 0:
        return SQUARE, []
    if not Fraction(1, _MOST) <= stated <= _MOST:
        ratio = f"{stated.numerator}:{stated.denominator}"
        return SQUARE, [f"{name} says that its pixels are {ratio}, which no camera has: they are taken as square"]
    return stated, []
