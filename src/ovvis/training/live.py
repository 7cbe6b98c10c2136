"""A run while it runs: one step's parts, and how everything goes into a checkpoint and comes back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from ovvis.errors import InputError, ResourceError
from ovvis.models.settings import UNTRAINED
from ovvis.training import checkpoint
from ovvis.training.checkpoint import RunState, plain
from ovvis.training.config import TrainConfig
from ovvis.training.devices import Opened, Sealed, forward_in_precision, memory_held
from ovvis.training.dump import Dump, first_not_finite, write_dump
from ovvis.training.ema import Ema
from ovvis.training.meter import Meter
from ovvis.training.recipes import refuse_other_run, save_config
from ovvis.training.task import Batch, Losses, Task

CLIP = "clip."  # what the names of the frozen CLIP's weights begin with


class Live:
    """A task on its devices.

    Args:
        task: what is trained.
        config: the run's settings.
        fabric: launched.
        folder: the run's.
    """

    def __init__(self, task: Task, config: TrainConfig, fabric: Fabric, folder: Path) -> None:
        self._task, self._config, self._fabric, self._folder = task, config, fabric, folder
        self._objective, self._optimizer = fabric.setup(Opened(task.objective), task.optimizer)
        self._objective.train()
        self._ema = Ema(task.model, config.run.ema) if config.run.ema is not None else None
        self._scaler: Any = getattr(fabric.strategy.precision, "scaler", None)
        self._best: tuple[float, int] | None = None
        self._rates = [group["lr"] for group in task.optimizer.param_groups]
        self._parts: list[Batch] = []  # of the step, and the random state before them: for a dump
        self._random: dict[str, Any] = {}
        self._step = 0  # the one at work, counted from 1
        # Each process draws its own random numbers; the weights are the first one's, which Fabric has sent to all.
        fabric.seed_everything(config.run.seed + fabric.global_rank, verbose=False)

    @property
    def rate(self) -> float:
        """The learning rate of the first group of weights."""
        return float(self._task.optimizer.param_groups[0]["lr"])

    @property
    def memory(self) -> int:
        """Bytes: most that the device has held."""
        return memory_held(self._fabric.device)

    def set_rates(self, step: int) -> None:
        """Set the learning rates for the step after `step` steps."""
        self._step = step + 1
        factor = self._task.schedule(step)
        for group, rate in zip(self._task.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def forward_backward(self, parts: Iterator[Batch], meter: Meter) -> Losses:
        """Run the parts of one step; gradients are the mean over them. Return this process's losses."""
        count = self._config.run.accumulate
        losses: Losses = {}
        self._parts, self._random = [], checkpoint.random_state()
        for i in range(count):
            with meter.waiting():
                batch = next(parts).to(self._fabric.device)
            self._parts.append(batch)
            # Processes exchange gradients once a step, after its last part.
            with self._fabric.no_backward_sync(self._objective, enabled=i + 1 < count):
                total, found = self._forward(batch)
                self._fabric.backward(total / count)
            for name, loss in found.items():
                share = loss.detach().float() / count
                losses[name] = losses[name] + share if name in losses else share
        return losses

    def _forward(self, batch: Batch) -> tuple[Tensor, Losses]:
        """Return the objective's loss and parts of a batch.

        Raises:
            InputError: the network cannot compute on numbers that are not finite, such as places to look at.
        """
        try:
            return self._objective(Sealed(batch))  # type: ignore[no-any-return]
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError) as error:
            culprit = first_not_finite(self._task.objective, batch)
            if culprit is None:
                raise
            raise self._diverged(f"output of {culprit}", {}, True) from error

    def clip(self) -> float:
        """Shrink all gradients together to the norm that is allowed; return the norm that they had."""
        limit = self._config.run.clip_gradients
        norm = self._fabric.clip_gradients(self._objective, self._optimizer, max_norm=limit, error_if_nonfinite=False)
        return float(norm) if norm is not None else math.nan

    def agree(self, losses: Losses, gradient: float, stop: bool) -> tuple[bool, Losses]:
        """Return whether any process wants to stop, and the losses as means over all processes.

        Raises:
            InputError: a loss, or a gradient that no scaler looks after, is not finite.
        """
        own = torch.stack([*losses.values(), torch.tensor(float(stop), device=self._fabric.device)])
        mean = self._fabric.all_reduce(own, reduce_op="mean") if self._fabric.world_size > 1 else own
        assert isinstance(mean, Tensor)
        if not mean.isfinite().all():
            raise self._diverged("loss", losses, not own.isfinite().all())
        if self._scaler is None and not math.isfinite(gradient):
            raise self._diverged("gradient", losses, True)
        return bool(mean[-1] > 0), dict(zip(losses, mean[:-1], strict=True))

    def update(self) -> None:
        """Move the weights along their gradients."""
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if self._ema is not None:
            self._ema.update()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Let the model be looked at: the mean of its weights if there is one, no dropout, no gradient.

        Its forward, and nothing else in the block, computes in the run's precision. Mode, weights and random states
        are after the block what they were before.
        """
        before = checkpoint.random_state()
        self._objective.eval()
        ema = self._ema.applied() if self._ema else nullcontext()
        with torch.no_grad(), forward_in_precision(self._task.model, self._fabric), ema:
            yield
        self._objective.train()
        checkpoint.restore_random_state(before)

    @property
    def best(self) -> tuple[float, int] | None:
        """The first figure of the best validation so far, and the step it was of."""
        return self._best

    def note(self, step: int, figures: Mapping[str, float]) -> bool:
        """Keep the weights if the first figure is better than in all validations before; the first process does.

        Returns whether it is.
        """
        first = next(iter(figures.values()), math.nan)
        if not math.isfinite(first) or (self._best is not None and first <= self._best[0]):
            return False
        self._best = (first, step)
        if self._fabric.is_global_zero:
            checkpoint.save_best(self._state(step, []), self._folder)
        return True

    def save(self, step: int) -> None:
        """Write a checkpoint: the first process does, with the random states of all."""
        states: list[Any] = [checkpoint.random_state()]
        if self._fabric.world_size > 1:
            states = [None] * self._fabric.world_size
            torch.distributed.all_gather_object(states, checkpoint.random_state())
        if self._fabric.is_global_zero:
            checkpoint.save(self._state(step, states), self._folder, self._config.run.keep)
        self._fabric.barrier()

    def _state(self, step: int, random: list[Any]) -> RunState:
        """Return all that the run is after a step."""
        return RunState(
            step=step,
            position=step * self._config.run.batch,
            weights=self._weights(),
            optimizer=self._task.optimizer.state_dict(),
            scaler=self._scaler.state_dict() if self._scaler is not None else {},
            ema=self._ema.state() if self._ema is not None else {},
            random=random,
            config=plain(self._config),
            versions=checkpoint.versions(),
            data=self._task.data,
            best=self._best,
        )

    def resume(self) -> int:
        """Take up the folder's last checkpoint, if it has one; return the steps done."""
        state = checkpoint.latest(self._folder)
        self._fabric.barrier()
        if state is None:
            if self._fabric.is_global_zero:
                save_config(self._config, self._folder)
            return 0
        refuse_other_run(self._config, state.config, self._folder)
        self._refuse_other_data(state)
        try:
            self._take_up(state)
        except checkpoint.UNSOUND as error:
            if isinstance(error, InputError):
                raise
            line = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()[:200]
            raise InputError(
                f"{self._folder}: its checkpoint of step {state.step} is of another network, or damaged ({line}); "
                "remove it to go on from the one before, or choose another --output"
            ) from error
        return state.step

    def _take_up(self, state: RunState) -> None:
        """Put the model and all that moves it where a checkpoint has them."""
        ill = next((name for name, weight in state.weights.items() if not weight.isfinite().all()), None)
        if ill is not None:
            raise ValueError(f"{ill} holds values that are not finite")
        missing, unknown = self._task.model.load_state_dict(state.weights, strict=False)
        lost = [name for name in missing if not name.startswith(CLIP)]
        if lost:
            raise InputError(f"{self._folder}: its checkpoint lacks {lost[0]}; it was written by another ovvis")
        if unknown:
            raise ValueError(f"this network has no {unknown[0]}")
        self._task.optimizer.load_state_dict(state.optimizer)
        if self._scaler is not None:
            self._scaler.load_state_dict(state.scaler)
        if self._ema is not None:
            self._ema.restore(state.ema)
        self._best = state.best
        rank = self._fabric.global_rank
        if rank < len(state.random):  # with more processes than before the new ones keep their seeds
            checkpoint.restore_random_state(state.random[rank])

    def _refuse_other_data(self, state: RunState) -> None:
        """Refuse to go on where a dataset is not what it was: other windows would be drawn."""
        for name, before, now in zip(self._config.data.train, state.data, self._task.data, strict=False):
            if before != now:
                raise InputError(
                    f"{self._folder} holds a run on other data: {name} was {before} and is {now}; give the same files "
                    "to go on with it, or choose another --output"
                )

    def _weights(self) -> dict[str, Tensor]:
        # An untrained CLIP stands nowhere else, nor does one that is trained.
        config = self._config
        carried = config.run.carry_clip or config.trains == "clip" or config.model.weights == UNTRAINED
        state = self._task.model.state_dict()
        return {name: tensor for name, tensor in state.items() if carried or not name.startswith(CLIP)}

    def _diverged(self, what: str, losses: Losses, mine: bool) -> InputError:
        """Return the error for a loss or gradient that is not finite; write down what reproduces it."""
        step = self._step
        if not mine:
            return InputError(f"step {step}: the {what} of another process is not finite; its message says more")
        names = tuple(str(origin) for part in self._parts for origin in part.origins)
        dump = Dump(
            step=step,
            names=names,
            losses={name: float(loss) for name, loss in losses.items()},
            random=self._random,
            weights=self._weights(),
            config=plain(self._config),
            versions=checkpoint.versions(),
            processes=self._fabric.world_size,
        )
        try:
            path = write_dump(dump, self._parts, self._folder, self._fabric.global_rank)
            written = f"`ovvis train --replay {path}` computes the step again"
        except (OSError, ResourceError) as error:
            written = f"what it was computed from could not be written down ({error})"
        shown = ", ".join(f"{name} {value:.4g}" for name, value in dump.losses.items())
        shown = f" ({shown})" if shown else ""
        return InputError(
            f"step {step}: the {what} is not finite{shown} for {'; '.join(names)}; {written}; "
            "look at the windows, or lower the learning rate or the precision's risk "
            "(32-true)"
        )
