"""Prediction heads that read the queries."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovvis.models.layers.mlp import MLP

IouActivation = Literal["sigmoid", "relu"]
IouSource = Literal["queries", "pixels"]


class MaskIouHead(nn.Module):
    """Predicts how well a query's mask overlaps the truth.

    Args:
        width: width of the queries.
        activation: "sigmoid" as released, "relu" as in the paper (CLIP-VIS eq. 3).
        source: what it reads. "queries": their states; "pixels": the mean of the mask features (stride 4) under the
            query's own mask (CLIP-VIS Table IV). Both have the same weights' shapes, and need a training of their own.
    """

    def __init__(self, width: int, activation: IouActivation = "sigmoid", source: IouSource = "queries") -> None:
        super().__init__()
        self.mlp = MLP(width, width, 1, 3)
        self.activation = activation
        self.source = source

    def forward(self, queries: Tensor, mask_embeddings: Tensor, mask_features: Tensor) -> Tensor:
        """Return the predicted overlaps.

        Args:
            queries: ..., B, Q, D.
            mask_embeddings: ..., B, Q, D; their product with the features over D is the mask.
            mask_features: B, T, D, h, w; stride 4.

        Returns:
            ..., B, Q; in [0, 1] with the sigmoid, not below 0 with ReLU.
        """
        read = queries if self.source == "queries" else _mean_under_masks(mask_embeddings, mask_features)
        raw = self.mlp(read).squeeze(-1)
        return F.relu(raw) if self.activation == "relu" else raw.sigmoid()


def _mean_under_masks(mask_embeddings: Tensor, mask_features: Tensor) -> Tensor:
    """Return the mean feature of the cells in which each mask is positive (..., B, Q, D); zero under an empty one."""
    layers = mask_embeddings.reshape(-1, *mask_embeddings.shape[-3:])
    means = []
    for embeddings in layers:  # one by one: the masks of all at once would be large
        with torch.no_grad():
            inside = torch.einsum("bqd,btdhw->bqthw", embeddings, mask_features) > 0
            share = inside.to(mask_features.dtype)
            share = share / share.sum((2, 3, 4), keepdim=True).clamp(min=1)
        means.append(torch.einsum("bqthw,btdhw->bqd", share, mask_features))
    return torch.stack(means).reshape_as(mask_embeddings)


class ObjectHead(nn.Module):
    """Tells objects from "no object" (CLIP-VIS eq. 2, before the softmax).

    Args:
        width: width of the queries.
        layers: number of linear layers.
    """

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.mlp = MLP(width, width, 2, layers)

    def forward(self, queries: Tensor) -> Tensor:
        """Map queries (B, Q, D) to logits (B, Q, 2); index 0 is "object"."""
        return self.mlp(queries)  # type: ignore[no-any-return]
