"""From a run's settings to the task that the loop is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lightning_fabric import Fabric
from torch import Tensor, nn

from ovvis.datasets.open import open_dataset
from ovvis.datasets.problems import Problems
from ovvis.errors import InputError
from ovvis.evaluation.records import TruthTrack
from ovvis.masks import area
from ovvis.models.model import Model
from ovvis.training.clip_start import clip_objective
from ovvis.training.config import DataConfig, TrainConfig
from ovvis.training.data.dataset import Part, TrainingSet
from ovvis.training.data.filtering import FilterConfig
from ovvis.training.data.live_scenes import LIVE, live_part
from ovvis.training.data.loader import LoaderConfig, WindowLoader
from ovvis.training.data.sampling import SamplingConfig
from ovvis.training.data.transforms import AugmentConfig
from ovvis.training.loss.objective import network_objective
from ovvis.training.optimizer import build_optimizer, rate_factor
from ovvis.training.pictures import paint_windows
from ovvis.training.task import Picture, Task


@dataclass(frozen=True, slots=True)
class Built:
    """A task, and what it was built from."""

    task: Task
    model: Model
    data: TrainingSet
    epoch: float  # windows after which every video was drawn once on average


def build_task(config: TrainConfig, model: Model, fabric: Fabric) -> Built:
    """Return what a run's settings describe.

    Args:
        config: the settings.
        model: with the weights to begin with; its network becomes trainable.
        fabric: launched.

    Raises:
        InputError: a dataset cannot be used, or the batch cannot be shared out.
    """
    run, processes = config.run, fabric.world_size
    if run.batch % (processes * run.accumulate):
        raise InputError(
            f"run.batch {run.batch} must be a multiple of {processes} processes x run.accumulate {run.accumulate}"
        )
    data = training_set(config.data, run.seed, model.view_side)

    loader = WindowLoader(
        data,
        run.batch // (processes * run.accumulate),
        LoaderConfig(workers=run.workers, pin_memory=fabric.device.type == "cuda"),
        rank=fabric.global_rank,
        processes=processes,
    )

    def average(counts: Tensor) -> Tensor:
        mean = fabric.all_reduce(counts, reduce_op="mean")
        assert isinstance(mean, Tensor)
        return mean

    objective: nn.Module
    if config.trains == "clip":
        objective = clip_objective(config, model, data.labels)
    else:
        objective = network_objective(config, model, lambda: data, average if processes > 1 else None)
    task = Task(
        model=model,
        objective=objective,
        optimizer=build_optimizer(model, config.optimizer),
        schedule=lambda step: rate_factor(step, run.steps, config.optimizer),
        batches=loader.batches,
        data=data.fingerprints,
        pictures=picture_maker(config, model, data),
    )
    return Built(task, model, data, loader.epoch)


def training_set(config: DataConfig, seed: int, view_side: int | None = None) -> TrainingSet:
    """Return the windows to train on; `view_side` is the model's.

    Raises:
        InputError: a dataset is not here or cannot be used, or holds nothing to learn from.
    """
    parts = []
    for i, name in enumerate(config.train):
        weight = config.weights[i] if config.weights else None
        if name in LIVE:
            parts.append(live_part(name, config.augment, weight))
        else:
            frames = config.frames[i] if config.frames else None
            known = open_dataset(name, config.root, frames, Problems(refuse=config.choice.bad == "refuse"))
            if known.videos and not known.truths and known.notes:
                found = "; ".join(map(str, known.notes))
                raise InputError(f"data.train {name} holds no annotation that can be used: {found}; mend the file")
            if known.videos and not known.truths:
                raise InputError(
                    f"data.train {name} holds no annotation, so there is nothing to learn from: such is the file of a "
                    "split whose truth its server keeps; give one with annotations"
                )
            parts.append(Part(known, config.augment, weight))
    data = TrainingSet(parts, config.sampling, config.choice, seed, view_side)
    for name, part in zip(config.train, data.parts, strict=True):
        # A network that sees no instance learns to find none.
        if part.maker is None and not any(_seen(truth, config.choice) for truth in part.annotations.truths):
            found = "; ".join(map(str, data.left_out.get(part.annotations.name, ()))) or "all its masks are empty"
            raise InputError(
                f"data.train {name} holds no instance with a mask, so there is nothing to learn from ({found}); mend "
                "its annotations, or leave it out"
            )
    return data


def _seen(truth: TruthTrack, choice: FilterConfig) -> bool:
    """Return whether an instance has a pixel in any frame."""
    try:
        return any(mask is not None and area(mask) for mask in truth.masks)
    except InputError:  # damaged
        if choice.bad == "refuse":
            raise
        return False


def picture_maker(config: TrainConfig, model: Model, data: TrainingSet) -> Callable[[], list[Picture]]:
    """Return what paints the model's view of a few windows: of the validation set, else of the training set.

    Raises:
        InputError: the validation set cannot be used.
    """
    asked = config.validation
    edges = (asked.short_edge or model.short_edge,)
    plain = AugmentConfig(resize="short_edge", short_edges=edges, long_edge=asked.long_edge, flip=0.0)
    parts = list(data.parts)
    if asked.dataset:
        problems = Problems(refuse=config.data.choice.bad == "refuse")
        parts = [Part(open_dataset(asked.dataset, config.data.root, asked.frames, problems))]
    parts = [replace(part, augment=plain, weight=None) for part in parts[:1]]
    choice = replace(config.data.choice, groups=(), keep_empty=True)
    shown = TrainingSet(parts, SamplingConfig(), choice, config.run.seed, model.view_side)
    return lambda: paint_windows(model, shown, asked.pictures, model.device)
