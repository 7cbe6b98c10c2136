"""What `ovvis train` does once its arguments are read: a run, a rehearsal of one, an export, a step again."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from rich.markup import escape
from rich.table import Table

from ovvis.cli.console import out, progress, warn
from ovvis.cli.process import Interrupted
from ovvis.cli.stopping import STOPPING
from ovvis.cli.validation import Look, Validation, unseen
from ovvis.errors import InputError, OvvisError, ResourceError
from ovvis.files.lock import release_lock, take_lock
from ovvis.files.signals import ENDING
from ovvis.training import checkpoint
from ovvis.training.build import Built, build_task
from ovvis.training.config import TrainConfig
from ovvis.training.devices import make_fabric
from ovvis.training.dry_run import dry_run
from ovvis.training.dump import read_dump
from ovvis.training.logbook import Record
from ovvis.training.loop import Outcome
from ovvis.training.loop import train as run_loop
from ovvis.training.recipes import config_of
from ovvis.training.replay import replay
from ovvis.training.start import EXPORT, export, export_path, refuse_foreign, starting_model, trained_model

_SMALLER = (
    "raise run.accumulate, which computes a step in parts with the same result but for rounding, or lower run.batch, "
    "data.augment's sizes or model.network's"
)


def rehearse(config: TrainConfig, device: str) -> None:
    """Check data, shapes, memory and one step, and print what a run would take."""
    fabric = make_fabric(config.run.precision, device)
    with _enough_memory(), _model(config, fabric) as built:
        validation = Validation(config, built.model) if config.validation.dataset else None
        out.print(dry_run(config, built, fabric, validation.rehearse if validation else None))


def run(config: TrainConfig, device: str, folder: Path) -> None:
    """Train in a folder, or go on in it."""
    refuse_foreign(folder)
    fabric = make_fabric(config.run.precision, device)
    with _enough_memory():
        _run(config, fabric, folder)


def _run(config: TrainConfig, fabric: Fabric, folder: Path) -> None:
    """Train, show, and write the model at the end."""
    first = fabric.is_global_zero
    with (
        _alone(folder if first else None),
        _model(config, fabric, say=first and not checkpoint.checkpoints(folder)) as built,
        _politely_stopped() as stop,
        _shown(config, first) as (show, look),
    ):
        if first:
            for name, left in built.data.left_out.items():
                for entry in left:
                    warn(f"{name}: {entry}")
        validate = None
        if config.validation.dataset:
            gather = _gather if fabric.world_size > 1 else list
            validate = Validation(config, built.model, fabric.global_rank, fabric.world_size, gather, look)
        try:
            outcome = run_loop(built.task, config, fabric, folder, show=show, validate=validate, stop=stop)
        except (KeyboardInterrupt, RuntimeError) as error:
            # Whoever ends all processes of a job ends those that read the data too, and PyTorch tells that first.
            if isinstance(error, RuntimeError) and not (stop() and "DataLoader worker" in str(error)):
                raise
            last = checkpoint.checkpoints(folder)
            then = f"goes on from {last[-1].stem}" if last else "begins anew: there was no checkpoint yet"
            raise Interrupted(f"stopped at once; the same command {then}") from None
        except OSError as error:
            if isinstance(error, (OvvisError, BrokenPipeError)):
                raise
            last = checkpoint.checkpoints(folder)
            kept = f"training is kept to {last[-1].stem}" if last else "there was no checkpoint yet"
            raise ResourceError(
                f"{error.filename or folder} cannot be read or written ({error.strerror or error}): free some space or "
                f"mend its permissions; {kept}, and the same command goes on"
            ) from error
    if not outcome.finished:
        raise Interrupted(
            f"stopped after step {outcome.step} of {config.run.steps}; the same command goes on from there"
        )
    if first:
        _conclude(outcome, folder)


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Tell a device, or a machine, whose memory is too small, with what makes a step smaller."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        where = "the GPU's" if isinstance(error, torch.OutOfMemoryError) else "the machine's"
        raise ResourceError(f"{where} memory is too small for this run: {_SMALLER}") from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise ResourceError(f"the machine's memory is too small for this run: {_SMALLER}") from error


@contextmanager
def _alone(folder: Path | None) -> Iterator[None]:
    """Keep a second run out of a folder while the block runs; None keeps nothing."""
    if folder is None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = take_lock(folder)
    except OSError as error:
        raise InputError(
            f"output folder {folder} must be a writable folder ({error.strerror}): change its permissions or choose "
            "another --output"
        ) from error
    if lock is None:
        raise InputError(f"output folder {folder}: another process is training in it; wait for it, or choose another")
    try:
        yield
    finally:
        release_lock(lock)
        with suppress(OSError):  # what is not empty stays
            folder.rmdir()


@contextmanager
def _model(config: TrainConfig, fabric: Fabric, say: bool = True) -> Iterator[Built]:
    """Yield the task, with a bar while weights are fetched; say what the network begins with."""
    said: list[str] = []
    with progress(f"fetching {config.model.name}", "B") as fetched:
        model = starting_model(config, fetched, said.append)
    if say:
        for line in said:
            out.print(escape(line), soft_wrap=True)
    yield build_task(config, model, fabric)


@contextmanager
def _politely_stopped() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether Ctrl-C or its like came. The step then ends and is saved; a second one ends at once."""
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        del frame
        if asked:
            STOPPING.came(number)
            return
        asked = True
        STOPPING.note(number)
        warn(f"{signal.Signals(number).name}: ending this step and its validation, saving; once more ends at once")

    heard = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, ask) for number in heard}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown(config: TrainConfig, first: bool) -> Iterator[tuple[Callable[[Record], None] | None, Look]]:
    """Yield what shows a record, and how far a validation is, as a progress line in the first process."""
    if not first:
        yield None, unseen
        return
    steps = config.run.steps
    with progress("training", "steps", steps) as done:

        def show(record: Record) -> None:
            done(record.step, record.steps, describe(record))

        def look(step: int, video: int, videos: int) -> None:
            done(step, steps, f"validating after step {step}, video {video} of {videos}")

        yield show, look


