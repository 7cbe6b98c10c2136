"""Seconds and memory of a training step, by part, and what the frozen backbone and the loss's masks save.

Each row runs in a process of its own, on generated windows, with untrained weights (the figures do not depend on
them). Ways:

  ours     as ovvis trains: the backbone is frozen, masks of full size are made for matched queries only
  dense    masks of full size of all queries after each layer, as the authors' code makes them
  trained  as ours, but CLIP's image encoder is trained too: what freezing it saves

Usage: python benchmarks/training_step.py --model clip-vis-r50 --size 640 --batch 1 --way ours dense trained
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from ovvis.models.clip_vis import build_clip_vis
from ovvis.models.model import Model
from ovvis.models.zoo import find_model
from ovvis.structures import LayeredPrediction, Target
from ovvis.training.criterion import Criterion, LossConfig, clip_vis_criterion
from ovvis.training.optimizer import OptimizerConfig, build_optimizer

PARTS = ("network", "loss", "backward", "optimizer")
MIB = 2**20


def main() -> None:
    """Measure each asked-for row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--model", default="clip-vis-r50")
    parser.add_argument("--size", type=int, nargs="+", default=[640], help="pixels of a side")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--instances", type=int, default=12, help="of each image; 12 is LVIS's mean")
    parser.add_argument("--way", nargs="+", choices=["ours", "dense", "trained"], default=["ours", "dense", "trained"])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(argparse.Namespace(**json.loads(options.worker)))))
        return
    title = f"{options.model}, batch {options.batch}, {options.instances} instances, {torch.get_num_threads()} threads"
    table = Table(title=title, title_justify="left")
    for name in (
        "size",
        "way",
        "s a step",
        *PARTS,
        "saved MiB",
        "of it backbone",
        "peak MiB",
        "optimizer MiB",
        "value",
    ):
        table.add_column(name, justify="right")
    for size in options.size:
        for way in options.way:
            row = json.dumps({**vars(options), "size": size, "way": way})
            run = subprocess.run([sys.executable, __file__, "--worker", row], stdout=subprocess.PIPE, check=True)
            found = json.loads(run.stdout.splitlines()[-1])
            table.add_row(str(size), way, *(f"{value:.4g}" for value in found.values()))
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
    targets = [blobs(options.instances, options.size, seed) for seed in range(options.batch)]
    start = peak()
    seconds: list[list[float]] = []
    saved, of_backbone, loss = 0, 0, 0.0
    for step in range(options.steps + 1):
        held = Held(model)
        clock = [time.perf_counter()]
        if step == 0:  # counts what is saved; its time does not count
            with saved_tensors_hooks(held.add, lambda tensor: tensor):
                model.network.backbone(pixels.flatten(0, 1))
                of_backbone = held.bytes
                held = Held(model)
            with saved_tensors_hooks(held.add, lambda tensor: tensor):
                total = loss_of(criterion, model(pixels, every_layer=True), targets)
            saved = held.bytes
            del held
            total.backward()
        else:
            prediction = model(pixels, every_layer=True)
            clock.append(time.perf_counter())
            total = loss_of(criterion, prediction, targets)
            clock.append(time.perf_counter())
            total.backward()
            clock.append(time.perf_counter())
        loss = loss or float(total.detach())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()
        optimizer.zero_grad()
        clock.append(time.perf_counter())
        if step:
            seconds.append([b - a for a, b in pairwise(clock)])
    state = sum(x.numel() * x.element_size() for row in optimizer.state.values() for x in row.values() if x.dim())
    medians = [statistics.median(part) for part in zip(*seconds, strict=True)]
    return {
        "step": statistics.median(sum(step) for step in seconds),
        **dict(zip(PARTS, medians, strict=True)),
        "saved": saved / MIB,
        "of_backbone": of_backbone / MIB,
        "peak": (peak() - start) / MIB,
        "optimizer_state": state / MIB,
        "loss_value": loss,
    }


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


def blobs(count: int, size: int, seed: int) -> Target:
    """Return ellipses of every size."""
    generator = torch.Generator().manual_seed(seed)
    centre, radius = torch.rand(count, 2, generator=generator), torch.rand(count, 2, generator=generator) * 0.25 + 0.02
    place = torch.linspace(0, 1, size)
    y, x = ((place - centre[:, i, None]) / radius[:, i, None] for i in (0, 1))
    masks = (y[:, :, None] ** 2 + x[:, None] ** 2 < 1)[:, None]
    return Target(masks, torch.zeros(count).long(), torch.arange(count))


def peak() -> int:
    """Return the most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
