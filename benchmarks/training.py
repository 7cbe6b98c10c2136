"""What training costs: the step and its parts, its memory, data loading, the wait for data, and one attention layer.

  step    seconds of a step by part, images a second, the most memory
  memory  what the forward keeps for the backward: with the backbone frozen (ours), with masks of full size of all
          queries after each layer as the authors' code makes them (dense), with CLIP's image encoder trained (trained)
  data    images a second of data loading alone
  wait    how long a step waits for its data
  layer   one deformable attention layer, forward and backward: ours, ours with its slowest loop compiled, with
          PyTorch's gradient, by `grid_sample`

Images are generated and weights untrained: the figures depend on neither. Each row of `step` and `memory` runs in a
process of its own.

Usage: python benchmarks/training.py step --size 320 640 1024 --precision float32 bfloat16
       python benchmarks/training.py memory --size 640 --way ours dense trained
       python benchmarks/training.py data --size 320 640 1024 --workers 0 1 2
       python benchmarks/training.py wait --size 320 --workers 1 2
       python benchmarks/training.py layer --size 320 640 1024
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from generated import ellipses, lvis_like
from ovvis.datasets.coco import read_coco
from ovvis.freed_memory import keep_freed_memory
from ovvis.models.clip_vis import build_clip_vis
from ovvis.models.layers import deformable_attention
from ovvis.models.model import Model
from ovvis.models.zoo import find_model
from ovvis.structures import LayeredPrediction, Target
from ovvis.training.data.dataset import Part, TrainingSet
from ovvis.training.data.loader import LoaderConfig, TrainingBatch, WindowLoader, network_input
from ovvis.training.data.sampling import SamplingConfig
from ovvis.training.data.transforms import AugmentConfig
from ovvis.training.loss.criterion import Criterion, LossConfig, clip_vis_criterion
from ovvis.training.optimizer import OptimizerConfig, build_optimizer

PARTS = ("network", "loss", "backward", "optimizer")
WAYS = ("ours", "dense", "trained")
MIB = 2**20


def main() -> None:
    """Measure what is asked for."""
    options = parse()
    keep_freed_memory()  # as `ovvis train` does
    options.measure(options)


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parts = parser.add_subparsers(required=True)
    for name, measure, steps in (("step", step_table, 3), ("memory", memory_table, 1)):
        add = parts.add_parser(name)
        add.set_defaults(measure=measure)
        add.add_argument("--model", default="clip-vis-r50")
        add.add_argument("--size", type=int, nargs="+", default=[640], help="pixels of a side")
        add.add_argument("--batch", type=int, default=1)
        add.add_argument("--instances", type=int, default=12, help="of each image; 12 is LVIS's mean")
        add.add_argument("--precision", nargs="+", choices=["float32", "bfloat16"], default=["float32"])
        add.add_argument("--way", nargs="+", choices=WAYS, default=["ours"] if name == "step" else WAYS)
        add.add_argument("--steps", type=int, default=steps)
        add.add_argument("--worker", help=argparse.SUPPRESS)
    add = parts.add_parser("data")
    add.set_defaults(measure=data)
    add.add_argument("--size", type=int, nargs="+", default=[320, 640, 1024])
    add.add_argument("--batch", type=int, default=4)
    add.add_argument("--seconds", type=float, default=5.0, help="of each of the repeats")
    add.add_argument("--repeats", type=int, default=3)
    add = parts.add_parser("wait")
    add.set_defaults(measure=wait)
    add.add_argument("--model", default="clip-vis-r50")
    add.add_argument("--size", type=int, default=320)
    add.add_argument("--batch", type=int, default=2)
    add.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    add.add_argument("--steps", type=int, default=8)
    for name, workers in (("data", [0, 1, 2]), ("wait", [2])):
        parts.choices[name].add_argument("--workers", type=int, nargs="+", default=workers)
        parts.choices[name].add_argument("--images", type=int, default=200)
    add = parts.add_parser("layer")
    add.set_defaults(measure=layer)
    add.add_argument("--size", type=int, nargs="+", default=[320, 640, 1024])
    add.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


# ---- the step and its memory


def step_table(options: argparse.Namespace) -> None:
    """Print seconds by part, images a second and the peak of each asked-for row."""
    rows(options, ("s a step", "least", "most", *PARTS, "images/s", "peak MiB"))


def memory_table(options: argparse.Namespace) -> None:
    """Print what is saved for the backward, and the peak, of each asked-for row."""
    rows(options, ("saved MiB", "of it backbone", "growth MiB", "optimizer MiB", "peak MiB", "value"))


def rows(options: argparse.Namespace, columns: Sequence[str]) -> None:
    """Measure each asked-for row in a process of its own and print the table; or be such a process."""
    if options.worker:
        print(json.dumps(measure(argparse.Namespace(**json.loads(options.worker)))))
        return
    title = f"{options.model}, batch {options.batch}, {options.instances} instances, {torch.get_num_threads()} threads"
    table = Table(title=title, title_justify="left")
    for name in ("size", "precision", "way", *columns):
        table.add_column(name, justify="right")
    shared = {name: value for name, value in vars(options).items() if name != "measure"}
    for size in options.size:
        for precision in options.precision:
            for way in options.way:
                row = json.dumps({**shared, "size": size, "way": way, "precision": precision})
                command = [sys.executable, __file__, "memory", "--worker", row]
                found = json.loads(subprocess.check_output(command).splitlines()[-1])
                table.add_row(str(size), precision, way, *(f"{found[name]:.4g}" for name in columns))
    Console(width=150).print(table)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Run some steps in this process and return the columns of its row."""
    torch.manual_seed(0)
    entry = find_model(options.model)
    model = build_clip_vis(entry.config, entry.name).train()
    if options.way == "trained":
        model.clip.visual.requires_grad_(True)
        backbone = model.network.backbone
        backbone.forward = unwrapped(backbone)  # type: ignore[method-assign]
    criterion = clip_vis_criterion(LossConfig())
    loss_of = dense_loss if options.way == "dense" else lambda *given: criterion(given[1], given[2]).total
    optimizer = build_optimizer(model, OptimizerConfig())
    pixels = torch.randn(options.batch, 1, 3, options.size, options.size)
    targets = [ellipses(options.instances, options.size, seed) for seed in range(options.batch)]
    start = peak()
    seconds, loss = [], 0.0
    for _ in range(options.steps + 1):  # the first warms up
        clock = [time.perf_counter()]
        with mixed(options.precision):
            prediction = model(pixels, every_layer=True)
            clock.append(time.perf_counter())
            total = loss_of(criterion, prediction, targets)
        clock.append(time.perf_counter())
        del prediction
        total.backward()
        clock.append(time.perf_counter())
        loss = loss or float(total.detach())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()
        optimizer.zero_grad()
        clock.append(time.perf_counter())
        seconds.append([b - a for a, b in pairwise(clock)])
    most = peak()
    state = sum(x.numel() * x.element_size() for row in optimizer.state.values() for x in row.values() if x.dim())
    whole, of_backbone = Held(model), Held(model)
    with mixed(options.precision):
        with saved_tensors_hooks(of_backbone.add, lambda tensor: tensor):
            model.network.backbone(pixels.flatten(0, 1))
        with saved_tensors_hooks(whole.add, lambda tensor: tensor):
            loss_of(criterion, model(pixels, every_layer=True), targets)
    steps = [sum(step) for step in seconds[1:]]
    return {
        "s a step": statistics.median(steps),
        "least": min(steps),
        "most": max(steps),
        **{name: statistics.median(part) for name, *part in zip(PARTS, *seconds[1:], strict=True)},
        "images/s": options.batch / statistics.median(steps),
        "saved MiB": whole.bytes / MIB,
        "of it backbone": of_backbone.bytes / MIB,
        "growth MiB": (most - start) / MIB,
        "peak MiB": most / MIB,
        "optimizer MiB": state / MIB,
        "value": loss,
    }


