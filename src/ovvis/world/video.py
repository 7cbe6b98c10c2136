"""From a seed to a video: which objects, how they and the camera move, and every frame with its exact masks.

A frame is made of pixels packed four to a 64-bit word (red, green, blue, alpha, 16 bits each), so that one operation
on whole numbers mixes all channels; the arithmetic is that of `ovvis.world.dice`, the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ovvis.world.backgrounds import RESERVED, TRAINED
from ovvis.world.dice import UNIT, Dice, cosine, sine, smooth
from ovvis.world.sprites import Sprites

Packed = NDArray[np.uint64]  # h, w
_LANES = np.uint64(0x00FF00FF00FF00FF)
_ONE = 1 << 16  # a pixel in fixed point
_MARGIN = 1.5  # side of the background, in frames
_SOLID = np.uint64(128)  # alpha from which a pixel belongs to the object


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


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame and what is true of it."""

    image: NDArray[np.uint8]  # H, W, 3
    owner: NDArray[np.uint8]  # H, W; 0: the background, n: the object in place n - 1

    def mask(self, n: int) -> NDArray[np.bool_]:
        """Return the visible pixels of the object in place n (H, W)."""
        seen: NDArray[np.bool_] = self.owner == n + 1
        return seen


class Videos:
    """All videos of a kind: one for each seed.

    Args:
        sprites: what to show.
        config: what the videos are like.
    """

    def __init__(self, sprites: Sprites, config: VideoConfig) -> None:
        self.sprites, self.config = sprites, config
        self._of: dict[int, list[int]] = {}
        for i, entry in enumerate(sprites.entries):
            allowed = config.novel or sprites.categories[entry.category].split == "base"
            if allowed and entry.drawing.reserved == config.reserved_drawings:
                self._of.setdefault(entry.category, []).append(i)
        self.categories = sorted(self._of)  # places in the list of those that may be seen
        if not self.categories:
            raise ValueError("no sprite is left to show: the config leaves out every drawing")
        self.pyramid = lru_cache(maxsize=4096)(self._pyramid)

    def __reduce__(self) -> tuple[type[Videos], tuple[Sprites, VideoConfig]]:
        return Videos, (self.sprites, self.config)  # worker processes have caches of their own

    def video(self, *seed: int, must: Sequence[int] = ()) -> Video:
        """Return the video of a seed.

        Args:
            seed: whole numbers.
            must: places in the list of categories that the first objects are of.
        """
        return Video(self, Dice(*seed), must)

    def choose(self, dice: Dice, category: int) -> int:
        """Return one of a category's sprites."""
        return dice.pick(self._of[category])

    def _pyramid(self, index: int) -> list[Packed]:
        """Return a sprite, halved again and again, with two clear pixels around it."""
        values = np.pad(self.sprites.pixels(index).astype(np.uint16), ((2, 2), (2, 2), (0, 0)))
        levels = []
        while True:
            levels.append(_pack(values))
            if min(values.shape[:2]) < 16:
                return levels
            even = values[: values.shape[0] // 2 * 2, : values.shape[1] // 2 * 2]
            halved = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2] + 2) >> 2
            values = np.pad(halved, ((1, 1), (1, 1), (0, 0)))


