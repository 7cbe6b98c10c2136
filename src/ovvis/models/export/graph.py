"""What of a model goes into a graph: the network of one window and its naming, tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from ovvis.models.backbones.timm_features import SwinBackbone
from ovvis.models.export.header import Sizes
from ovvis.models.geometric_ensemble import EnsembleClassifier
from ovvis.models.model import Model
from ovvis.structures import Prediction, TextEmbeddings, TextRows

PIXELS, VIEWS, WORDS, ROWS, EXPONENTS = "pixels", "views", "words", "rows", "exponents"
LARGEST = 64 * 32  # pixels of an edge that a graph of any size is sure to take; runtimes do not check it
STEP = 32  # pixels that both edges are a multiple of


class Graph(nn.Module):
    """A model's network and classifier with flat inputs and outputs.

    A learnt tracker makes masks and class embeddings anew and is named after that, in Python: such a model's graph is
    its network alone, with what the tracker reads.

    Args:
        model: as `load_model` gives it.

    Attributes:
        windowed: whether its backbone attends within windows to which it pads its maps (Swin).
        inputs: names, in order.
        outputs: names, in order: fields of `Prediction`.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.named = model.tracker is None
        self.windowed = any(isinstance(part, SwinBackbone) for part in model.modules())
        self.inputs = [PIXELS]
        if model.view_side is not None:
            self.inputs.append(VIEWS)
        if self.named:
            self.inputs += [WORDS, ROWS]
            if isinstance(model.classifier, EnsembleClassifier):
                self.inputs.append(EXPONENTS)
        with torch.no_grad():
            answer = self._predict(*self.example(Sizes(), 2).values())
        self.outputs = [part.name for part in fields(answer) if getattr(answer, part.name) is not None]

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs for the inputs."""
        answer = self._predict(*given)
        return tuple(getattr(answer, name) for name in self.outputs)

    def _predict(self, *given: Tensor) -> Prediction:
        parts = dict(zip(self.inputs, given, strict=True))
        views = parts.get(VIEWS)
        images = None if views is None else self.model.clip.embed_images(views)
        pixels = parts[PIXELS]
        if pixels.ndim == 7:  # traced, see `trace`
            pixels = pixels.flatten(5, 6).flatten(3, 4)
        found: Prediction = self.model(pixels, images=images)
        if not self.named:
            return found
        text = TextRows(parts[WORDS], parts[ROWS], parts.get(EXPONENTS))
        return Prediction(
            mask_logits=found.mask_logits,
            object_logits=found.object_logits,
            mask_ious=found.mask_ious,
            embeddings=found.embeddings,
            features=None,
            class_logits=self.model.classifier(found, text),
        )

    def example(self, sizes: Sizes, batch: int, frames: int | None = None) -> dict[str, Tensor]:
        """Return inputs by name: see `example`."""
        return example(self.model, self.inputs, sizes, batch, frames)

    def trace(self, sizes: Sizes) -> tuple[tuple[Tensor, ...], tuple[tuple[dict[int, Any], ...]]]:
        """Return what to trace with: inputs, and which of their axes may be of any size, as `torch.export` takes it.

        Pixels of any size come as B, T, 3, h, 32, w, 32. Were their edges plain sizes, that of each level would be a
        formula with a dozen floors, and the trace would take minutes.

        Of a backbone that attends within windows every level of the example has several, and never as many in both
        directions: what is alike in the example may be taken for alike in every window.
        """
        given = self.example(Sizes(13 * STEP, 29 * STEP) if self.windowed and sizes.height is None else sizes, 2)
        dim = torch.export.Dim
        axes: dict[str, dict[int, Any]] = {name: {} for name in self.inputs}
        if sizes.height is None:
            split = given[PIXELS].unflatten(4, (-1, STEP)).unflatten(3, (-1, STEP))
            given[PIXELS] = split
            axes[PIXELS] |= {3: dim("height", min=1, max=LARGEST // STEP), 5: dim("width", min=1, max=LARGEST // STEP)}
        for name in (PIXELS, VIEWS):
            if name in axes and sizes.batch is None:
                axes[name][0] = dim("batch", min=1, max=4096)
            if name in axes and not self.model.classifier.one_frame:
                axes[name][1] = dim("frames", min=1, max=4096)
        if self.named:
            labels = dim("labels", min=1, max=2**24)
            axes[WORDS][0] = dim("words", min=1, max=2**24)
            axes[ROWS] = {0: labels, 1: dim("synonyms", min=1, max=2**16)}
            if EXPONENTS in axes:
                axes[EXPONENTS][0] = labels
        return tuple(given.values()), (tuple(axes.values()),)


def example(
    model: Model, inputs: Sequence[str], sizes: Sizes, batch: int, frames: int | None = None
) -> dict[str, Tensor]:
    """Return inputs of a model's graph by name: noise, of the sizes that are fixed and of small ones else.

    Args:
        model: whose graph it is; its weights do not matter.
        inputs: names, in order.
        sizes: what is fixed.
        batch: windows, where their number is not fixed.
        frames: of a window; None for a few, or one where the model names frame by frame.
    """
    frames = frames or (1 if model.classifier.one_frame else 3)
    batch = sizes.batch or batch
    made = torch.Generator().manual_seed(0)
    height, width = sizes.height or 3 * STEP, sizes.width or 4 * STEP
    out = {PIXELS: torch.randn(batch, frames, 3, height, width, generator=made)}
    if VIEWS in inputs:
        side = model.view_side or 0
        out[VIEWS] = torch.randint(0, 256, (batch, frames, 3, side, side), generator=made, dtype=torch.uint8)
    if WORDS in inputs:
        labels = 5 + batch  # different sizes of everything, so that nothing is taken for the same
        vectors = torch.randn(labels + 3, model.clip.width, generator=made)
        out[WORDS] = torch.nn.functional.normalize(vectors, dim=-1)
        out[ROWS] = torch.randint(0, labels + 3, (labels, 2), generator=made)
    if EXPONENTS in inputs:
        out[EXPONENTS] = torch.rand(labels, generator=made)
    return out


def text_rows(text: TextEmbeddings, exponents: Tensor | None = None) -> TextRows:
    """Return a vocabulary as a graph is given it, on the CPU.

    >>> rows = text_rows(TextEmbeddings(torch.eye(3), torch.tensor([0, 0, 1]), ("cat", "dog"))).rows
    >>> rows.tolist()
    [[0, 1], [2, 2]]
    """
    counts = torch.bincount(text.label_of_row.cpu(), minlength=len(text.labels))
    starts = counts.cumsum(0) - counts
    steps = torch.arange(int(counts.max()))
    rows = starts[:, None] + torch.minimum(steps, counts[:, None] - 1)
    return TextRows(text.vectors.float().cpu(), rows, None if exponents is None else exponents.float().cpu())