def mixed(precision: str) -> torch.autocast:
    """Return mixed precision as Fabric's `bf16-mixed` has it, or none."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")


class Held:
    """Counts the bytes that a forward keeps for its backward, each piece of memory once, parameters not."""

    def __init__(self, model: Model) -> None:
        self._seen = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        self._alive: list[Tensor] = []  # or another tensor would take the place of one that was freed
        self.bytes = 0

    def add(self, tensor: Tensor) -> Tensor:
        """Count a saved tensor."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self._alive.append(tensor.detach())
            self.bytes += storage.nbytes()
        return tensor


def unwrapped(backbone: Any) -> Callable[[Tensor], Any]:
    """Return a backbone's forward without its `no_grad`."""
    forward = type(backbone).forward.__wrapped__
    return lambda pixels: forward(backbone, pixels)


def dense_loss(criterion: Criterion, prediction: LayeredPrediction, targets: list[Target]) -> Tensor:
    """Return the loss by way of the masks of all queries: they take the place of the mask features."""
    queries = prediction.embeddings.shape[2]
    one_hot = torch.eye(queries).expand(1, len(targets), -1, -1)
    total = torch.zeros(())
    for layer, embeddings in enumerate(prediction.mask_embeddings):
        masks = torch.einsum("bqd,btdhw->btqhw", embeddings, prediction.mask_features)
        part = replace(
            prediction,
            mask_embeddings=one_hot,
            mask_features=masks,
            object_logits=prediction.object_logits[layer : layer + 1],
            mask_ious=None if prediction.mask_ious is None else prediction.mask_ious[layer : layer + 1],
        )
        total = total + criterion(part, targets).total
    return total


