"""Videos of a split of the project's world with their truth, in memory, under any seed."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovvis.datasets.stickers import JPEG, Split, split_video, visible_code, world_categories
from ovvis.evaluation.evaluator import Evaluator
from ovvis.evaluation.records import Category, TruthTrack
from ovvis.evaluation.rules import LVVIS
from ovvis.masks import Rle
from ovvis.sources.source import Source
from ovvis.sources.video import open_source
from ovvis.world.sprites import Sprites
from ovvis.world.video import Videos


@dataclass(frozen=True, slots=True)
class Drawn:
    """One video."""

    images: tuple[NDArray[np.uint8], ...]  # T; (H, W, 3), as its files' frames are read
    owners: NDArray[np.uint8]  # T, H, W; 0: the background, n: the object in place n - 1
    categories: tuple[int, ...]  # of each object: its category's id

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self.owners.shape[1], self.owners.shape[2]

    def source(self) -> Source:
        """Return its frames."""
        return open_source(list(self.images))


class DrawnSplit:
    """The first videos of a split, or of one like it that is drawn with another seed.

    Frames go through JPEG as those of a written split do, so that the figures are those of its files.

    Args:
        split: which.
        sprites: what to show.
        count: number of videos.
        seed: is added to the split's own; 0 gives the videos that `ovvis world write` writes.
    """

    def __init__(self, split: Split, sprites: Sprites, count: int, seed: int = 0) -> None:
        self.split = replace(split, seed=split.seed + seed)
        self.seed = seed
        self._videos = Videos(sprites, split.config)
        self._count = count

    def __len__(self) -> int:
        return self._count

    @property
    def name(self) -> str:
        """What it is called while it is measured."""
        return f"{self.split.name}, seed {self.split.seed}"

    @property
    def own_seed(self) -> int:
        """What it is drawn with: the split's seed and the one added."""
        return self.split.seed

    @property
    def frames(self) -> int:
        """The number of frames of a video."""
        return self.split.config.frames

    def length(self, _number: int, /) -> int:
        """Return the number of frames of a video."""
        return self.frames

    def id(self, number: int) -> int:
        """Return a video's id."""
        return number + 1

    def evaluator(self) -> Evaluator:
        """Return what compares results with the truth, as LV-VIS does."""
        return Evaluator(self.categories, self.truths, LVVIS, map(self.id, range(len(self))))

    @property
    def categories(self) -> tuple[Category, ...]:
        """All categories that may be shown."""
        return world_categories(self._videos)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self.split.config.height, self.split.config.width

    def describe(self) -> dict[str, Any]:
        """Return what decides the videos, but for their number."""
        sprites = self._videos.sprites.digest
        return {
            "split": self.split.name,
            "seed": self.split.seed,
            "config": asdict(self.split.config),
            "sprites": sprites,
        }

    def video(self, number: int) -> Drawn:
        """Return a video, from 0."""
        made = split_video(self.split, self._videos, number)
        frames = list(made)
        return Drawn(
            tuple(_through_jpeg(frame.image) for frame in frames),
            np.stack([frame.owner for frame in frames]),
            tuple(thing.category + 1 for thing in made.objects),
        )

    @cached_property
    def truths(self) -> tuple[TruthTrack, ...]:
        """The true tracks of all videos; ids of videos are numbers from 1. One that is hidden throughout is none."""
        out: list[TruthTrack] = []
        for number in range(self._count):
            made = split_video(self.split, self._videos, number)
            codes: list[list[Rle | None]] = [[] for _ in made.objects]
            for frame in made:
                for n, track in enumerate(codes):
                    track.append(visible_code(frame, n))
            for thing, track in zip(made.objects, codes, strict=True):
                if any(track):
                    out.append(TruthTrack(len(out) + 1, number + 1, thing.category + 1, track))
        return tuple(out)


def _through_jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", **JPEG)
    return np.asarray(Image.open(file).convert("RGB"))
