"""What is true of a window, on the grid of the network's masks; and what the network would have said, had it known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ovvis.inference.seen import Seen
from ovvis.models.settings import ClassScore
from ovvis.structures import Prediction

STRIDE = 4  # of the masks
SURE = 20.0  # a logit that leaves no doubt
HALF = 0.5  # overlap from which a query's mask is an instance's


class WindowTruth:
    """The true masks of a window's T frames.

    Args:
        owners: T, H, W; 0: the background, n: the object in place n - 1.
        labels: N; position in the vocabulary of each object.
        size: height and width of the network's input without padding.
        padded: the same with it.
    """

    def __init__(
        self, owners: NDArray[np.uint8], labels: tuple[int, ...], size: tuple[int, int], padded: tuple[int, int]
    ) -> None:
        self.labels = torch.tensor(labels)
        masks = torch.from_numpy(owners)[None] == torch.arange(1, len(labels) + 1)[:, None, None, None]  # N, T, H, W
        resized = F.interpolate(masks.float(), size, mode="bilinear", align_corners=False, antialias=True)
        filled = F.pad(resized, (0, padded[1] - size[1], 0, padded[0] - size[0]))
        self.shares = F.avg_pool2d(filled, STRIDE)  # N, T, h, w; in [0, 1]: how much of a cell is the object's

    def overlaps(self, masks: Tensor) -> Tensor:
        """Return the IoU of each mask with each object (Q, N), over the window's frames.

        Args:
            masks: Q, T, h, w; logits.
        """
        found, true = (masks.cpu() > 0).flatten(1).float(), (self.shares >= HALF).flatten(1).float()
        shared = found @ true.T
        return shared / (found.sum(1)[:, None] + true.sum(1) - shared).clamp(min=1)

    def order(self, seen: Seen) -> Tensor:
        """Return the tube order (Q) in which tube n is object n, as far as a query has found it.

        An object that none has found gets the query that is the least sure of itself.
        """
        overlaps = self.overlaps(seen.masks).numpy()
        queries, objects = len(overlaps), min(*overlaps.shape)
        order = np.full(queries, -1)
        rows, columns = linear_sum_assignment(-overlaps[:, :objects].T)
        right = overlaps[columns, rows] > 0
        order[rows[right]] = columns[right]
        free = [q for q in seen.objects.argsort().tolist() if q not in set(order.tolist())]
        lost = [n for n in range(objects) if order[n] < 0]
        order[lost] = free[: len(lost)]
        order[objects:] = sorted(free[len(lost) :])
        return torch.from_numpy(order)

    def named(self, seen: Seen, class_score: ClassScore) -> Seen:
        """Return what the network would say if it knew the name of each instance that it has found.

        Args:
            seen: what it says.
            class_score: how its logits become scores: under a sigmoid a logit of 0 is a score of a half, not of none.
        """
        best, objects = self.overlaps(seen.masks).max(1)
        found = torch.nonzero(best >= HALF).flatten()
        logits = seen.logits[None].clone()
        logits[0, found] = -seen.logit_scale if class_score == "sigmoid" else 0.0
        logits[0, found, self.labels[objects[found]]] = seen.logit_scale
        return Seen(seen.prediction, logits, seen.logit_scale)

    def masked(self, prediction: Prediction) -> Prediction:
        """Return what the network would predict (a batch of one) if its queries were the objects."""
        like = prediction.mask_logits
        here = self.shares.flatten(1).any(1).to(like) * 2 - 1  # N; 1 or -1
        count = len(here)
        return replace(
            prediction,
            mask_logits=((self.shares - HALF) * 2 * SURE).to(like)[None],
            object_logits=torch.stack([here, -here], -1)[None] * SURE / 2,
            mask_ious=None if prediction.mask_ious is None else like.new_ones(1, count),
            embeddings=prediction.embeddings.new_zeros(1, count, prediction.embeddings.shape[-1]),
        )
