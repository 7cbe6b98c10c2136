"""What training costs: data loading alone, the step alone, and the step with data loading beside it.

The data are generated: JPEG images of LVIS's size (640 x 480, some upright) with LVIS's number of instances (12 on
average, a few images with hundreds) as polygons, read by ovvis's own reader. Weights are untrained: the time does
not depend on them.

Usage: python benchmarks/training_data.py data --size 320 640 1024 --workers 0 1 2
       python benchmarks/training_data.py wait --size 320 --batch 2 --workers 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ovvis.data.coco import read_coco
from ovvis.data.dataset import Part, TrainingSet
from ovvis.data.loader import LoaderConfig, TrainingBatch, WindowLoader, network_input
from ovvis.data.sampling import SamplingConfig
from ovvis.data.transforms import AugmentConfig
from ovvis.models.clip_vis import build_clip_vis
from ovvis.models.zoo import find_model
from ovvis.training.criterion import LossConfig, clip_vis_criterion
from ovvis.training.optimizer import OptimizerConfig, build_optimizer

CATEGORIES = 1203


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parts = parser.add_subparsers(required=True)
    add = parts.add_parser("data", help="images a second of data loading alone")
    add.add_argument("--size", type=int, nargs="+", default=[320, 640, 1024])
    add.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    add.add_argument("--batch", type=int, default=4)
    add.add_argument("--seconds", type=float, default=5.0, help="of each of the repeats")
    add.add_argument("--repeats", type=int, default=3)
    add.set_defaults(measure=data)
    add = parts.add_parser("wait", help="how long the step waits for data")
    add.add_argument("--size", type=int, default=320)
    add.add_argument("--workers", type=int, nargs="+", default=[2])
    add.add_argument("--batch", type=int, default=2)
    add.add_argument("--steps", type=int, default=8)
    add.add_argument("--model", default="clip-vis-r50")
    add.set_defaults(measure=wait)
    for part in parts.choices.values():
        part.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options.measure(options, Path(folder))


def data(options: argparse.Namespace, folder: Path) -> None:
    """Print images a second for each size and number of workers."""
    known = lvis_like(folder, options.images)
    for size in options.size:
        for workers in options.workers:
            batches = loader(known, size, options.batch, workers).batches()
            instances = [len(t.masks) for batch in islice(batches, 4) for t in batch.targets]
            runs = [run(batches, options.seconds) for _ in range(options.repeats)]
            rates = [options.batch * count / seconds for count, seconds, _ in runs]
            busy = [1000 * processor / count / options.batch for count, _, processor in runs]
            print(
                f"size {size}, {workers} workers: {statistics.median(rates):.0f} images/s"
                f" ({min(rates):.0f} to {max(rates):.0f}), this process busy for {statistics.median(busy):.1f} ms an"
                f" image ({min(busy):.1f} to {max(busy):.1f}); {statistics.mean(instances):.1f} instances an image",
                flush=True,
            )


def wait(options: argparse.Namespace, folder: Path) -> None:
    """Print the seconds of a step on one batch over and over, and on loaded ones, with the wait for each."""
    known = lvis_like(folder, options.images)
    step = training_step(options.model)
    for workers in options.workers:
        batches = loader(known, options.size, options.batch, workers).batches()
        first = next(batches)
        step(first)
        time.sleep(2)  # the workers fill their queue and then rest
        alone = [timed(step, first) for _ in range(options.steps)]
        waits, steps = [], []
        for _ in range(options.steps + options.batch * 4):
            start = time.perf_counter()
            batch = next(batches)
            waits.append(time.perf_counter() - start)
            steps.append(timed(step, batch))
        beyond = waits[-options.steps :], steps[-options.steps :]  # the queue filled before has been used up
        print(
            f"size {options.size}, batch {options.batch}, {workers} workers: step alone"
            f" {statistics.median(alone):.3f} s ({min(alone):.3f} to {max(alone):.3f}), with loading beside it"
            f" {statistics.median(beyond[1]):.3f} s ({min(beyond[1]):.3f} to {max(beyond[1]):.3f}), of which waiting"
            f" {statistics.median(beyond[0]) * 1000:.1f} ms (at most {max(beyond[0]) * 1000:.1f} ms)",
            flush=True,
        )


def training_step(name: str) -> Callable[[TrainingBatch], None]:
    """Return a whole training step of an untrained model on the CPU."""
    entry = find_model(name)
    model = build_clip_vis(entry.config, entry.name).train()
    criterion = clip_vis_criterion(LossConfig())
    optimizer = build_optimizer(model.network, OptimizerConfig())

    def step(batch: TrainingBatch) -> None:
        pixels = network_input(batch, model.pixel_mean, model.pixel_std)
        loss = criterion(model(pixels, every_layer=True), batch.targets).total
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.network.parameters(), 0.01)
        optimizer.step()

    return step


def loader(known: Path, size: int, batch: int, workers: int) -> WindowLoader:
    """Return the released LVIS training data at another size."""
    annotations = read_coco(known, known.parent)
    dataset = TrainingSet([Part(annotations, AugmentConfig(size=size))], SamplingConfig(repeat_threshold=0.001))
    return WindowLoader(dataset, batch, LoaderConfig(workers))


def run(batches: Iterator[TrainingBatch], seconds: float) -> tuple[int, float, float]:
    """Return how many batches came, in how many seconds, and the processor time of this process."""
    start, busy, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < seconds:
        next(batches)
        count += 1
    return count, time.perf_counter() - start, time.process_time() - busy


def timed(step: Callable[[TrainingBatch], None], batch: TrainingBatch) -> float:
    """Return the seconds of a step."""
    start = time.perf_counter()
    step(batch)
    return time.perf_counter() - start


def lvis_like(folder: Path, images: int) -> Path:
    """Write images and an annotation file of LVIS's format; return the file."""
    rng = np.random.default_rng(0)
    listed, annotations = [], []
    for number in range(1, images + 1):
        height, width = (480, 640) if rng.random() < 0.75 else (640, 480)
        coarse = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
        picture = np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number:012}.jpg", quality=92)
        listed.append({"id": number, "height": height, "width": width, "file_name": f"{number:012}.jpg"})
        for _ in range(min(int(rng.lognormal(2.0, 1.0)) + 1, 300)):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": min(int(rng.pareto(0.6)) + 1, CATEGORIES),
                    "segmentation": [blob(rng, height, width)],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": i, "name": f"thing {i}", "frequency": "f"} for i in range(1, CATEGORIES + 1)]
    file = folder / "lvis_like.json"
    file.write_text(json.dumps({"categories": categories, "images": listed, "annotations": annotations}))
    return file


def blob(rng: np.random.Generator, height: int, width: int) -> list[float]:
    """Return a polygon of 40 corners, mostly small, as x, y, x, y, ..."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = min(rng.lognormal(3.0, 1.0), 250) * rng.uniform(0.7, 1.3, 40)
    x = np.clip(rng.uniform(0, width) + radius * np.cos(angles), 0, width)
    y = np.clip(rng.uniform(0, height) + radius * np.sin(angles), 0, height)
    return np.stack([x, y], 1).round(2).ravel().tolist()


if __name__ == "__main__":
    main()
