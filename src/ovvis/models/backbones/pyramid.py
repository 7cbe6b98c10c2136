"""What every backbone gives."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Pyramid:
    """Features of N images at strides 4, 8, 16 and 32."""

    levels: tuple[Tensor, Tensor, Tensor, Tensor]  # each N, C, h, w; fine to coarse
    dense: Tensor | None  # N, C, h, w at stride 32: what CLIP names masks by; None where the backbone is not CLIP


class Backbone(nn.Module):
    """An image encoder with four levels of features.

    Attributes:
        channels: widths of the levels, fine to coarse.
    """

    channels: tuple[int, int, int, int]

    @abstractmethod
    def forward(self, pixels: Tensor) -> Pyramid:
        """Return the pyramid of normalised images (N, 3, H, W); H and W are multiples of 32."""
