"""Which query answers for which instance: the cheapest one-to-one assignment, in every decoder layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ovvis.structures import LayeredPrediction, Target
from ovvis.training.points import PointSampler, sample, sample_masks

_DEAR = 1e9  # stands for a cost that is no number; a finite one is some tens


@dataclass(frozen=True, slots=True)
class Candidates:
    """A window's queries and instances, and their masks at the points where they are compared."""

    prediction: LayeredPrediction  # of the whole batch
    window: int  # position in the batch
    target: Target  # N instances
    mask_logits: Tensor  # L, Q, S; S = T * P
    mask_truth: Tensor  # N, S; in [0, 1]


Cost = Callable[[Candidates], Tensor]
"""Returns what each pair costs: L, Q, N."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The pairs of a window; n = min(Q, N) in every layer."""

    queries: Tensor  # L, n; int64, ascending
    instances: Tensor  # L, n; int64


class Matcher:
    """Assigns instances to queries.

    The released code draws new points for each layer; here the layers of a window share theirs, so that its mask
    features are sampled once. The points only compare pairs; no gradient comes from here.

    Args:
        costs: weight and cost of each part.
        sampler: chooses the points.
    """

    def __init__(self, costs: Sequence[tuple[float, Cost]], sampler: PointSampler) -> None:
        self.costs, self.sampler = tuple(costs), sampler

    @torch.no_grad()
    def __call__(
        self,
        prediction: LayeredPrediction,
        targets: Sequence[Target],
        generators: Sequence[torch.Generator | None],
    ) -> list[Assignment]:
        """Return the assignment of each window (B); costs that are no number lose against any other.

        Args:
            prediction: of B windows, in float32.
            targets: B.
            generators: B; where the random points come from.
        """
        costs = [
            self._costs(prediction, window, target, generator)
            for window, (target, generator) in enumerate(zip(targets, generators, strict=True))
        ]
        # One copy from the device for all windows: each copy waits for it.
        flat = torch.cat([cost.flatten() for cost in costs]).nan_to_num(_DEAR, _DEAR, -_DEAR).cpu().numpy()
        out, start = [], 0
        for cost in costs:
            matrices = flat[start : start + cost.numel()].reshape(cost.shape)
            start += cost.numel()
            pairs = torch.from_numpy(assign(matrices)).to(cost.device, non_blocking=True)
            out.append(Assignment(queries=pairs[0], instances=pairs[1]))
        return out

    def _costs(
        self, prediction: LayeredPrediction, window: int, target: Target, generator: torch.Generator | None
    ) -> Tensor:
        """Return what each pair of a window costs (L, Q, N)."""
        features = prediction.mask_features[window]  # T, D, h, w
        points = self.sampler.for_matching(features, generator)
        n, t = target.masks.shape[:2]
        # The mask product commutes with sampling: sample the features once, not the masks of all queries.
        sampled = sample(features, points.expand(t, -1, -1)).transpose(0, 1).flatten(1)  # D, T * P
        rows = torch.arange(n * t, device=points.device)
        truth = sample_masks(target.masks.flatten(0, 1), rows, points.expand(n * t, -1, -1))
        candidates = Candidates(
            prediction=prediction,
            window=window,
            target=target,
            mask_logits=prediction.mask_embeddings[:, window] @ sampled,
            mask_truth=truth.view(n, t * len(points)),
        )
        total = candidates.mask_logits.new_zeros(*candidates.mask_logits.shape[:2], n)
        for weight, cost in self.costs:
            total = total + weight * cost(candidates)
        return total


def assign(costs: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the cheapest assignment of each layer (the Hungarian method).

    Args:
        costs: L, Q, N; finite.

    Returns:
        2, L, min(Q, N): queries, ascending, and their instances.

    >>> assign(np.array([[[2.0, 1.0], [0.0, 5.0], [9.0, 9.0]]])).tolist()
    [[[0, 1]], [[1, 0]]]
    """
    pairs = [linear_sum_assignment(matrix) for matrix in costs]
    return np.stack([np.stack([pair[side] for pair in pairs]) for side in (0, 1)]).astype(np.int64)


def object_cost(candidates: Candidates) -> Tensor:
    """Return minus the score of "object", the same for every instance."""
    score = candidates.prediction.object_logits[:, candidates.window].softmax(-1)[..., :1]
    return -score.expand(-1, -1, len(candidates.mask_truth))


def label_cost(candidates: Candidates) -> Tensor:
    """Return minus the score of the instance's label: the root of class score x object score, as OVFormer released.

    Raises:
        ValueError: the prediction has no class logits.
    """
    prediction, window = candidates.prediction, candidates.window
    if prediction.class_logits is None:
        raise ValueError("the label cost needs a prediction with class logits; leave the cost out")
    of_labels = prediction.class_logits[:, window][..., candidates.target.labels].sigmoid()  # L, Q, N
    return -(of_labels * prediction.object_logits[:, window].softmax(-1)[..., :1]).sqrt()


def mask_cost(candidates: Candidates) -> Tensor:
    """Return the mean binary cross-entropy over the points."""
    logits, truth = candidates.mask_logits, candidates.mask_truth
    # softplus(x) - x * truth is the cross-entropy, so that a pair's sum is one matrix product.
    return (F.softplus(logits).sum(-1, keepdim=True) - logits @ truth.T) / logits.shape[-1]


def dice_cost(candidates: Candidates) -> Tensor:
    """Return one minus the soft Dice coefficient over the points, smoothed by one."""
    scores, truth = candidates.mask_logits.sigmoid(), candidates.mask_truth
    both = 2 * (scores @ truth.T)
    return 1 - (both + 1) / (scores.sum(-1, keepdim=True) + truth.sum(-1) + 1)
