"""Masks as polygons along the edges of their pixels, and one polygon for a mask of several parts and with holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ovvis.masks import BoolArray

Ring = NDArray[np.int64]  # N, 2: x and y of corners, in pixels; the last is joined to the first


def rings(mask: BoolArray) -> list[Ring]:
    """Return the outlines of a mask (H, W): around each part, and around each hole.

    Corners lie on the corners of pixels, so that filling by the even-odd rule gives the mask back. Pixels that touch
    at a corner alone are parts of their own.

    >>> [ring.tolist() for ring in rings(np.eye(2, dtype=bool))]
    [[[0, 0], [1, 0], [1, 1], [0, 1]], [[1, 1], [2, 1], [2, 2], [1, 2]]]
    """
    around = np.pad(mask, 1).astype(np.int8)
    corners = around[:-1, :-1] + around[:-1, 1:] + around[1:, :-1] + around[1:, 1:]
    crossed = (corners == 2) & (around[:-1, :-1] == around[1:, 1:])
    falling = crossed & (around[:-1, :-1] == 1)  # two pixels touch from the upper left to the lower right
    y, x = np.nonzero((corners == 1) | (corners == 3) | crossed)
    double = crossed[y, x]
    # Where two outlines touch, their common corner stands twice: first that with the edge to the left.
    index = np.repeat(np.arange(len(x)), 1 + double)
    second = np.concatenate([[False], index[1:] == index[:-1]]) if len(index) else np.zeros(0, dtype=bool)
    x, y = x[index], y[index]
    # Going along rows, corners come as ends of edges in pairs; and along columns too.
    down_first = crossed[y, x] & ~falling[y, x]
    along_columns = np.lexsort((second ^ down_first, y, x))
    across = np.arange(len(x)) ^ 1
    along = np.empty(len(x), dtype=np.int64)
    along[along_columns] = along_columns[np.arange(len(x)) ^ 1]
    return _cycles(np.stack([x, y], axis=1), across.tolist(), along.tolist())


def _cycles(points: Ring, across: list[int], along: list[int]) -> list[Ring]:
    """Return the closed ways over corners that go along a row and along a column in turn."""
    out, seen = [], bytearray(len(points))
    for start in range(len(points)):
        if seen[start]:
            continue
        way, here = [], start
        while not seen[here]:
            there = across[here]
            seen[here] = seen[there] = 1
            way += [here, there]
            here = along[there]
        out.append(points[way])
    return out


def joined(parts: list[Ring]) -> Ring:
    """Return one polygon of several: each is joined to those before it by a line that is walked there and back.

    Filled by the even-odd rule it is what they are together: such a line encloses nothing.
    """
    if len(parts) == 1:
        return parts[0]
    left = sorted(parts, key=len, reverse=True)
    whole = left[0]
    for ring in left[1:]:
        step = max(1, len(whole) * len(ring) // 200_000)  # of many corners, some are looked at
        some = np.arange(0, len(whole), step)
        gaps = np.abs(whole[some, None] - ring[None]).sum(-1)
        i, j = divmod(int(gaps.argmin()), len(ring))
        at = int(some[i])
        whole = np.concatenate([whole[: at + 1], ring[j:], ring[: j + 1], whole[at:]])
    return whole
