"""Prediction heads that read the queries."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ovvis.models.layers.mlp import MLP

IouActivation = Literal["sigmoid", "relu"]


class MaskIouHead(nn.Module):
    """Predicts how well a query's mask overlaps the truth.

    Args:
        width: width of the queries.
        activation: "sigmoid" as released, "relu" as in the paper (CLIP-VIS eq. 3).
    """

    def __init__(self, width: int, activation: IouActivation = "sigmoid") -> None:
        super().__init__()
        self.mlp = MLP(width, width, 1, 3)
        self.activation = activation

    def forward(self, queries: Tensor) -> Tensor:
        """Map queries (B, Q, D) to overlaps (B, Q); in [0, 1] with the sigmoid, not below 0 with ReLU."""
        raw = self.mlp(queries).squeeze(-1)
        return F.relu(raw) if self.activation == "relu" else raw.sigmoid()


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
