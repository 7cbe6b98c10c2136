"""The loop: batches to steps, steps to a trained model. It knows no family, no loss and no dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lightning_fabric import Fabric

from ovvis.training.config import TrainConfig
from ovvis.training.live import Live
from ovvis.training.logbook import Logbook, Record
from ovvis.training.meter import Meter
from ovvis.training.task import Task, Validate


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    step: int
    finished: bool  # False where it was asked to stop
    figures: Mapping[str, float] = field(default_factory=dict)  # of the last validation
    best: tuple[float, int] | None = None  # the first figure of the best validation, and its step


def train(
    task: Task,
    config: TrainConfig,
    fabric: Fabric,
    folder: Path,
    *,
    show: Callable[[Record], None] | None = None,
    validate: Validate | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train from where the folder's last checkpoint stands to the last step.

    Killed at any moment and called again, it ends with the same weights, on a CPU to the last bit.

    Args:
        task: what is trained; its model has the weights to begin with.
        config: the run's settings.
        fabric: launched; it knows devices, processes and precision.
        folder: the run's.
        show: called with each record of steps, in the first process.
        validate: see `Validate`; called every `config.validation.every` steps and after the last.
        stop: asked after every step; where it says yes, in any process, a checkpoint is written and the loop ends.

    Raises:
        InputError: the folder holds a run with other settings; a loss or a gradient is not finite.
        ResourceError: a checkpoint cannot be written.
    """
    run = config.run
    live = Live(task, config, fabric, folder)
    step = live.resume()
    parts = task.batches(step * run.batch)
    meter = Meter(run.steps, run.batch)
    figures: Mapping[str, float] = {}
    stopped = False
    with Logbook(folder, step, show, write=fabric.is_global_zero) as log:

        def look() -> Mapping[str, float]:
            """Validate and paint; figures stand in the log only once a checkpoint knows of them."""
            with live.looking():
                found = validate(step) if validate is not None else {}
                log.pictures(step, task.pictures)
            if live.note(step, found):
                live.save(step)
            if validate is not None:
                log.figures(step, found)
            return found

        def due(step: int) -> bool:
            return step > 0 and (step % config.validation.every == 0 or step == run.steps)

        # A validation that failed, or was killed, has left the checkpoint before it.
        if validate is not None and due(step) and fabric.broadcast(not log.validated(step)):
            figures = look()
        while step < run.steps and not stopped:
            live.set_rates(step)
            losses = live.forward_backward(parts, meter)
            gradient = live.clip()
            stopped, losses = live.agree(losses, gradient, stop())
            live.update()
            step += 1
            meter.add(losses, gradient)

            last = step == run.steps
            if step % run.log_every == 0 or last or stopped:
                log.steps(meter.record(step, live.rate, live.memory))
            if step % run.save_every == 0 or last or stopped or due(step):
                with meter.aside():
                    live.save(step)
            if due(step):  # after the saving: what fails in here takes no training with it
                with meter.aside():
                    figures = look()
    return Outcome(step, step >= run.steps, figures, live.best)
