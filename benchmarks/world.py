"""Measure how fast the world's videos are made: frames with masks a second of processor time, on one thread.

    python benchmarks/world.py --videos 40 --repeats 5

Needs the sprites of `ovvis world build`. A training window of one frame pays for a whole video's plan and background,
so that is measured on its own.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from ovvis.datasets.stickers import SPLITS
from ovvis.training.data.live_scenes import LiveStickers
from ovvis.training.data.sampling import SamplingConfig
from ovvis.world.motion import VideoConfig
from ovvis.world.sprites import load_sprites
from ovvis.world.video import Videos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    sprites = load_sprites()
    kinds = {
        "4 objects, 160x240, 24 frames": VideoConfig(objects=(4, 4)),
        "train: 2 to 8 objects": SPLITS["train"].config,
        "val-long: 5 to 8, 120 frames": SPLITS["val-long"].config,
    }
    for name, config in kinds.items():
        videos = Videos(sprites, config)

        def paint(videos: Videos = videos) -> int:
            return sum(1 for seed in range(asked.videos) for _ in videos.video(77, seed))

        report(name, paint, asked.repeats)
    live = LiveStickers("stickers_live", Videos(sprites, SPLITS["train"].config))
    for frames in (1, 5):

        def draw(sampling: SamplingConfig = SamplingConfig(frames)) -> int:  # noqa: B008  a record that never changes
            for position in range(asked.videos):
                live.scene(0, position, sampling, np.random.default_rng(position))
            return asked.videos * sampling.frames

        report(f"live windows of {frames}", draw, asked.repeats)


def report(name: str, work: Callable[[], int], repeats: int) -> None:
    work()  # the sprites are unpacked the first time
    rates = []
    for _ in range(repeats):
        start = time.process_time()
        rates.append(work() / (time.process_time() - start))
    print(f"{name}: {statistics.median(rates):.0f} frames/s ({min(rates):.0f} to {max(rates):.0f})")


if __name__ == "__main__":
    main()
