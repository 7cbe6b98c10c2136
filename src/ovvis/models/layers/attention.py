"""Multi-head attention and the post-norm feed-forward block of the transformer layers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ovvis.models.layers.linear import followed


class Attention(nn.Module):
    """Multi-head attention with separate projections, on PyTorch's fused kernel.

    Args:
        width: width of queries, keys and values.
        heads: number of heads; divides `width`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        for layer in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Attend from N to M tokens.

        Args:
            query: B, N, D.
            key: B, M, D.
            value: B, M, D.
            allowed: B, N, M, bool: which keys a query may see; None for all. No row may be all False.

        Returns:
            B, N, D.
        """
        q, k, v = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # B, N, D -> B, heads, N, D / heads
            for project, x in ((self.query, query), (self.key, key), (self.value, value))
        )
        mask = None if allowed is None else allowed[:, None]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(attended.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear layers with a residual and a norm after them.

    Args:
        width: width of the tokens.
        hidden: width between the two layers.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)
        for layer in (self.expand, self.contract):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, N, D) to tokens (B, N, D)."""
        hidden = followed(self.expand, x, "relu")
        return self.norm(followed(self.contract, hidden, add=x))  # type: ignore[no-any-return]
