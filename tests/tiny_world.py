"""A world of a few shapes, made without any package."""

import numpy as np

from ovvis.world.categories import Category, Drawing
from ovvis.world.sprites import Sprites

NAMES = ("disc", "square", "bar", "ring", "cross", "wedge")
SIZE = 40


def shape(name, reserved):
    """Return a sprite: a solid shape, another colour where it is reserved."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    inside = {
        "disc": x * x + y * y < 18 * 18,
        "square": (abs(x) < 16) & (abs(y) < 16),
        "bar": abs(y) < 6,
        "ring": (x * x + y * y < 19 * 19) & (x * x + y * y > 9 * 9),
        "cross": (abs(x) < 5) | (abs(y) < 5),
        "wedge": (x > -18) & (abs(y) < (x + 20) // 2),
    }[name]
    pixels = np.zeros((SIZE, SIZE, 4), dtype=np.uint8)
    number = NAMES.index(name)
    pixels[inside] = (40 * number, 200 - 30 * number, 60 if reserved else 250, 255)
    return pixels


def tiny_sprites():
    """Return six categories, every third novel, each with a drawing to train on and a reserved one."""
    drawings = (Drawing("made", "plain"), Drawing("made", "other", True))
    known = [
        Category(name, (name,), "shape", "novel" if i % 3 == 2 else "base", drawings) for i, name in enumerate(NAMES)
    ]
    drawn = [(i, d, shape(c.name, d.reserved)) for i, c in enumerate(known) for d in drawings]
    return Sprites.of(known, drawn)
