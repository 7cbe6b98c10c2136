"""Measure what the rows of `ovvis reproduce` cost beside the network that they share, on one thread.

    python benchmarks/reproduction.py --videos 2 --repeats 3 [--weights FILE]

Needs the sprites of `ovvis world build`. Untrained masks are noise, which no code is short for; so without --weights
the network runs as it is and its answer is replaced: each object by a query with its mask, the others by dim discs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from ovvis.datasets.drawn import Drawn, DrawnSplit
from ovvis.datasets.stickers import SPLITS
from ovvis.datasets.words import dataset_vocabulary
from ovvis.evaluation.evaluator import Evaluator
from ovvis.evaluation.records import ResultTrack
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.models.load import load_model
from ovvis.models.model import Model
from ovvis.reproduction.experiments import EXPERIMENTS
from ovvis.reproduction.follow import Follower
from ovvis.reproduction.rows import MODEL, Way
from ovvis.reproduction.truth import WindowTruth
from ovvis.structures import Prediction
from ovvis.world.sprites import load_sprites


class MadeUp:
    """A network whose answer is replaced by one like a trained network's, frame after frame of a video."""

    def __init__(self, model: Model) -> None:
        self.real = model.network.forward
        self.random = torch.Generator().manual_seed(0)

    def begin(self, video: Drawn, queries: int, width: int) -> None:
        """Begin a video."""
        self.video, self.t = video, 0
        self.looks = torch.randn(queries, width, generator=self.random)
        self.discs = torch.rand(queries, 3, generator=self.random)

    def __call__(self, *args: object, **options: object) -> Prediction:
        """Return the answer for the video's next frame."""
        prediction = self.real(*args, **options)
        size = (4 * prediction.mask_logits.shape[-2], 4 * prediction.mask_logits.shape[-1])
        labels = tuple(range(len(self.video.categories)))
        shares = WindowTruth(self.video.owners[self.t : self.t + 1], labels, size, size).shares[:, 0]
        self.t += 1
        h, w = shares.shape[1:]
        y, x, r = (self.discs.T * torch.tensor([[h], [w], [10.0]]))[:, :, None, None]
        masks = (r * r - (torch.arange(h)[:, None] - y) ** 2 - (torch.arange(w) - x) ** 2) / 10
        masks[: len(labels)] = F.avg_pool2d((shares - 0.5)[:, None] * 12, 3, 1, 1)[:, 0]
        objects = torch.tensor([-5.0, 0.0]).repeat(len(masks), 1)
        objects[: len(labels), 0] = 4
        looks = self.looks + 0.3 * torch.randn(self.looks.shape, generator=self.random)
        return replace(
            prediction,
            mask_logits=masks.clamp(-12, 12)[None, :, None],
            object_logits=objects[None],
            embeddings=looks[None],
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--weights", default="untrained")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model("clip-vis-stickers", asked.weights)
    videos = DrawnSplit(SPLITS["val"], load_sprites(), asked.videos)
    vocabulary, ids = dataset_vocabulary(videos.categories)
    segmenter = VideoSegmenter(model, vocabulary)
    made_up = MadeUp(model) if asked.weights == "untrained" else None
    if made_up:
        model.network.forward = made_up  # type: ignore[method-assign]
    every = [row.way(model.video) for e in EXPERIMENTS for row in e.rows if row.network == MODEL]
    without = [way for way in every if not way.given]
    kinds = {"one row": every[:1], "all but oracles": without, "all rows": every}
    evaluator = Evaluator(videos.categories, videos.truths)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for repeat in range(asked.repeats + 1):
        for name, ways in kinds.items():
            found = measure(segmenter, evaluator, videos, dict.fromkeys(ways), ids, made_up)
            if repeat:  # the first is for warming up
                times[name].append(found)
    for name, ways in kinds.items():
        whole, passes = ([1000 * one[i] for one in times[name]] for i in (0, 1))
        print(
            f"{name} ({len(dict.fromkeys(ways))} ways): {statistics.median(whole):.0f} ms a frame "
            f"({min(whole):.0f} to {max(whole):.0f}), of them {statistics.median(passes):.0f} reading, network, names"
        )


def measure(
    segmenter: VideoSegmenter,
    evaluator: Evaluator,
    videos: DrawnSplit,
    ways: Sequence[Way] | dict[Way, None],
    ids: tuple[int, ...],
    made_up: MadeUp | None,
) -> tuple[float, float]:
    """Return seconds a frame: of everything, and of the network's pass."""
    follow = Follower(segmenter, list(ways), {category: label for label, category in enumerate(ids)})
    total = passes = 0.0
    for number in range(len(videos)):
        video, seconds = videos.video(number), dict[str, float]()
        if made_up:
            config = segmenter.model.config
            made_up.begin(video, config.queries, config.width)
        start = time.perf_counter()
        for found in follow(video, lambda _: None, seconds):
            evaluator.compare(
                [ResultTrack(number + 1, ids[track.label_index], track.score, track.masks) for track in found.tracks]
            )
        total += time.perf_counter() - start
        passes += sum(seconds.values())
    frames = len(videos) * videos.frames
    return total / frames, passes / frames


if __name__ == "__main__":
    main()
