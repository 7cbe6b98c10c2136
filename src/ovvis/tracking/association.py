"""Pure functions that associate the queries of a window with the tubes so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

Cost = NDArray[np.floating]
Order = NDArray[np.int64]


def cosine_cost(tubes: Tensor, queries: Tensor) -> Cost:
    """Return 1 - cosine of each tube with each query (CLIP-VIS eq. 4).

    Args:
        tubes: Q, D; embeddings in tube order.
        queries: Q, D; embeddings of the new window.

    Returns:
        Q, Q; rows are tubes, columns queries; in [0, 2].
    """
    similarity = F.normalize(tubes.float(), dim=-1) @ F.normalize(queries.float(), dim=-1).T
    cost: Cost = (1 - similarity).cpu().numpy()
    return cost


def assign(cost: Cost) -> Order:
    """Return for each row its column in the cheapest one-to-one assignment (Hungarian method, eq. 5 and 8).

    >>> assign(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [1, 0]
    """
    order: Order = linear_sum_assignment(cost)[1].astype(np.int64)
    return order


def vote(costs: Sequence[Cost], matched: int, recency_weighted: bool) -> Order:
    """Return the assignment on which the best-matching windows of the memory agree (CLIP-VIS section III-B).

    Each remembered window assigns the queries by itself; the `matched` windows whose assignments are cheapest
    (eq. 6) vote with the mean of their costs (eq. 7). While fewer windows than that are remembered, the single
    cheapest decides alone (released behaviour).

    Args:
        costs: one (Q, Q) matrix for each remembered window, the oldest first.
        matched: K, the number of windows that vote.
        recency_weighted: weight the costs of window i (0 is the oldest) by i + 1 in the mean, as released; the
            choice of the cheapest windows does not use the weights.
    """
    alone = [assign(cost) for cost in costs]
    totals = [float(cost[np.arange(len(order)), order].sum()) for cost, order in zip(costs, alone, strict=True)]
    cheapest = sorted(range(len(costs)), key=totals.__getitem__)
    if len(costs) < matched:
        return alone[cheapest[0]]
    chosen = cheapest[:matched]
    if len(chosen) == 1:
        return alone[chosen[0]]  # a weight changes no assignment of a single window
    return assign(np.mean([costs[i] * (i + 1 if recency_weighted else 1) for i in chosen], axis=0))
