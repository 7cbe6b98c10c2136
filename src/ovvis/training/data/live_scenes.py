"""Scenes of the project's own world, made while training draws them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ovvis.datasets.annotations import Annotations, Video
from ovvis.datasets.stickers import TRAIN, visible_code, world_categories
from ovvis.evaluation.rules import LVVIS
from ovvis.training.data.dataset import Part, Scene
from ovvis.training.data.sampling import SamplingConfig, choose_frames
from ovvis.training.data.transforms import AugmentConfig
from ovvis.world.motion import VideoConfig
from ovvis.world.sprites import Sprites, load_sprites
from ovvis.world.video import Videos

_EPOCH = 1000  # videos that count as one epoch
_LIVE_SEED = 11  # keeps its random numbers apart from those of the splits

LIVE = {
    # As `train`: base categories alone.
    "stickers_live": TRAIN,
    # Likewise, fuller: what hides, what touches, what looks alike.
    "stickers_live_crossing": replace(TRAIN, objects=(5, 10), twins=0.6, same_drawing=0.4, crowding=0.5),
    # What the small CLIP has seen of the world: all categories, one at a time, a few, in crowds, in videos.
    "stickers_live_groups": VideoConfig(
        height=96, width=96, frames=2, objects=(2, 3), sizes=(0.45, 0.95), places=(0.15, 0.85), twins=0.0
    ),
    "stickers_live_crowds": VideoConfig(frames=2, objects=(7, 12), sizes=(0.18, 0.55), twins=0.0),
    "stickers_live_scenes": VideoConfig(),
    "stickers_live_stills": VideoConfig(
        height=64, width=64, frames=2, objects=(1, 1), sizes=(0.75, 1.15), places=(0.42, 0.58), twins=0.0
    ),
}
"""The names under which training asks for endless videos, and their kinds; drawings and backgrounds of `train`."""


class LiveStickers:
    """Makes a new video of a kind for every draw.

    Args:
        name: under which training asks for it.
        videos: the kind.
    """

    def __init__(self, name: str, videos: Videos) -> None:
        self.name, self.videos = name, videos

    @property
    def fingerprint(self) -> str:
        """Return the sprites' digest and what the videos are like, as one line."""
        return f"{self.name}, sprites {self.videos.sprites.digest[:16]}, {self.videos.config}"

    def scene(self, seed: int, position: int, sampling: SamplingConfig, rng: np.random.Generator) -> Scene:
        """Return the scene of a draw."""
        video = self.videos.video(_LIVE_SEED, seed, position)
        indices = choose_frames(len(video), sampling, rng)
        frames = {index: video.frame(index) for index in dict.fromkeys(indices)}
        count = len(video.objects)
        codes = {index: tuple(visible_code(frame, n) for n in range(count)) for index, frame in frames.items()}
        return Scene(
            images=tuple(frames[index].image for index in indices),
            masks=tuple(codes[index] for index in indices),
            categories=tuple(thing.category + 1 for thing in video.objects),
            ids=tuple(range(1, count + 1)),
            video=f"seed {seed}, {position}",
            files=tuple(f"frame {index}" for index in indices),
        )


def live_part(
    name: str = "stickers_live",
    augment: AugmentConfig | None = None,
    weight: float | None = None,
    sprites: Sprites | None = None,
) -> Part:
    """Return endless training videos as a part of a mixture.

    Args:
        name: one of `LIVE`.
        augment: how windows are changed.
        weight: its share of a mixture.
        sprites: what to show; None: those built.

    Raises:
        InputError: the sprites are not built.
    """
    videos = Videos(sprites or load_sprites(), LIVE[name])
    config = videos.config
    listed = tuple(Video(i + 1, str(i), config.height, config.width, ("",)) for i in range(_EPOCH))
    known = Annotations(name, Path(), world_categories(videos), listed, (), LVVIS)
    return Part(known, augment or AugmentConfig(), weight, LiveStickers(name, videos))
