"""A rehearsal: data, shapes, memory and one step of a run, and how long the run will take on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

import torch
from lightning_fabric import Fabric
from rich.table import Table

from ovvis.errors import InputError
from ovvis.training.build import Built
from ovvis.training.config import TrainConfig
from ovvis.training.data.loader import TrainingBatch
from ovvis.training.devices import Opened, Sealed, forward_in_precision, memory_held
from ovvis.training.optimizer import trainable

STEPS = 3  # rehearsed; the first warms up and does not count
BATCHES = 4  # loaded to see how fast data comes


def dry_run(config: TrainConfig, built: Built, fabric: Fabric, look: Callable[[], str] | None = None) -> Table:
    """Run a few steps on real data, write nothing, and return what was found as a table.

    Args:
        config: the run's settings.
        built: what is trained, on what.
        fabric: launched.
        look: rehearses a validation and says what came of it; None where the run has none.

    Raises:
        InputError: a window cannot be read, a loss is not finite, or the validation cannot be done.
    """
    run = config.run
    parts = built.task.batches(0)
    batches, loading = _load(parts)
    objective, optimizer = fabric.setup(Opened(built.task.objective), built.task.optimizer)
    objective.train()
    seconds: dict[str, float] = {"forward": 0.0, "backward": 0.0, "optimizer": 0.0}
    total = torch.zeros(())
    for step in range(STEPS):
        batch = batches[step % len(batches)].to(fabric.device)
        times = [_now(fabric.device)]
        total, losses = objective(Sealed(batch))
        if not total.isfinite():
            shown = ", ".join(f"{name} {float(value):.3g}" for name, value in losses.items())
            raise InputError(
                f"the loss of rehearsed step {step + 1} is not finite ({shown}): lower optimizer.rate, or take "
                "run.precision 32-true"
            )
        times.append(_now(fabric.device))
        fabric.backward(total)
        times.append(_now(fabric.device))
        fabric.clip_gradients(objective, optimizer, max_norm=run.clip_gradients, error_if_nonfinite=False)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(_now(fabric.device))
        if step:
            for name, began, ended in zip(seconds, times, times[1:], strict=False):
                seconds[name] += (ended - began) / (STEPS - 1)
    validation = None
    if look is not None:
        objective.eval()
        with torch.no_grad(), forward_in_precision(built.model, fabric):
            validation = look()
    network = (seconds["forward"] + seconds["backward"]) * run.accumulate + seconds["optimizer"]
    waiting = loading * run.accumulate
    step_time = max(network, waiting)

    table = Table(title=f"Dry run on {_machine(fabric)}", title_justify="left", show_header=False)
    for part in built.data.parts:
        known = part.annotations
        table.add_row(
            f"data: {known.name}",
            f"{len(known.videos):,} videos or images, {len(known.truths):,} instances",
        )
    for name, left in built.data.left_out.items():
        for entry in left:
            table.add_row(f"left out: {name}", str(entry))
    frozen = sum(p.numel() for p in built.model.parameters() if not p.requires_grad)
    learnt = sum(p.numel() for _, p, _ in trainable(built.model))
    table.add_row(
        "epoch", f"{built.epoch:,.0f} windows; the run draws {run.steps * run.batch / built.epoch:.1f} epochs"
    )
    table.add_row("weights", f"{learnt / 1e6:.1f} M trained, {frozen / 1e6:.1f} M frozen; from {built.model.source}")
    table.add_row("batch", _shape(batches[0], run.batch, run.accumulate, fabric.world_size))
    table.add_row("loss of a step", ", ".join(f"{name} {float(value):.3f}" for name, value in losses.items()))
    table.add_row("step", ", ".join(f"{name} {value:.3f} s" for name, value in seconds.items()))
    table.add_row("data", f"{loading:.3f} s a batch with {run.workers} workers" + _verdict(waiting, network))
    if validation is not None:
        table.add_row("validation", validation)
    table.add_row("memory", f"{memory_held(fabric.device) / 2**30:.2f} GiB at most")
    whole = timedelta(seconds=round(run.steps * step_time))
    table.add_row("the run", f"{run.steps:,} steps of {step_time:.2f} s: {whole}, validation apart")
    return table


def _load(parts: Iterator[Any]) -> tuple[list[TrainingBatch], float]:
    """Return some batches and the seconds that one takes once the workers are at it."""
    first = next(parts)
    began = time.perf_counter()
    rest = list(islice(parts, BATCHES - 1))
    return [first, *rest], (time.perf_counter() - began) / len(rest)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _machine(fabric: Fabric) -> str:
    name = torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else str(fabric.device)
    return f"{name}, {fabric.world_size} process{'es' if fabric.world_size > 1 else ''}"


def _shape(batch: TrainingBatch, windows: int, parts: int, processes: int) -> str:
    b, t, _, h, w = batch.pixels.shape
    instances = [len(target.labels) for target in batch.targets]
    return (
        f"windows in a step: {windows} (processes {processes} x parts {parts} x {b}); frames in a window: {t}; "
        f"{h}x{w} pixels; instances: {min(instances)} to {max(instances)}"
    )


def _verdict(waiting: float, network: float) -> str:
    return "; the step waits for it: raise run.workers" if waiting > network else "; the step does not wait for it"
