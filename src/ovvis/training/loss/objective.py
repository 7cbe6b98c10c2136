"""Training windows to the loss of the network that is trained: every family's objective."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ovvis.errors import InputError, nearest
from ovvis.models.layers.deformable_attention import DeformableAttention
from ovvis.models.model import Model
from ovvis.models.text import embed_words, read_words, text_cache
from ovvis.structures import TextEmbeddings
from ovvis.training.config import ModelConfig, TrainConfig
from ovvis.training.data.dataset import TrainingSet
from ovvis.training.data.loader import TrainingBatch, network_input
from ovvis.training.loss.criterion import Average, Criterion, clip_vis_criterion, ovformer_criterion, single_frames
from ovvis.vocabulary import Label, Vocabulary


@dataclass(frozen=True, slots=True)
class TrainedLabels:
    """The labels of a training set, for a network that learns to name."""

    text: TextEmbeddings  # K labels, a row for each
    weights: Tensor  # K; how often each is drawn as a wrong answer; 0 where there is no instance of it: a novel label


class NetworkObjective(nn.Module):
    """Training windows to the loss of a network.

    A network that names by mask pooling (CLIP-VIS) sees windows frame by frame, and learns no names. One with a class
    head (OVFormer, OV2Seg) sees them whole, with CLIP's embeddings of their frames, and learns the labels' names.

    Args:
        model: with a frozen CLIP.
        criterion: the loss.
        labels: of the training set; None for a network without a class head.
        average: the mean of a tensor over processes; None in a single one.
        seed: of the points at which masks are compared, and of the labels that are drawn. They follow from it and the
            window's place in the run, so that they are the same whatever the number of processes.
    """

    vectors: Tensor

    def __init__(
        self,
        model: Model,
        criterion: Criterion,
        labels: TrainedLabels | None = None,
        average: Average | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model = model
        self._criterion, self._average, self._seed = criterion, average, seed
        self._text = None if labels is None else labels.text
        # A buffer, so that it is moved to the device once.
        self.register_buffer("vectors", None if labels is None else labels.text.vectors, persistent=False)

    def forward(self, batch: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, a scalar, and its weighted parts, without gradient."""
        model, targets = self.model, list(batch.targets)
        pixels = network_input(batch, model.pixel_mean, model.pixel_std)
        frames = pixels.shape[1] if model.classifier.one_frame else 1  # windows of one that each window becomes
        first = [((self._seed << 40) + origin.draw.position * frames) % 2**63 for origin in batch.origins]
        if model.classifier.one_frame:
            pixels, targets = single_frames(pixels, targets)
        images = None if batch.views is None else model.clip.embed_images(batch.views)
        prediction = model(pixels, every_layer=True, images=images)
        if self._text is not None:
            with torch.autocast(pixels.device.type, enabled=False):  # a cosine in bfloat16, times 50, is off by 0.2
                logits = model.classifier(prediction, replace(self._text, vectors=self.vectors))
            prediction = replace(prediction, class_logits=logits)
        seeds = [seed + t for seed in first for t in range(frames)]
        loss = self._criterion(prediction, targets, average=self._average, seeds=seeds)
        return loss.total, loss.by_name()


def network_objective(
    config: TrainConfig, model: Model, data: Callable[[], TrainingSet], average: Average | None = None
) -> NetworkObjective:
    """Return the objective of a model's family.

    Args:
        config: the run's settings.
        model: with a frozen CLIP; its network becomes trainable, or `config.model.parts` of it.
        data: gives the training set, whose labels a network with a class head learns.
        average: the mean of a tensor over processes; None in a single one.

    Raises:
        InputError: a file of text embeddings cannot be used; the network has no such part; no loss is known for it.
    """
    if model.network.object_head is None:
        raise InputError(
            f"{model.name} cannot be trained here: it names what is no object by a learnt word, and there is no such "
            "loss yet; train a clip-vis, ovformer or ov2seg"
        )
    _thaw(model.network, config.model.parts)
    model.network.full_precision = config.run.full_decoder
    if config.run.compile:
        _compile(model.network)
    if model.network.class_head is None:
        return NetworkObjective(model, clip_vis_criterion(config.loss), None, average, config.run.seed)
    labels = trained_labels(config.model, model, data())
    criterion = ovformer_criterion(config.loss, labels.weights)
    return NetworkObjective(model, criterion, labels, average, config.run.seed)


def _compile(network: nn.Module) -> None:
    """Let the gradient of deformable attention be compiled where it is computed on a CPU."""
    compilers = [name for name in (os.environ.get("CXX"), "g++", "clang++") if name]
    if not any(map(shutil.which, compilers)):
        raise InputError(f"run.compile needs a C++ compiler, and there is no {', '.join(compilers)}: install g++")
    for part in network.modules():
        if isinstance(part, DeformableAttention):
            part.compiled = True


def _thaw(network: nn.Module, parts: Sequence[str]) -> None:
    """Let parts of a network, or parts of these, be trained, or all of it where none is named."""
    known = {name: part for name, part in network.named_modules() if name and next(part.parameters(), None) is not None}
    for name in parts:
        if name not in known:
            whole = name.rpartition(".")[0]
            beside = [one for one in known if one.rpartition(".")[0] == (whole if whole in known else "")]
            raise InputError(f"model.parts: the network has no {name!r}; {nearest(name, beside)}")
    network.requires_grad_(not parts)
    for name in parts:
        known[name].requires_grad_(True)


def trained_labels(config: ModelConfig, model: Model, data: TrainingSet) -> TrainedLabels:
    """Return the labels of a training set: what CLIP makes of their names, once, or what a file says of them.

    A label's weight is the root of how many frames the videos with it have (the federated loss, as released).

    Raises:
        InputError: a file of text embeddings cannot be used.
    """
    # Names of several datasets may differ in case alone, and CLIP reads no case.
    names = list(dict.fromkeys(name.casefold() for name in data.labels))
    spelt = {name.casefold(): name for name in reversed(data.labels)}
    vocabulary = Vocabulary([Label(spelt[name], (spelt[name],)) for name in names])
    rows = Vocabulary.parse(config.text_rows) if config.text_rows else None
    text = embed_words(
        read_words(vocabulary, given=config.text_embeddings or None, rows=rows), model, text_cache()
    ).text
    index = torch.tensor([names.index(name.casefold()) for name in data.labels])
    return TrainedLabels(
        TextEmbeddings(text.vectors[index], torch.arange(len(index)), data.labels),
        torch.from_numpy(label_weights(data.label_frames)),
    )


def label_weights(frames: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return how often each label is drawn as a wrong answer, from how many frames its videos have.

    >>> label_weights(np.array([16.0, 0.0, 1.0])).tolist()
    [4.0, 0.0, 1.0]
    """
    return np.sqrt(frames).astype(np.float32)