def describe(record: Record) -> str:
    """Return a record as a short line."""
    parts = " ".join(f"{name} {value:.3f}" for name, value in record.losses.items())
    waiting = (
        f", {record.waiting / record.seconds:.0%} waiting for data" if record.waiting > 0.05 * record.seconds else ""
    )
    return (
        f"loss {record.loss:.3f} ({parts}), rate {record.rate:.1e}, {record.windows:.2f} windows/s{waiting}, "
        f"{record.memory / 2**30:.1f} GiB"
    )


def _gather(items: list[Any]) -> list[Any]:
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, items)
    return [item for part in parts for item in part]


def export_run(folder: Path) -> None:
    """Write a model from the last checkpoint of a run, or from one."""
    with progress("fetching weights", "B") as fetched:
        model, step = trained_model(folder, fetched)
    path = export(model, export_path(folder))
    out.print(f"{escape(str(path))}: step {step}; {_use(model.name, path)}", soft_wrap=True)


def replay_dump(file: Path, device: str) -> None:
    """Compute a dumped step again; show what was recorded and what came of it."""
    dump, parts = read_dump(file)
    config = config_of(dump.config, str(file))
    fabric = make_fabric(config.run.precision, device)
    with progress("fetching weights", "B") as fetched:
        model = starting_model(config, fetched)
    found = replay(dump, parts, config, model, fabric)
    table = Table(title=f"Step {dump.step} again, on {fabric.device}", title_justify="left")
    for column in ("", "recorded", "replayed"):
        table.add_column(column, justify="right" if column else "left")
    for name in {**dump.losses, **found.losses}:
        table.add_row(
            name, *(f"{losses[name]:.6g}" if name in losses else "-" for losses in (dump.losses, found.losses))
        )
    table.add_row("gradient", "", f"{found.gradient:.6g}")
    out.print(table)
    for name in dump.names:
        out.print(escape(name), soft_wrap=True)
    if dump.processes > 1:
        out.print(f"one of {dump.processes} processes: the loss's divisors are its own here, not the mean of all")
    out.print(f"first module whose output is not finite: {found.module or 'none'}")
    out.print(f"first weight whose gradient is not finite: {found.weight or 'none'}")


def _conclude(outcome: Outcome, folder: Path) -> None:
    """Write the model; say where it is and how good it was."""
    figures = ", ".join(f"{name} {100 * value:.1f}" for name, value in outcome.figures.items())
    model, _ = trained_model(folder)
    path = export(model, folder / EXPORT)
    out.print(f"{outcome.step} steps done{'; ' + figures if figures else ''}")
    if outcome.best is not None and outcome.best[1] != outcome.step:
        kept = folder / checkpoint.FOLDER / checkpoint.BEST
        name = next(iter(outcome.figures), "validation")
        out.print(
            f"best: {name} {100 * outcome.best[0]:.1f} after step {outcome.best[1]}; for a model of it: "
            f"ovvis train --export {escape(str(kept))}",
            soft_wrap=True,
        )
    out.print(f"{escape(str(path))}: {_use(model.name, path)}", soft_wrap=True)


def _use(model: str, path: Path) -> str:
    return f"use it with ovvis segment --model {model} --weights {escape(str(path))}"
