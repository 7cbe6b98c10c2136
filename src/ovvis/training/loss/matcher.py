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
from ovvis.training.loss.points import PointSampler, sample, sample_masks

_NUMBERS = 1 << 27  # of the largest tensor of windows that are computed at once
_DEAR = 1e9  # stands for a cost that is no number; a finite one is some tens


@dataclass(frozen=True, slots=True)
class Candidates:
    """The queries and instances of some windows, and their masks at the points where they are compared.

    N is the most instances of a window. The columns of a window that has fewer mean nothing.
    """

    prediction: LayeredPrediction  # of the whole batch
    windows: slice  # B of the batch
    labels: Tensor  # B, N; int64
    mask_logits: Tensor  # L, B, Q, S; S = T * P
    mask_truth: Tensor  # B, N, S; in [0, 1]


Cost = Callable[[Candidates], Tensor]
"""Returns what each pair costs: L, B, Q, N."""


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
        counts = [len(target.labels) for target in targets]
        layers, _, queries = prediction.object_logits.shape[:3]
        frames = prediction.mask_features.shape[1]
        costs = [
            self._costs(prediction, windows, targets[windows], generators[windows])
            for windows in groups(len(targets), layers * queries * frames * self.sampler.points, prediction)
        ]
        # One copy from the device for all windows, and one back: each copy from it waits for it.
        flat = torch.cat([cost.flatten() for cost in costs]).nan_to_num(_DEAR, _DEAR, -_DEAR).cpu().numpy()
        found: list[NDArray[np.int64]] = []
        start = 0
        for cost in costs:
            matrices = flat[start : start + cost.numel()].reshape(cost.shape).swapaxes(0, 1)  # B, L, Q, N
            start += cost.numel()
            for matrix in matrices:
                found.append(assign(matrix[..., : counts[len(found)]]))
        pairs = torch.from_numpy(np.concatenate(found, axis=2)).to(prediction.object_logits.device, non_blocking=True)
        sizes = [pair.shape[2] for pair in found]
        return [Assignment(queries=pair[0], instances=pair[1]) for pair in pairs.split(sizes, 2)]

    def _costs(
        self,
        prediction: LayeredPrediction,
        windows: slice,
        targets: Sequence[Target],
        generators: Sequence[torch.Generator | None],
    ) -> Tensor:
        """Return what each pair of some windows costs (L, B, Q, N)."""
        features = prediction.mask_features[windows]  # B, T, D, h, w
        points = torch.stack([self.sampler.for_matching(features, generator) for generator in generators])  # B, P, 2
        frames = features.shape[1]
        # The mask product commutes with sampling: sample the features once, not the masks of all queries.
        sampled = sample(features.flatten(0, 1), points.repeat_interleave(frames, 0))
        sampled = sampled.unflatten(0, (-1, frames)).transpose(1, 2).flatten(2)  # B, D, T * P
        counts = [len(target.labels) for target in targets]
        window, column = places(counts, features.device)
        masks = torch.cat([target.masks for target in targets]).flatten(0, 1)  # all windows' N * T, H, W
        rows = torch.arange(len(masks), device=points.device)
        read = sample_masks(masks, rows, points[window.repeat_interleave(frames)])
        truth = read.new_zeros(len(counts), max(counts), sampled.shape[-1])
        truth[window, column] = read.unflatten(0, (-1, frames)).flatten(1)
        labels = torch.zeros(truth.shape[:2], dtype=torch.int64, device=features.device)
        labels[window, column] = torch.cat([target.labels for target in targets])
        candidates = Candidates(
            prediction=prediction,
            windows=windows,
            labels=labels,
            mask_logits=torch.einsum("lbqd,bds->lbqs", prediction.mask_embeddings[:, windows], sampled),
            mask_truth=truth,
        )
        total: Tensor = sampled.new_zeros(*candidates.mask_logits.shape[:3], max(counts))
        for weight, cost in self.costs:
            total = total + weight * cost(candidates)
        return total


def groups(windows: int, size: int, prediction: LayeredPrediction) -> list[slice]:
    """Return which windows of a batch are computed at once.

    Each by itself on a CPU, where it costs no time and holds less memory; on other devices, where what counts is how
    few operations there are, as many as memory allows.

    Args:
        windows: of the batch.
        size: numbers of a window's largest tensor.
        prediction: on the device.
    """
    once = 1 if prediction.mask_features.device.type == "cpu" else max(_NUMBERS // max(size, 1), 1)
    return [slice(start, min(start + once, windows)) for start in range(0, windows, once)]


def places(counts: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return for all instances of some windows, one after another, their window and their number in it.

    >>> [x.tolist() for x in places([2, 0, 1], torch.device("cpu"))]
    [[0, 0, 2], [0, 1, 0]]
    """
    window = np.repeat(np.arange(len(counts)), counts)
    column = np.concatenate([np.arange(count) for count in counts])
    both = torch.from_numpy(np.stack([window, column]).astype(np.int64)).to(device, non_blocking=True)
    return both[0], both[1]


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
    score = candidates.prediction.object_logits[:, candidates.windows].softmax(-1)[..., :1]
    return -score.expand(-1, -1, -1, candidates.labels.shape[1])


def label_cost(candidates: Candidates) -> Tensor:
    """Return minus the score of the instance's label: the root of class score x object score, as OVFormer released.

    Raises:
        ValueError: the prediction has no class logits.
    """
    prediction, windows = candidates.prediction, candidates.windows
    if prediction.class_logits is None:
        raise ValueError("the label cost needs a prediction with class logits; leave the cost out")
    logits = prediction.class_logits[:, windows]  # L, B, Q, K
    labels = candidates.labels[None, :, None].expand(*logits.shape[:3], -1)
    score = prediction.object_logits[:, windows].softmax(-1)[..., :1]
    return -(logits.gather(3, labels).sigmoid() * score).sqrt()


def mask_cost(candidates: Candidates) -> Tensor:
    """Return the mean binary cross-entropy over the points."""
    logits, truth = candidates.mask_logits, candidates.mask_truth
    # softplus(x) - x * truth is the cross-entropy, so that a pair's sum is one matrix product.
    return (F.softplus(logits).sum(-1, keepdim=True) - _product(logits, truth)) / logits.shape[-1]


def dice_cost(candidates: Candidates) -> Tensor:
    """Return one minus the soft Dice coefficient over the points, smoothed by one."""
    scores, truth = candidates.mask_logits.sigmoid(), candidates.mask_truth
    both = 2 * _product(scores, truth)
    return 1 - (both + 1) / (scores.sum(-1, keepdim=True) + truth.sum(-1)[:, None] + 1)


def _product(values: Tensor, truth: Tensor) -> Tensor:
    """Multiply values (L, B, Q, S) and truth (B, N, S) over the points: L, B, Q, N."""
    return torch.einsum("lbqs,bns->lbqn", values, truth)
