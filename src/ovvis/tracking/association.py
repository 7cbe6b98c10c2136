"""Pure functions that associate the queries of a window with the tubes so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def presence_cost(cost: Cost, tubes: Tensor, queries: Tensor, birth: float) -> Cost:
    """Return a cost with which a tube may be hidden and an object may be new.

    Of the pairs of an assignment two objects cost what they differ by, an object and none half of `birth`, and two that
    are none nothing. So a tube goes on as an object that is less than `birth` away; from one that is further away it is
    cheaper to be hidden, and for the object to begin a tube of its own.

    Args:
        cost: Q, Q; of tubes and queries, as `cosine_cost` gives it.
        tubes: Q; how much of an object each tube was when it was last seen, in [0, 1].
        queries: Q; object scores of the queries.
        birth: in (0, 2].

    Returns:
        Q, Q.
    """
    old, new = tubes.cpu().numpy()[:, None], queries.cpu().numpy()[None]
    alone = old * (1 - new) + (1 - old) * new
    total: Cost = old * new * cost + alone * (birth / 2)
    return total


def assign(cost: Cost) -> Order:
    """Return for each row its column in the cheapest one-to-one assignment (Hungarian method, eq. 5 and 8).

    >>> assign(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [1, 0]
    """
    order: Order = linear_sum_assignment(cost)[1].astype(np.int64)
    return order


@dataclass(frozen=True, slots=True)
class Match:
    """How the queries of a new window go with those of a remembered one."""

    cost: Cost  # Q, Q
    order: Order  # Q; the cheapest assignment of this cost alone (eq. 5)
    total: float  # what that assignment costs (eq. 6)

    def in_order(self, order: Order) -> Match:
        """Return the match with the remembered queries, the rows, in another order."""
        return Match(self.cost[order], self.order[order], self.total)


def match(cost: Cost) -> Match:
    """Return a cost with its cheapest assignment."""
    order = assign(cost)
    return Match(cost, order, float(cost[np.arange(len(order)), order].sum()))


class SharedMatches:
    """Matches of pairs of windows, each made once: trackers of one video that differ in their memory share them."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], tuple[Tensor, Tensor, Match]] = {}

    def __call__(self, old: Tensor, new: Tensor) -> Match:
        """Return the match of a window's embeddings (Q, D) with an older one's."""
        key = id(old), id(new)
        if key not in self._made:  # which keeps both tensors, so that no other takes their place
            self._made[key] = old, new, match(cosine_cost(old, new))
        return self._made[key][2]


def vote(matches: Sequence[Match], matched: int, recency_weighted: bool) -> Order:
    """Return the assignment on which the best-matching windows of the memory agree (CLIP-VIS section III-B).

    Each remembered window assigns the queries by itself; the `matched` windows whose assignments are cheapest
    (eq. 6) vote with the mean of their costs (eq. 7). While fewer windows than that are remembered, the single
    cheapest decides alone (released behaviour).

    Args:
        matches: one for each remembered window, the oldest first; rows are tubes.
        matched: K, the number of windows that vote.
        recency_weighted: weight the costs of window i (0 is the oldest) by i + 1 in the mean, as released; the
            choice of the cheapest windows does not use the weights.
    """
    cheapest = sorted(range(len(matches)), key=lambda i: matches[i].total)
    if len(matches) < matched:
        return matches[cheapest[0]].order
    chosen = cheapest[:matched]
    if len(chosen) == 1:
        return matches[chosen[0]].order  # a weight changes no assignment of a single window
    return assign(np.mean([matches[i].cost * (i + 1 if recency_weighted else 1) for i in chosen], axis=0))
