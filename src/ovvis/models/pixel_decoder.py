"""The pixel decoder of Mask2Former: deformable attention over three levels, one FPN step to stride 4."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovvis.models.layers.attention import FeedForward
from ovvis.models.layers.deformable_attention import DeformableAttention
from ovvis.models.layers.position import sine_code_2d
from ovvis.models.layers.samplers import Shapes

ATTENDED_LEVELS = 3  # strides 32, 16 and 8


class PixelDecoder(nn.Module):
    """Six deformable-attention layers over strides 32, 16, 8, then a lateral step to stride 4.

    Args:
        channels: widths of the backbone's levels, fine to coarse.
        width: width of all outputs.
        layers: number of deformable layers.
        heads: attention heads.
        points: sampled points for each head and level.
        hidden: width of the feed-forward blocks.
    """

    def __init__(self, channels: Sequence[int], width: int, layers: int, heads: int, points: int, hidden: int) -> None:
        super().__init__()
        fine, *attended = channels
        self.project = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, width, 1), nn.GroupNorm(32, width)) for c in reversed(attended)
        )
        self.level_code = nn.Parameter(torch.randn(ATTENDED_LEVELS, width))
        self.layers = nn.ModuleList(_EncoderLayer(width, heads, ATTENDED_LEVELS, points, hidden) for _ in range(layers))
        self.lateral = nn.Sequential(nn.Conv2d(fine, width, 1, bias=False), nn.GroupNorm(32, width))
        self.smooth = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(32, width), nn.ReLU(inplace=True)
        )
        self.mask_features = nn.Conv2d(width, width, 1)
        for part in self.project:
            nn.init.xavier_uniform_(part[0].weight)  # type: ignore[index]
            nn.init.zeros_(part[0].bias)  # type: ignore[index]
        for convolution in (self.lateral[0], self.smooth[0], self.mask_features):
            nn.init.kaiming_uniform_(convolution.weight, a=1)  # type: ignore[arg-type]
        nn.init.zeros_(self.mask_features.bias)  # type: ignore[arg-type]

    def forward(self, pyramid: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Refine a pyramid.

        Args:
            pyramid: the four levels, fine to coarse, each N, C, h, w.

        Returns:
            mask_features: N, D, H / 4, W / 4.
            levels: strides 32, 16, 8, each N, D, h, w.
        """
        fine, *attended = pyramid
        maps = [project(x) for project, x in zip(self.project, reversed(attended), strict=True)]
        shapes = [(x.shape[-2], x.shape[-1]) for x in maps]
        tokens = torch.cat([x.flatten(2).transpose(1, 2) for x in maps], dim=1)  # N, L, D
        code = torch.cat(
            [
                sine_code_2d(h, w, tokens.shape[-1], tokens.device, tokens.dtype) + level
                for (h, w), level in zip(shapes, self.level_code, strict=True)
            ]
        )  # L, D
        reference = _centres(shapes, tokens.device)
        for layer in self.layers:
            tokens = layer(tokens, code, reference, shapes)
        levels = [
            part.unflatten(1, shape).permute(0, 3, 1, 2)  # N, h * w, D -> N, D, h, w; channels-last in memory
            for part, shape in zip(tokens.split([h * w for h, w in shapes], 1), shapes, strict=True)
        ]
        lateral = self.lateral(fine)
        up = F.interpolate(levels[-1], size=lateral.shape[-2:], mode="bilinear", align_corners=False)
        return self.mask_features(self.smooth(up.add_(lateral))), levels


class _EncoderLayer(nn.Module):
    """Deformable self-attention and a feed-forward block, each with a norm behind it."""

    def __init__(self, width: int, heads: int, levels: int, points: int, hidden: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(width, heads, levels, points)
        self.norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden)

    def forward(self, tokens: Tensor, code: Tensor, reference: Tensor, shapes: Shapes) -> Tensor:
        """Map tokens (N, L, D) to tokens (N, L, D)."""
        sampler = self.attention.sampler(tokens, shapes)
        tokens = self.norm(self.attention(tokens + code, reference, sampler, tokens))
        return self.feed_forward(tokens)  # type: ignore[no-any-return]


def _centres(shapes: Shapes, device: torch.device) -> Tensor:
    """Return x and y of every cell's centre in [0, 1], (L, 2), level after level."""
    parts = []
    for h, w in shapes:
        y = (torch.arange(h, dtype=torch.float32, device=device) + 0.5) / h
        x = (torch.arange(w, dtype=torch.float32, device=device) + 0.5) / w
        parts.append(torch.stack([x.expand(h, w), y[:, None].expand(h, w)], dim=-1).flatten(0, 1))
    return torch.cat(parts)
