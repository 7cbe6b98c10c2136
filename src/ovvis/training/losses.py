"""The terms of the loss. Each is a sum and a count; the criterion divides one by the other.

Sum and count are apart so that the count can be averaged over processes: the gradient is then that of one process
with all windows, whatever their distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


def _instances(pairs: Pairs) -> Tensor:
    """Return the number of instances, matched or not, for each layer (L)."""
    count = sum(len(target.labels) for target in pairs.targets)
    return pairs.mask_logits.new_full((len(pairs.mask_logits),), count)
