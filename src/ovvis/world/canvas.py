"""Pixels packed four to a 64-bit word: what a camera sees of a background, and drawings painted on it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ovvis.world.dice import UNIT, cosine, sine
from ovvis.world.motion import ONE, Object

Packed = NDArray[np.uint64]  # h, w
_LANES = np.uint64(0x00FF00FF00FF00FF)
_SOLID = np.uint64(128)  # alpha from which a pixel belongs to the object


def pack(values: NDArray[np.generic]) -> Packed:
    """Return pixels (h, w, 4) as words (h, w): (h, w, 4) -> (h, w)."""
    wide = values.astype(np.uint64)
    packed: Packed = (
        wide[..., 0] | wide[..., 1] << np.uint64(16) | wide[..., 2] << np.uint64(32) | wide[..., 3] << np.uint64(48)
    )
    return packed


def window(ground: Packed, camera: tuple[int, int, int], size: tuple[int, int]) -> Packed:
    """Return what the camera sees of the background: pixels between pixels, first down, then across."""
    top, left, zoom = camera
    rows, row_shares = _between(top, zoom, size[0], ground.shape[0])
    columns, column_shares = _between(left, zoom, size[1], ground.shape[1])
    first, last = int(columns[0]), int(columns[-1]) + 2
    part = ground[:, first:last]
    v, u = row_shares[:, None], column_shares[None]
    tall = (part[rows] * (np.uint64(256) - v) + part[rows + 1] * v) >> np.uint64(8) & _LANES
    columns = columns - first
    seen: Packed = (tall[:, columns] * (np.uint64(256) - u) + tall[:, columns + 1] * u) >> np.uint64(8) & _LANES
    return seen


def _between(start: int, step: int, count: int, most: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    places = start + np.arange(count, dtype=np.int64) * step
    whole = np.minimum(places >> 16, most - 2)
    return whole, (places >> 8 & 255).astype(np.uint64)


def place(canvas: Packed, owner: NDArray[np.uint8], n: int, thing: Object, t: int, levels: Sequence[Packed]) -> None:
    """Paint an object into a frame, and who owns its pixels; its drawing is given, and halved again and again."""
    side, level = thing.side[t], 0
    while level + 1 < len(levels) and side * 1.4 < max(levels[level].shape) * 0.5:
        level += 1
    art = levels[level]
    height, width = art.shape
    border = 4.0  # two clear pixels at each side; halved, they are about as many again
    scale = (max(height, width) - border) / side  # pixels of the drawing a pixel of the frame
    c, s = cosine(thing.turn[t]), sine(thing.turn[t])
    # What of the frame the drawing can reach.
    half_w, half_h = width / (2.0 * scale), height / (2.0 * scale)
    reach_x = (half_w * abs(c) + half_h * abs(s)) / UNIT
    reach_y = (half_w * abs(s) + half_h * abs(c)) / UNIT
    x, y = thing.x[t], thing.y[t]
    left, right = max(int(x - reach_x), 0), min(int(x + reach_x) + 2, canvas.shape[1])
    top, bottom = max(int(y - reach_y), 0), min(int(y + reach_y) + 2, canvas.shape[0])
    if left >= right or top >= bottom:
        return
    along, aside = int(scale * c * ONE / UNIT), int(scale * s * ONE / UNIT)
    dx = (np.arange(left, right, dtype=np.int64) * ONE + ONE // 2 - int(x * ONE))[None] >> 8
    dy = (np.arange(top, bottom, dtype=np.int64) * ONE + ONE // 2 - int(y * ONE))[:, None] >> 8
    across = (dx * along + dy * aside) >> 8
    down = (dy * along - dx * aside) >> 8
    if thing.mirrored:
        across = -across
    across += (width * ONE - ONE) // 2
    down += (height * ONE - ONE) // 2
    column, row = across >> 16, down >> 16
    inside = (column >= 0) & (column < width - 1) & (row >= 0) & (row < height - 1)
    first = np.where(inside, row * width + column, 0)  # the drawing's first pixels are clear
    u, v = (across >> 8 & 255).astype(np.uint64), (down >> 8 & 255).astype(np.uint64)
    uv = u * v >> np.uint64(8)
    flat = art.ravel()
    mixed = flat[first] * (np.uint64(256) - u - v + uv)
    mixed += flat[first + 1] * (u - uv)
    mixed += flat[first + width] * (v - uv)
    mixed += flat[first + width + 1] * uv
    mixed = mixed >> np.uint64(8) & _LANES
    alpha = mixed >> np.uint64(48)
    through = np.uint64(256) - alpha - (alpha >> np.uint64(7))
    part = canvas[top:bottom, left:right]
    part[:] = (part * through >> np.uint64(8) & _LANES) + mixed
    owner[top:bottom, left:right][alpha >= _SOLID] = n


def blurred(canvas: Packed) -> Packed:
    """Return a canvas under the filter 1 2 1, down and across."""
    wide = np.pad(canvas, 1, mode="edge")
    down = (wide[:-2] + (wide[1:-1] << np.uint64(1)) + wide[2:]) >> np.uint64(2) & _LANES
    blurred: Packed = (down[:, :-2] + (down[:, 1:-1] << np.uint64(1)) + down[:, 2:]) >> np.uint64(2) & _LANES
    return blurred
