"""How sure is the embedded model of what it cannot know? Real footage, asked about with everyday words.

    python benchmarks/real_footage.py dog.mp4 street.mp4 --labels "dog, person, car" coco

Prints for each video and word list the number of tracks that would be shown and the best scores, with the model's own
"none of these" and without it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
from rich.console import Console
from rich.table import Table

from ovvis.cli.console import progress
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.models.load import load_model
from ovvis.sources.video import open_source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--labels", nargs="+", default=["dog, person, frisbee, cup, car", "coco", "stickers"])
    parser.add_argument("--model", help="a name from `ovvis models`; the default one if not given")
    parser.add_argument("--weights")
    parser.add_argument("--every", type=int, default=4, help="take each N-th frame")
    parser.add_argument("--max-frames", type=int, default=40)
    parser.add_argument("--shown", type=float, default=0.3, help="score from which a track is shown")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    model = load_model(asked.model, asked.weights)
    ways = {"without": None, "with": model.video.none_logit}
    table = Table(title=f"{model.name}, none_logit {model.video.none_logit}", title_justify="left")
    for column in ("video", "labels", "none of these", f"shown (>= {asked.shown:g})", "best scores"):
        table.add_column(column)
    for name in asked.videos:
        source = open_source(name, every=asked.every, max_frames=asked.max_frames)
        for labels in asked.labels:
            for way, value in ways.items():
                settings = replace(model.video, none_logit=value)
                segmenter = VideoSegmenter(model, labels, settings=settings)
                with progress(f"{name}, {labels}", "frames", source.info.frame_count) as done:
                    result = segmenter(source, on_frame=done)
                with result:
                    best = [(track.score, track.label) for track in result.best_tracks(0)]
                shown = sum(score >= asked.shown for score, _ in best)
                first = ", ".join(f"{label} {score:.2f}" for score, label in best[:3])
                table.add_row(source.info.name, labels[:40], way, str(shown), first)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
