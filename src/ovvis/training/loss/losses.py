"""The terms of the loss. Each is a sum and a count; the criterion divides one by the other.

Sum and count are apart so that the count can be averaged over processes: the gradient is then that of one process
with all windows, whatever their distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from ovvis.structures import LayeredPrediction, Target


@dataclass(frozen=True, slots=True)
class Pairs:
    """The M matched queries and instances of a batch in each layer, and their masks at P points of each frame."""

    prediction: LayeredPrediction  # of B windows
    targets: Sequence[Target]  # B
    windows: Tensor  # M; int64; position in the batch
    queries: Tensor  # L, M; int64
    instances: Tensor  # L, M; int64; position in the window's target
    mask_logits: Tensor  # L, M, T, P
    mask_truth: Tensor  # L, M, T, P; in [0, 1]
    generators: Sequence[torch.Generator | None] = ()  # B; what a term draws at random follows from these; none: global

    def matched(self, values: Tensor) -> Tensor:
        """Return of values (L, B, Q, ...) those of the matched queries (L, M, ...)."""
        layers = torch.arange(len(values), device=values.device)[:, None]
        return values[layers, self.windows, self.queries]


@dataclass(frozen=True, slots=True)
class Share:
    """This process's part of a term."""

    total: Tensor  # L; the sum
    count: Tensor  # L; what it is divided by; no gradient


Term = Callable[[Pairs], Share]


@dataclass(frozen=True, slots=True)
class ObjectTerm:
    """Cross-entropy of "object" against "no object" over all queries, a weighted mean."""

    no_object: float = 0.4  # weight of queries that answer for no instance

    def __call__(self, pairs: Pairs) -> Share:
        """Return the weighted sum and the sum of the weights."""
        logits = pairs.prediction.object_logits
        layers = torch.arange(len(logits), device=logits.device)[:, None]
        classes = logits.new_ones(logits.shape[:-1], dtype=torch.int64)  # L, B, Q; 0 is "object"
        classes[layers, pairs.windows, pairs.queries] = 0
        weight = torch.where(classes == 0, 1.0, self.no_object).to(logits.dtype)
        loss = F.cross_entropy(logits.movedim(-1, 1), classes, reduction="none") * weight
        return Share(total=loss.flatten(1).sum(1), count=weight.flatten(1).sum(1))


@dataclass(frozen=True, slots=True)
class LabelTerm:
    """Binary cross-entropy of the matched queries' class logits over some of the labels (OVFormer section 3.4).

    As released, a federated loss (Zhou et al., Probabilistic two-stage detection, 2021): a matched query answers for
    every label that its window holds and for some others, drawn without repetition. Nothing is said of the rest: they
    may be in the picture without an annotation. Summed, and divided by all queries, matched or not.

    The released code draws once for all windows of a process. Here each window has its own sample, so that it does not
    depend on who shares its batch.

    Args:
        weights: K; how often each label is drawn, of any sum. One that is 0 is never drawn: a novel label.
        sample: labels of a window's sample. "No object" counts as one of them, as released. None takes every label
            whose weight is not 0, as the paper has it.
    """

    weights: Tensor
    sample: int | None = 50

    def __call__(self, pairs: Pairs) -> Share:
        """Return the sum over matched queries and sampled labels, and the number of all queries.

        Raises:
            ValueError: the prediction has no class logits over the K labels.
        """
        every = pairs.prediction.class_logits
        if every is None or every.shape[-1] != len(self.weights):
            found = "none" if every is None else f"those of {every.shape[-1]} labels"
            raise ValueError(
                f"the label term needs class logits over {len(self.weights)} labels, and there are {found}"
            )
        logits = pairs.matched(every)  # L, M, K
        truth = torch.zeros_like(logits)
        labels = torch.cat([target.labels for target in pairs.targets])
        first = first_instances(pairs.targets, labels.device)[pairs.windows]  # M
        truth.scatter_(2, labels[first + pairs.instances][..., None], 1.0)
        loss = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        sampled = self._sampled(pairs, len(every), every.shape[2])[pairs.windows].movedim(0, 1)  # L, M, K
        queries = every.shape[1] * every.shape[2]
        return Share(total=(loss * sampled).flatten(1).sum(1), count=logits.new_full((len(every),), queries))

    def _sampled(self, pairs: Pairs, layers: int, queries: int) -> Tensor:
        """Return which labels count for each window and layer: B, L, K; bool."""
        device = pairs.mask_logits.device
        weights = self.weights.to(device)
        out = torch.zeros(len(pairs.targets), layers, len(weights), dtype=torch.bool, device=device)
        for window, target in enumerate(pairs.targets):
            present = torch.zeros_like(weights, dtype=torch.bool)
            present[target.labels] = True
            out[window] = present
            others = weights.masked_fill(present, 0)
            if self.sample is None:
                out[window] |= others > 0
                continue
            left = self.sample - int(present.sum()) - (len(target.labels) < queries)
            left = min(left, int((others > 0).sum()))
            if left > 0:
                generator = pairs.generators[window] if pairs.generators else None
                drawn = torch.multinomial(others.expand(layers, -1), left, generator=generator)
                out[window].scatter_(1, drawn, True)
        return out


def mask_term(pairs: Pairs) -> Share:
    """Binary cross-entropy at the points: the mean over the points, summed over frames, a mean over instances."""
    loss = F.binary_cross_entropy_with_logits(pairs.mask_logits, pairs.mask_truth, reduction="none")
    return Share(total=loss.mean(-1).flatten(1).sum(1), count=_instances(pairs))


def dice_term(pairs: Pairs) -> Share:
    """One minus the soft Dice coefficient of each frame, smoothed by one, summed; a mean over instances."""
    scores, truth = pairs.mask_logits.sigmoid(), pairs.mask_truth
    both = 2 * (scores * truth).sum(-1)
    loss = 1 - (both + 1) / (scores.sum(-1) + truth.sum(-1) + 1)
    return Share(total=loss.flatten(1).sum(1), count=_instances(pairs))


def iou_term(pairs: Pairs) -> Share:
    """Distance of the predicted from the measured overlap (CLIP-VIS eq. 4), a mean over pairs that overlap at all.

    The overlap of mask > 0 with the truth is measured at the points.

    Raises:
        ValueError: the network predicts no overlap.
    """
    if pairs.prediction.mask_ious is None:
        raise ValueError("the IoU term needs a network that predicts mask IoUs; leave the term out")
    with torch.no_grad():
        inside = (pairs.mask_logits > 0).to(pairs.mask_truth.dtype).flatten(2)
        truth = pairs.mask_truth.flatten(2)
        both = (inside * truth).sum(-1)
        iou = both / (inside.sum(-1) + truth.sum(-1) - both).clamp(min=torch.finfo(truth.dtype).tiny)
        overlaps = iou > 0  # L, M
    distance = (pairs.matched(pairs.prediction.mask_ious) - iou).abs()
    return Share(total=(distance * overlaps).sum(1), count=overlaps.sum(1).to(distance.dtype))


def first_instances(targets: Sequence[Target], device: torch.device) -> Tensor:
    """Return for each window (B) where its instances begin among those of all windows, one after another."""
    return torch.tensor([0, *accumulate(len(target.labels) for target in targets)][:-1], device=device)


def _instances(pairs: Pairs) -> Tensor:
    """Return the number of instances, matched or not, for each layer (L)."""
    count = sum(len(target.labels) for target in pairs.targets)
    return pairs.mask_logits.new_full((len(pairs.mask_logits),), count)
