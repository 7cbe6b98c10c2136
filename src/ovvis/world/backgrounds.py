"""Procedural backgrounds. Whole numbers throughout, so that a seed paints the same picture everywhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ovvis.world.dice import SINES, TURN, UNIT, Dice

Picture = NDArray[np.uint8]  # h, w, 3
Field = NDArray[np.int64]  # h, w; 0 to 255
Painter = Callable[[Dice, int, int], Picture]


def noise(dice: Dice, height: int, width: int, cell: int) -> Field:
    """Return values between random ones on a grid of some pixels."""
    grid = dice.bytes(height // cell + 2, width // cell + 2).astype(np.int64)
    y, x = np.arange(height), np.arange(width)
    rows, columns = y // cell, x // cell
    v, u = _ease(y % cell, cell)[:, None], _ease(x % cell, cell)[None]
    top, bottom = grid[rows], grid[rows + 1]
    left = top[:, columns] * (256 - v) + bottom[:, columns] * v
    right = top[:, columns + 1] * (256 - v) + bottom[:, columns + 1] * v
    across: Field = (left * (256 - u) + right * u).astype(np.int64) >> 16
    return across


def _ease(part: NDArray[np.int64], whole: int) -> NDArray[np.int64]:
    """Return 3 t^2 - 2 t^3 of t = part / whole, times 256."""
    eased: NDArray[np.int64] = 256 * part * part * (3 * whole - 2 * part) // int(whole**3)
    return eased


def cloudy(dice: Dice, height: int, width: int, cell: int) -> Field:
    """Return noise of several sizes together."""
    total, weight = np.zeros((height, width), dtype=np.int64), 0
    for octave in range(4):
        share = 8 >> octave
        total += noise(dice, height, width, max(cell >> octave, 2)) * share
        weight += share
    return total // weight


def colour(dice: Dice) -> NDArray[np.int64]:
    """Return a random colour (3), more often a quiet one."""
    bright, strength = dice.whole(30, 230), dice.whole(0, 110)
    shift = np.array([dice.whole(-strength, strength) for _ in range(3)], dtype=np.int64)
    return np.clip(bright + shift, 0, 255)


def _tinted(dice: Dice, field: Field) -> Picture:
    """Return a field (0 to 255) in colours between three random ones."""
    first, second, third = colour(dice), colour(dice), colour(dice)
    steps = np.arange(256)[:, None]
    low = (first * (127 - np.minimum(steps, 127)) + second * np.minimum(steps, 127)) // 127
    high = (second * (255 - np.maximum(steps, 128)) + third * (np.maximum(steps, 128) - 128)) // 127
    table = np.where(steps < 128, low, high).astype(np.uint8)
    tinted: Picture = table[np.clip(field, 0, 255)]
    return tinted


def _grid(height: int, width: int) -> tuple[Field, Field]:
    return np.arange(height, dtype=np.int64)[:, None], np.arange(width, dtype=np.int64)[None]


def _slanted(dice: Dice, height: int, width: int) -> Field:
    """Return the distance along a random direction, in 1/16 pixels."""
    y, x = _grid(height, width)
    turn = dice.whole(0, TURN - 1)
    return (x * int(SINES[turn]) + y * int(SINES[(turn + TURN // 4) % TURN])) * 16 // UNIT


def _shaded(dice: Dice, picture: Picture, cell: int = 64, most: int = 90) -> Picture:
    """Return a picture with soft light and shade on it."""
    depth = dice.whole(10, most)
    light = 256 - (cloudy(dice, picture.shape[0], picture.shape[1], cell) * depth >> 8)
    return (picture * light[..., None] >> 8).astype(np.uint8)


def _flat(dice: Dice, height: int, width: int) -> Picture:
    return _shaded(dice, np.broadcast_to(colour(dice), (height, width, 3)).astype(np.uint8))


def _gradient(dice: Dice, height: int, width: int) -> Picture:
    field = _slanted(dice, height, width)
    low, high = int(field.min()), int(field.max())
    return _tinted(dice, (field - low) * 255 // max(high - low, 1))


def _clouds(dice: Dice, height: int, width: int) -> Picture:
    field = cloudy(dice, height, width, dice.whole(24, 90))
    return _tinted(dice, (field - 128) * dice.whole(10, 24) // 8 + 128)


def _grain(dice: Dice, height: int, width: int) -> Picture:
    fine = noise(dice, height, width, dice.whole(2, 5))
    return _tinted(dice, (fine + 2 * cloudy(dice, height, width, 40)) // 3)


def _stripes(dice: Dice, height: int, width: int) -> Picture:
    wide = dice.whole(8, 50) * 16
    bent = _slanted(dice, height, width) + (noise(dice, height, width, 60) - 128) * dice.whole(0, 6)
    kinds = dice.whole(2, 4)
    colours = np.stack([colour(dice) for _ in range(kinds)]).astype(np.uint8)
    return _shaded(dice, colours[bent // wide % kinds])


def _checks(dice: Dice, height: int, width: int) -> Picture:
    wide = dice.whole(10, 48) * 16
    y, x = _grid(height, width)
    a, b = (x * 16) // wide, (y * 16) // (wide * dice.whole(2, 4) // 2)
    colours = np.stack([colour(dice), colour(dice)]).astype(np.uint8)
    return _shaded(dice, colours[(a + b) % 2])


def _bricks(dice: Dice, height: int, width: int) -> Picture:
    tall, wide, gap = dice.whole(10, 26), dice.whole(22, 60), dice.whole(1, 3)
    y, x = _grid(height, width)
    row = y // tall
    moved = x + row % 2 * (wide // 2)
    shade = dice.bytes(64, 64).astype(np.int64)[row % 64, moved // wide % 64]
    stone = (colour(dice) * (220 + shade[..., None] * 36 // 255) >> 8).astype(np.uint8)
    mortar = ((y % tall < gap) | (moved % wide < gap))[..., None]
    return _shaded(dice, np.where(mortar, colour(dice).astype(np.uint8), stone))


def _planks(dice: Dice, height: int, width: int) -> Picture:
    wide = dice.whole(16, 48)
    y, x = _grid(height, width)
    shade = dice.bytes(256).astype(np.int64)[x // wide % 256]
    grain = noise(dice, height, width * 8, 48)[:, ::8] if dice.chance(0.5) else noise(dice, height, width, 6)
    value = 150 + shade * 40 // 255 + grain * 50 // 255 - (x % wide < 2) * 60 + y * 0
    wood = np.clip(colour(dice), 40, 220)
    boards: Picture = np.clip(wood * value[..., None] // 210, 0, 255).astype(np.uint8)
    return boards


def _cells(dice: Dice, height: int, width: int) -> Picture:
    count = dice.whole(12, 60)
    y, x = _grid(height, width)
    best = np.full((height, width), 1 << 40, dtype=np.int64)
    owner = np.zeros((height, width), dtype=np.int64)
    for i in range(count):
        far = (y - dice.whole(0, height)) ** 2 + (x - dice.whole(0, width)) ** 2
        near = far < best
        best[near], owner[near] = far[near], i
    colours = np.stack([colour(dice) for _ in range(count)]).astype(np.uint8)
    return _shaded(dice, colours[owner])


def _confetti(dice: Dice, height: int, width: int) -> Picture:
    picture = _flat(dice, height, width)
    for _ in range(dice.whole(20, 160)):
        tall, wide = dice.whole(2, 18), dice.whole(2, 18)
        top, left = dice.whole(0, height - 1), dice.whole(0, width - 1)
        picture[top : top + tall, left : left + wide] = colour(dice)
    return picture


def _blobs(dice: Dice, height: int, width: int) -> Picture:
    picture = _gradient(dice, height, width)
    y, x = _grid(height, width)
    for _ in range(dice.whole(6, 40)):
        a, b = dice.whole(4, 60), dice.whole(4, 60)
        inside = ((y - dice.whole(0, height)) * b) ** 2 + ((x - dice.whole(0, width)) * a) ** 2 < (a * b) ** 2
        picture[inside] = (picture[inside].astype(np.int64) + colour(dice) * 2) // 3
    return picture


def _landscape(dice: Dice, height: int, width: int) -> Picture:
    picture = _gradient(dice, height, width)
    y, _ = _grid(height, width)
    for layer in range(dice.whole(2, 4)):
        line = noise(dice, 1, width, dice.whole(30, 120))[0]
        edge = height * (2 + layer) // 6 + (line - 128) * height // 900
        ground = np.broadcast_to(colour(dice), picture.shape).astype(np.uint8)
        picture = np.where((y >= edge[None])[..., None], _shaded(dice, ground, 16, 60), picture)
    return picture


def _weave(dice: Dice, height: int, width: int) -> Picture:
    wide = dice.whole(6, 20)
    y, x = _grid(height, width)
    over = (x // wide + y // wide) % 2
    across = np.where(over == 1, y % wide, x % wide)
    value = 150 + across * (wide - across) * 400 // (wide * wide)
    colours = np.stack([colour(dice), colour(dice)])
    cloth: Picture = np.clip(colours[over] * value[..., None] // 250, 0, 255).astype(np.uint8)
    return cloth


def _marble(dice: Dice, height: int, width: int) -> Picture:
    veins = _slanted(dice, height, width) * dice.whole(1, 4) + cloudy(dice, height, width, 70) * dice.whole(8, 20)
    return _tinted(dice, (SINES[veins % TURN].astype(np.int64) * 127 // UNIT) + 128)


def _rings(dice: Dice, height: int, width: int) -> Picture:
    y, x = _grid(height, width)
    far = (y - dice.whole(0, height)) ** 2 + (x - dice.whole(0, width)) ** 2
    steps = np.arange(0, 2048, dtype=np.int64) ** 2
    radius = np.searchsorted(steps, far.ravel(), side="right").reshape(far.shape)
    bent = radius * 8 + cloudy(dice, height, width, 50) // 4
    colours = np.stack([colour(dice) for _ in range(3)]).astype(np.uint8)
    return _shaded(dice, colours[bent // dice.whole(60, 200) % 3])


def _hexagons(dice: Dice, height: int, width: int) -> Picture:
    wide = dice.whole(14, 40)
    tall = wide * 7 // 8
    y, x = _grid(height, width)
    row = y // tall
    moved = x + row % 2 * (wide // 2)
    skew = np.abs(moved % wide - wide // 2) * 2 * tall // (3 * wide)
    row = np.where(y % tall < skew, row - 1, row)
    column = (x + row % 2 * (wide // 2)) // wide
    shade = dice.bytes(64, 64).astype(np.int64)[row % 64, column % 64]
    return _tinted(dice, shade)


def _leaves(dice: Dice, height: int, width: int) -> Picture:
    picture = _grain(dice, height, width)
    y, x = _grid(height, width)
    hue = colour(dice)
    for _ in range(dice.whole(60, 160)):
        turn, long = dice.whole(0, TURN - 1), dice.whole(6, 30)
        top, left = dice.whole(0, height), dice.whole(0, width)
        rows = slice(max(top - long, 0), top + long)
        columns = slice(max(left - long, 0), left + long)
        dy, dx = y[rows] - top, x[:, columns] - left
        s, c = int(SINES[turn]), int(SINES[(turn + TURN // 4) % TURN])
        along, across = (dx * c + dy * s) // UNIT, (dy * c - dx * s) // UNIT
        inside = along**2 + across**2 * 9 < long**2
        picture[rows, columns][inside] = np.clip(hue + dice.whole(-50, 50), 0, 255)
    return picture


def _plasma(dice: Dice, height: int, width: int) -> Picture:
    channels = [cloudy(dice, height, width, dice.whole(30, 100)) for _ in range(3)]
    return np.clip((np.stack(channels, -1) - 128) * 2 + 128, 0, 255).astype(np.uint8)


TRAINED: dict[str, Painter] = {
    "flat": _flat,
    "gradient": _gradient,
    "clouds": _clouds,
    "grain": _grain,
    "stripes": _stripes,
    "checks": _checks,
    "bricks": _bricks,
    "planks": _planks,
    "cells": _cells,
    "confetti": _confetti,
    "blobs": _blobs,
    "landscape": _landscape,
    "weave": _weave,
}
RESERVED: dict[str, Painter] = {
    "marble": _marble,
    "rings": _rings,
    "hexagons": _hexagons,
    "leaves": _leaves,
    "plasma": _plasma,
}
"""Kinds that no training video shows."""