def peak() -> int:
    """Return the most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# ---- data, and the wait for it


def data(options: argparse.Namespace) -> None:
    """Print images a second for each size and number of workers."""
    with tempfile.TemporaryDirectory() as folder:
        known = lvis_like(Path(folder), options.images)
        for size in options.size:
            for workers in options.workers:
                batches = loader(known, size, options.batch, workers).batches()
                instances = [len(t.masks) for batch in islice(batches, 8) for t in batch.targets]
                runs = [run(batches, options.seconds) for _ in range(options.repeats)]
                rates = [options.batch * count / seconds for count, seconds, _ in runs]
                busy = [1000 * processor / count / options.batch for count, _, processor in runs]
                print(
                    f"size {size}, {workers} workers: {spread(rates, 0)} images/s, this process busy for"
                    f" {spread(busy, 1)} ms an image; {statistics.mean(instances):.1f} instances an image",
                    flush=True,
                )


def wait(options: argparse.Namespace) -> None:
    """Print the seconds of a step on one batch over and over, and on loaded ones, with the wait for each."""
    with tempfile.TemporaryDirectory() as folder:
        known = lvis_like(Path(folder), options.images)
        step = training_step(options.model, options.precision)
        for workers in options.workers:
            batches = loader(known, options.size, options.batch, workers).batches()
            first = next(batches)
            step(first)
            time.sleep(2)  # the workers fill their queue and then rest
            alone = [timed(step, first) for _ in range(options.steps)]
            waits, steps = [], []
            for _ in range(options.steps + 2 * workers):
                start = time.perf_counter()
                batch = next(batches)
                waits.append(time.perf_counter() - start)
                steps.append(timed(step, batch))
            used = 2 * workers  # of these the queue had been filled before: LoaderConfig.prefetch for each worker
            print(
                f"size {options.size}, batch {options.batch}, {options.precision}, {workers} workers: step alone"
                f" {spread(alone, 3)} s, with loading beside it {spread(steps[used:], 3)} s, and before it a wait of"
                f" {spread([1000 * seconds for seconds in waits[used:]], 1)} ms",
                flush=True,
            )


def training_step(name: str, precision: str) -> Callable[[TrainingBatch], None]:
    """Return a whole training step of an untrained model on the CPU."""
    entry = find_model(name)
    model = build_clip_vis(entry.config, entry.name).train()
    criterion = clip_vis_criterion(LossConfig())
    optimizer = build_optimizer(model.network, OptimizerConfig())

    def step(batch: TrainingBatch) -> None:
        pixels = network_input(batch, model.pixel_mean, model.pixel_std)
        with mixed(precision):
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


# ---- one layer


def layer(options: argparse.Namespace) -> None:
    """Print milliseconds of one deformable attention layer (width 256, 8 heads, 3 levels, 4 points), way by way."""
    torch.manual_seed(0)
    attention = deformable_attention.DeformableAttention(256, 8, 3, 4)
    for part in (attention.offsets, attention.weights):
        torch.nn.init.normal_(part.weight, 0, 0.05)
    for size in options.size:
        shapes = [(size // stride, size // stride) for stride in (32, 16, 8)]
        tokens = torch.randn(1, sum(h * w for h, w in shapes), 256, requires_grad=True)
        reference = torch.rand(tokens.shape[1], 2)
        for name, sampler in (
            ("ours", deformable_attention.BagSampler),
            ("ours, compiled", partial(deformable_attention.BagSampler, compiled=True)),
            ("PyTorch's gradient", PlainGradient),
            ("grid_sample", deformable_attention.GridSampler),
        ):
            clocks = []
            for _ in range(options.repeats + 1):  # the first warms up
                clock = [time.perf_counter()]
                value = attention.value(tokens).unflatten(-1, (attention.heads, -1))
                out = attention(tokens, reference, sampler(value, shapes)).square().sum()
                clock.append(time.perf_counter())
                torch.autograd.grad(out, [tokens, *attention.parameters()])
                clock.append(time.perf_counter())
                clocks.append([1000 * (b - a) for a, b in pairwise(clock)])
            forward, backward = zip(*clocks[1:], strict=True)
            both = [sum(clock) for clock in clocks[1:]]
            print(
                f"size {size}, {name}: forward {spread(forward, 0)} ms, backward {spread(backward, 0)} ms, both"
                f" {spread(both, 0)} ms",
                flush=True,
            )


class PlainGradient(deformable_attention.BagSampler):
    """As ours, with `embedding_bag`'s own gradient."""

    def __call__(self, places: Tensor, weights: Tensor) -> Tensor:
        """Sample with ours, its sums replaced."""
        ours, deformable_attention._CornerSums = deformable_attention._CornerSums, _Plain  # type: ignore
        try:
            return super().__call__(places, weights)
        finally:
            deformable_attention._CornerSums = ours  # type: ignore


class _Plain:
    @staticmethod
    def apply(table: Tensor, row: Tensor, line: Tensor, heads: int, _: bool, *shares: Tensor) -> Tensor:
        corners = zip(deformable_attention._corners(row, line, heads), shares, strict=True)
        return sum(deformable_attention._bag_sums(table, *corner) for corner in corners)  # type: ignore[return-value]


def spread(values: Sequence[float], digits: int) -> str:
    """Return the median and the range as text."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


if __name__ == "__main__":
    main()
