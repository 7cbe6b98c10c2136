"""What is in a video, and how it and the camera move: drawn by dice, the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ovvis.world.dice import Dice, smooth

if TYPE_CHECKING:
    from ovvis.world.video import Videos

ONE = 1 << 16  # a pixel in fixed point
MARGIN = 1.5  # side of the background, in frames


@dataclass(frozen=True, slots=True)
class VideoConfig:
    """What videos are like."""

    height: int = 160  # pixels
    width: int = 240
    frames: int = 24
    objects: tuple[int, int] = (2, 8)  # fewest and most
    sizes: tuple[float, float] = (0.18, 0.55)  # longer side of an object, of the frame's height
    places: tuple[float, float] = (0.1, 0.9)  # where an object's way begins, of the frame's width and height
    twins: float = 0.35  # share of videos in which a category comes twice
    same_drawing: float = 0.3  # share of those look-alikes that are the same drawing
    crowding: float = 0.0  # share of objects that another one's path is laid across
    reserved_drawings: bool = False  # those that are never trained on, alone
    reserved_backgrounds: bool = False  # likewise
    novel: bool = True  # categories of the novel split too


@dataclass(frozen=True, slots=True)
class Object:
    """One object's way through a video. Places are pixels of the frame, from its top left corner."""

    sprite: int
    category: int  # place in the list
    x: tuple[float, ...]  # T; of its middle
    y: tuple[float, ...]
    side: tuple[float, ...]  # T; its longer side
    turn: tuple[float, ...]  # T; turns
    mirrored: bool


def draw_objects(videos: Videos, dice: Dice, must: Sequence[int]) -> tuple[Object, ...]:
    """Return the objects of a video, far to near; the first are of the categories that must be there."""
    config = videos.config
    count = max(dice.whole(*config.objects), len(must))
    chosen = list(must[:count])
    while len(chosen) < count:
        chosen.append(dice.pick(videos.categories))
    sprites = [videos.choose(dice, category) for category in chosen]
    if count > 1 and dice.chance(config.twins):
        free = range(max(len(must), 1), count)
        for i in list(free)[: dice.whole(1, 2)]:
            chosen[i] = chosen[0]
            sprites[i] = sprites[0] if dice.chance(config.same_drawing) else videos.choose(dice, chosen[0])
    made: list[Object] = []
    for category, sprite in zip(chosen, sprites, strict=True):
        across = dice.pick(made) if made and dice.chance(config.crowding) else None
        made.append(_object(dice, config, category, sprite, across))
    return tuple(dice.shuffled(made))


def _object(dice: Dice, config: VideoConfig, category: int, sprite: int, across: Object | None) -> Object:
    """Draw one object's way: keys at even times with smooth curves between them."""
    keys = max(2, config.frames // dice.whole(8, 16) + 1)
    x, y = [], []
    wide, tall = float(config.width), float(config.height)
    where = dice.between(*config.places) * wide, dice.between(*config.places) * tall
    pace = dice.between(0.02, 0.45) * wide
    leaves = dice.whole(1, keys - 1) if keys > 2 and dice.chance(0.25) else -1
    for k in range(keys):
        if across is not None and k % 2 == 1:  # every second key lies on the other one's way
            t = k * (config.frames - 1) // (keys - 1)
            where = across.x[t] + dice.between(-0.05, 0.05) * wide, across.y[t] + dice.between(-0.05, 0.05) * tall
        if k == leaves:
            away = dice.pick((-0.5, 1.5))
            x.append(away * wide if dice.chance(0.6) else where[0])
            y.append(where[1] if x[-1] != where[0] else away * tall)
            continue
        x.append(where[0])
        y.append(where[1])
        step = pace * dice.between(0.2, 1.8)  # speed changes from key to key
        where = (
            _held(where[0] + dice.between(-1.0, 1.0) * step, wide),
            _held(where[1] + dice.between(-1.0, 1.0) * step * tall / wide, tall),
        )
    size = dice.between(*config.sizes) * tall
    grows = dice.between(0.0, 0.35)
    start, spin = dice.pick((0.0, 0.0, dice.between(-0.15, 0.15), dice.unit())), dice.between(0.0, 0.2)
    sides = [size * (1.0 + dice.between(-grows, grows)) for _ in range(keys)]
    turns = [start + dice.between(-spin, spin) for _ in range(keys)]
    n = config.frames
    return Object(
        sprite,
        category,
        tuple(smooth(x, n)),
        tuple(smooth(y, n)),
        tuple(max(side, 6.0) for side in smooth(sides, n)),
        tuple(smooth(turns, n)),
        dice.chance(0.5),
    )


def _held(place: float, edge: float) -> float:
    """Turn a way back that would leave the frame by more than a little."""
    low, high = -0.05 * edge, 1.05 * edge
    place = 2.0 * low - place if place < low else place
    return 2.0 * high - place if place > high else place


def draw_camera(dice: Dice, config: VideoConfig) -> list[tuple[int, int, int]]:
    """Return for each frame the window's top, left (1/65536 pixels of the background) and pixels a pixel."""
    keys = max(2, config.frames // 16 + 1)
    still = dice.chance(0.3)
    reach = 0.0 if still else dice.between(0.02, 0.2)
    zooms = [1.0 + (0.0 if still else dice.between(-0.12, 0.2)) for _ in range(keys)]
    across = [dice.between(-reach, reach) for _ in range(keys)]
    down = [dice.between(-reach, reach) for _ in range(keys)]
    out = []
    n = config.frames
    for zoom, dx, dy in zip(smooth(zooms, n), smooth(across, n), smooth(down, n), strict=True):
        zoom = min(max(zoom, 0.8), 1.3)
        free_x, free_y = config.width * (MARGIN - zoom), config.height * (MARGIN - zoom)
        left = min(max(free_x * 0.5 + dx * config.width, 0.0), free_x)
        top = min(max(free_y * 0.5 + dy * config.height, 0.0), free_y)
        out.append((int(top * ONE), int(left * ONE), int(zoom * ONE)))
    return out


def draw_light(dice: Dice) -> NDArray[np.uint8]:
    """Return what each channel's values become (3, 256)."""
    gain, tint = dice.whole(170, 300), dice.whole(0, 30)
    values = np.arange(256, dtype=np.int64)
    lift = dice.whole(-12, 12)
    rows = [np.clip(values * (gain + dice.whole(-tint, tint)) // 256 + lift, 0, 255) for _ in range(3)]
    return np.stack(rows).astype(np.uint8)
