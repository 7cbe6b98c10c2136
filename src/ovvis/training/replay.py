"""A step that went wrong, computed again from its dump."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric

from ovvis.models.model import Model
from ovvis.training import checkpoint
from ovvis.training.build import training_set
from ovvis.training.config import TrainConfig
from ovvis.training.data.dataset import Origin
from ovvis.training.data.loader import TrainingBatch
from ovvis.training.data.sampling import Draw
from ovvis.training.dump import Dump, first_not_finite
from ovvis.training.loss.objective import network_objective
from ovvis.training.task import Losses


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a dumped step gave when it was computed again."""

    losses: dict[str, float]  # weighted parts; empty where the network could not compute them
    gradient: float  # norm of all gradients; not a number without a loss
    module: str | None  # the first whose output is not finite
    weight: str | None  # the first whose gradient is not finite


def replay(dump: Dump, parts: list[Any], config: TrainConfig, model: Model, fabric: Fabric) -> Replayed:
    """Compute a step again, from the weights, windows and random state that it had.

    Exact on the kind of device that it was dumped on. Of a step that several processes shared it is this one's part:
    divisors are its own, not the mean over processes. A network that learns names needs the run's datasets once more,
    for their labels.

    Args:
        dump: of the step.
        parts: its batches, as `read_dump` gives them.
        config: the dump's settings.
        model: as the run began; it takes the dump's weights.
        fabric: launched, one process, of the settings' precision.
    """
    # Not `load_strictly`: it refuses weights that are not finite, and such may be what the dump is about.
    model.load_state_dict({**model.state_dict(), **dump.weights})
    objective = network_objective(config, model, lambda: training_set(config.data, config.run.seed)).to(fabric.device)
    objective.train()
    batches = [_batch(part).to(fabric.device) for part in parts]
    checkpoint.restore_random_state(dump.random)
    losses: Losses = {}
    with fabric.autocast():
        try:
            for batch in batches:
                total, found = objective(batch)
                (total / config.run.accumulate).backward()
                for name, loss in found.items():
                    losses[name] = (
                        losses.get(name, torch.zeros(())) + loss.detach().float().cpu() / config.run.accumulate
                    )
        except (RuntimeError, ValueError):  # on numbers that are not finite
            losses = {}
        module = next((name for batch in batches if (name := first_not_finite(objective, batch))), None)
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    norm = torch.nn.utils.get_total_norm(list(gradients.values())) if losses else math.nan
    weight = next((name for name, gradient in gradients.items() if not gradient.isfinite().all()), None)
    return Replayed({name: float(loss) for name, loss in losses.items()}, float(norm), module, weight)


def _batch(values: dict[str, Any]) -> TrainingBatch:
    """Return a batch from plain values."""
    return TrainingBatch(
        pixels=values["pixels"],
        sizes=tuple((int(height), int(width)) for height, width in values["sizes"]),
        masks=values["masks"],
        labels=values["labels"],
        ids=values["ids"],
        counts=tuple(values["counts"]),
        origins=tuple(
            Origin(**{**origin, "draw": Draw(*origin["draw"]), "files": tuple(origin["files"])})
            for origin in values["origins"]
        ),
        views=values["views"],
    )
