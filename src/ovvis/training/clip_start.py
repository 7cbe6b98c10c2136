"""From a run's settings to the objective of a CLIP that is trained itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ovvis.errors import InputError
from ovvis.models.model import Model
from ovvis.models.settings import UNTRAINED
from ovvis.training.clip_words import Words
from ovvis.training.config import TrainConfig
from ovvis.training.loss.clip_objective import Anchors, ClipObjective


def clip_objective(config: TrainConfig, model: Model, labels: Sequence[str]) -> ClipObjective:
    """Return the objective; the model's CLIP becomes trainable, its network does not, and anchors stand beside them.

    Args:
        config: the run's settings.
        model: with the weights to begin with.
        labels: the training set's.

    Raises:
        InputError: the settings ask for what a CLIP has not.
    """
    if config.run.compile:
        raise InputError("run.compile is for a network's attention, and trains is clip, which has none: drop it")
    model.network.requires_grad_(False)
    model.clip.thaw()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.run.seed)
        model.anchors = Anchors(len(labels), model.clip.width)
    if config.model.weights != UNTRAINED:  # a CLIP that knows words already says where the anchors lie
        model.anchors.begin_at(model.clip.embed_texts(labels))
    return ClipObjective(model, Words(labels), config.clip, config.run.seed)
