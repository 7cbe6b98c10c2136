"""The part of the picture that is asked for, as people write it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ovvis.errors import InputError
from ovvis.structures import Region, SourceInfo

LEAST = 16  # pixels of a side
_REMEDY = "write a rectangle as x,y,width,height or a polygon as x1,y1;x2,y2;x3,y3, in pixels"

RoiLike = str | Sequence[float] | Sequence[Sequence[float]]


def parse_region(roi: RoiLike) -> tuple[tuple[float, float], ...]:
    """Return the corners of a rectangle (two) or a polygon (three or more) in pixels.

    Raises:
        InputError: it is neither.

    >>> parse_region("10,20,300,200"), parse_region([(0, 0), (9, 0), (0, 9)])
    (((10.0, 20.0), (310.0, 220.0)), ((0.0, 0.0), (9.0, 0.0), (0.0, 9.0)))
    """
    try:
        if isinstance(roi, str):
            points = [[float(n) for n in part.split(",")] for part in re.split(r"[;\s]+", roi.strip(" ;"))]
        else:
            items: list[Any] = list(roi)
            points = [[float(n) for n in p] if isinstance(p, Sequence) else [float(p)] for p in items]
            if points and all(len(p) == 1 for p in points):
                points = [[p[0] for p in points]]
    except (TypeError, ValueError) as error:
        raise InputError(f"roi is {roi!r}: it must be numbers; {_REMEDY}") from error
    if not all(abs(n) < 1e6 for p in points for n in p):
        raise InputError(f"roi is {roi!r}: its numbers must be pixels of a picture; {_REMEDY}")
    if len(points) == 1 and len(points[0]) == 4:
        x, y, width, height = points[0]
        return (x, y), (x + width, y + height)
    if len(points) >= 3 and all(len(p) == 2 for p in points):
        return tuple((x, y) for x, y in points)
    raise InputError(f"roi is {roi!r}: it must be a rectangle or a polygon; {_REMEDY}")


def region_of(corners: Sequence[tuple[float, float]], info: SourceInfo) -> Region:
    """Return a region of a source's picture: whole pixels around its corners.

    Raises:
        InputError: it reaches out of the picture, or is too small.
    """
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    left, top = int(min(xs) // 1), int(min(ys) // 1)
    right, bottom = int(-(-max(xs) // 1)), int(-(-max(ys) // 1))
    shown = f"roi reaches from {left},{top} to {right},{bottom}"
    if left < 0 or top < 0 or right > info.width or bottom > info.height:
        raise InputError(f"{shown}: it must lie within {info.name}, which is {info.width}x{info.height}; give a part")
    if right - left < LEAST or bottom - top < LEAST:
        raise InputError(f"{shown}: it must be {LEAST} pixels wide and high or more; give a larger part")
    polygon = tuple((x - left, y - top) for x, y in corners) if len(corners) > 2 else ()
    return Region(left, top, right - left, bottom - top, polygon)
