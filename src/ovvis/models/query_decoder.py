"""Mask2Former's masked-attention decoder: queries look where their own mask of the layer before was."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovvis.models.layers.attention import Attention, FeedForward
from ovvis.models.layers.mask_product import mask_product
from ovvis.models.layers.mlp import MLP
from ovvis.models.layers.position import sine_code_2d, sine_code_3d


class QueryDecoder(nn.Module):
    """Turns learned queries into instance embeddings.

    Only the mask head steers the attention, so it is in here; all other heads stand outside and read the states.

    Args:
        queries: number of queries Q.
        width: width D of queries and features.
        layers: number of decoder layers.
        heads: attention heads.
        hidden: width of the feed-forward blocks.
        levels: number of feature levels, visited in turn.
        temporal: whether a cell's position code says its frame too (OVFormer, video-trained).
    """

    def __init__(
        self, queries: int, width: int, layers: int, heads: int, hidden: int, levels: int, temporal: bool = False
    ) -> None:
        super().__init__()
        self.temporal = temporal
        self.query_features = nn.Parameter(torch.randn(queries, width))
        self.query_code = nn.Parameter(torch.randn(queries, width))
        self.level_code = nn.Parameter(torch.randn(levels, width))
        self.layers = nn.ModuleList(_DecoderLayer(width, heads, hidden) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.mask_head = MLP(width, width, width, 3)

    def forward(self, levels: Sequence[Tensor], mask_features: Tensor) -> tuple[list[Tensor], Tensor]:
        """Decode the queries of a batch of windows.

        Args:
            levels: coarse to fine, each B, T, D, h, w.
            mask_features: B, T, D, H / 4, W / 4.

        Returns:
            states: the normed query states before the first and after each layer, each B, Q, D.
            last: B, Q, D; the last of them before its norm.
        """
        batch = mask_features.shape[0]
        memories, codes, small_masks = [], [], []
        for level, code in zip(levels, self.level_code, strict=True):
            t, _, h, w = level.shape[1:]
            memories.append(level.permute(0, 1, 3, 4, 2).flatten(1, 3) + code)  # B, T * h * w, D
            codes.append(self._position(t, h, w, level))  # T * h * w, D
            # The mask product commutes with bilinear resizing: resize the features once, not each layer's masks.
            resized = F.interpolate(mask_features.flatten(0, 1), size=(h, w), mode="bilinear", align_corners=False)
            small_masks.append(resized.unflatten(0, (batch, t)))
        queries = self.query_features.expand(batch, -1, -1)
        states = [self.norm(queries)]
        for i, layer in enumerate(self.layers):
            turn = i % len(levels)
            allowed = self._allowed(states[-1], small_masks[turn])
            queries = layer(queries, self.query_code, memories[turn], codes[turn], allowed)
            states.append(self.norm(queries))
        return states, queries

    def _position(self, frames: int, height: int, width: int, like: Tensor) -> Tensor:
        """Return the position code of a window's cells, (T * h * w, D)."""
        if self.temporal:
            return sine_code_3d(frames, height, width, like.shape[2], like.device, like.dtype)
        return sine_code_2d(height, width, like.shape[2], like.device, like.dtype).repeat(frames, 1)

    def masks(self, state: Tensor, features: Tensor) -> Tensor:
        """Return mask logits (B, Q, T, h, w) of a state (B, Q, D) over features (B, T, D, h, w) (CLIP-VIS eq. 1)."""
        return mask_product(self.mask_head(state), features)

    @torch.no_grad()
    def _allowed(self, state: Tensor, features: Tensor) -> Tensor:
        """Return which cells each query may look at (B, Q, T * h * w): those of its mask, or all if it has none."""
        inside = self.masks(state, features).flatten(2) >= 0
        return inside | ~inside.any(-1, keepdim=True)


class _DecoderLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward; a norm behind each."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.cross = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.self_attention = Attention(width, heads)
        self.self_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden)

    def forward(
        self, queries: Tensor, query_code: Tensor, memory: Tensor, memory_code: Tensor, allowed: Tensor
    ) -> Tensor:
        """Update queries (B, Q, D) from memory (B, M, D) where `allowed` (B, Q, M) is true."""
        seen = self.cross(queries + query_code, memory + memory_code, memory, allowed)
        queries = self.cross_norm(queries + seen)
        placed = queries + query_code
        queries = self.self_norm(queries + self.self_attention(placed, placed, queries))
        return self.feed_forward(queries)  # type: ignore[no-any-return]