class Video:
    """One video. Everything about it is drawn when it is made; frames are painted when they are asked for.

    Args:
        videos: the kind.
        dice: its random numbers.
        must: places in the list of categories that the first objects are of.
    """

    def __init__(self, videos: Videos, dice: Dice, must: Sequence[int] = ()) -> None:
        config = videos.config
        self._videos, self.config = videos, config
        self.objects = _objects(videos, dice, must)  # far to near
        kinds = RESERVED if config.reserved_backgrounds else TRAINED
        self.background = dice.pick(sorted(kinds))
        height, width = int(config.height * _MARGIN), int(config.width * _MARGIN)
        painted = kinds[self.background](dice, height + 2, width + 2)
        self._ground = _pack(np.concatenate([painted, np.zeros_like(painted[..., :1])], -1))
        self._camera = _camera(dice, config)
        self._blur = dice.pick((0, 0, 0, 1, 2))
        self._light = _light(dice)
        strength = dice.pick((0, 0, 4, 8, 14))
        bell = dice.bytes(2, config.height + 64, config.width + 64, 3).astype(np.int16).sum(0) - 255
        self._noise = (bell * strength // 128).astype(np.int16)
        self._shifts = [(dice.whole(0, 63), dice.whole(0, 63)) for _ in range(config.frames)]

    def __len__(self) -> int:
        return self.config.frames

    def __iter__(self) -> Iterator[Frame]:
        return (self.frame(t) for t in range(len(self)))

    def frame(self, t: int) -> Frame:
        """Return the frame t, from 0."""
        config = self.config
        canvas = _window(self._ground, self._camera[t], (config.height, config.width))
        owner = np.zeros((config.height, config.width), dtype=np.uint8)
        for n, thing in enumerate(self.objects):
            _place(canvas, owner, n + 1, thing, t, self._videos)
        for _ in range(self._blur):
            canvas = _blurred(canvas)
        channels = (
            np.ascontiguousarray(canvas)
            .astype("<u8", copy=False)
            .view("<u2")
            .reshape(config.height, config.width, 4)[..., :3]
            .astype(np.int16)
        )
        top, left = self._shifts[t]
        channels += self._noise[top : top + config.height, left : left + config.width]
        np.clip(channels, 0, 255, out=channels)
        image = np.empty(channels.shape, dtype=np.uint8)
        for c in range(3):
            image[..., c] = self._light[c][channels[..., c]]
        return Frame(image, owner)


def _pack(values: NDArray[np.generic]) -> Packed:
    """Return pixels (h, w, 4) as words (h, w): (h, w, 4) -> (h, w)."""
    wide = values.astype(np.uint64)
    packed: Packed = (
        wide[..., 0] | wide[..., 1] << np.uint64(16) | wide[..., 2] << np.uint64(32) | wide[..., 3] << np.uint64(48)
    )
    return packed


def _objects(videos: Videos, dice: Dice, must: Sequence[int]) -> tuple[Object, ...]:
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


def _camera(dice: Dice, config: VideoConfig) -> list[tuple[int, int, int]]:
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
        free_x, free_y = config.width * (_MARGIN - zoom), config.height * (_MARGIN - zoom)
        left = min(max(free_x * 0.5 + dx * config.width, 0.0), free_x)
        top = min(max(free_y * 0.5 + dy * config.height, 0.0), free_y)
        out.append((int(top * _ONE), int(left * _ONE), int(zoom * _ONE)))
    return out


def _light(dice: Dice) -> NDArray[np.uint8]:
    """Return what each channel's values become (3, 256)."""
    gain, tint = dice.whole(170, 300), dice.whole(0, 30)
    values = np.arange(256, dtype=np.int64)
    lift = dice.whole(-12, 12)
    rows = [np.clip(values * (gain + dice.whole(-tint, tint)) // 256 + lift, 0, 255) for _ in range(3)]
    return np.stack(rows).astype(np.uint8)


def _window(ground: Packed, camera: tuple[int, int, int], size: tuple[int, int]) -> Packed:
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


def _place(canvas: Packed, owner: NDArray[np.uint8], n: int, thing: Object, t: int, videos: Videos) -> None:
    """Paint an object into a frame, and who owns its pixels."""
    levels = videos.pyramid(thing.sprite)
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
    along, aside = int(scale * c * _ONE / UNIT), int(scale * s * _ONE / UNIT)
    dx = (np.arange(left, right, dtype=np.int64) * _ONE + _ONE // 2 - int(x * _ONE))[None] >> 8
    dy = (np.arange(top, bottom, dtype=np.int64) * _ONE + _ONE // 2 - int(y * _ONE))[:, None] >> 8
    across = (dx * along + dy * aside) >> 8
    down = (dy * along - dx * aside) >> 8
    if thing.mirrored:
        across = -across
    across += (width * _ONE - _ONE) // 2
    down += (height * _ONE - _ONE) // 2
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


def _blurred(canvas: Packed) -> Packed:
    """Return a canvas under the filter 1 2 1, down and across."""
    wide = np.pad(canvas, 1, mode="edge")
    down = (wide[:-2] + (wide[1:-1] << np.uint64(1)) + wide[2:]) >> np.uint64(2) & _LANES
    blurred: Packed = (down[:, :-2] + (down[:, 1:-1] << np.uint64(1)) + down[:, 2:]) >> np.uint64(2) & _LANES
    return blurred
