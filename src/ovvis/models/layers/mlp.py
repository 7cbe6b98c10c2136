"""The multi-layer perceptron of the prediction heads."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layers with ReLU between them, none after the last.

    Args:
        width_in: input width.
        width: hidden width.
        width_out: output width.
        layers: number of linear layers, at least 1.
    """

    def __init__(self, width_in: int, width: int, width_out: int, layers: int) -> None:
        super().__init__()
        widths = [width_in, *[width] * (layers - 1), width_out]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width_in) to (..., width_out)."""
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(x))
        return cast(Tensor, last(x))
