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
from ovvis.world.canvas import Packed, blurred, pack, place, window
from ovvis.world.dice import Dice
from ovvis.world.motion import MARGIN, VideoConfig, draw_camera, draw_light, draw_objects
from ovvis.world.sprites import Sprites


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
            levels.append(pack(values))
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
        self.objects = draw_objects(videos, dice, must)  # far to near
        kinds = RESERVED if config.reserved_backgrounds else TRAINED
        self.background = dice.pick(sorted(kinds))
        height, width = int(config.height * MARGIN), int(config.width * MARGIN)
        painted = kinds[self.background](dice, height + 2, width + 2)
        self._ground = pack(np.concatenate([painted, np.zeros_like(painted[..., :1])], -1))
        self._camera = draw_camera(dice, config)
        self._blur = dice.pick((0, 0, 0, 1, 2))
        self._light = draw_light(dice)
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
        canvas = window(self._ground, self._camera[t], (config.height, config.width))
        owner = np.zeros((config.height, config.width), dtype=np.uint8)
        for n, thing in enumerate(self.objects):
            place(canvas, owner, n + 1, thing, t, self._videos.pyramid(thing.sprite))
        for _ in range(self._blur):
            canvas = blurred(canvas)
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
