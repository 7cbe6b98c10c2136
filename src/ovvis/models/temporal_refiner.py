"""The network that refines the tubes of a whole video (DVIS++)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ovvis.models.layers.attention import Attention, FeedForward


class TemporalRefiner(nn.Module):
    """Lets each tube look at itself over time, at the others, and at what each frame shows.

    Args:
        width: width D of the queries.
        layers: number of layers.
        heads: attention heads.
        hidden: width of the feed-forward blocks.
    """

    def __init__(self, width: int, layers: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_RefinerLayer(width, heads, hidden) for _ in range(layers))
        self.weight = nn.Linear(width, 1)

    def forward(self, followed: Tensor, seen: Tensor) -> Tensor:
        """Return the refined states of a video.

        Args:
            followed: T, Q, D; the tracker's states of each frame, in tube order.
            seen: T, Q, D; the segmenter's states of each frame, in its own order.

        Returns:
            T, Q, D; before the decoder's norm.
        """
        for layer in self.layers:
            followed = layer(followed, seen)
        return followed

    def over_time(self, normed: Tensor) -> Tensor:
        """Return one state of each tube (Q, D), the mean of its normed ones (T, Q, D) by learnt weights."""
        mean: Tensor = (self.weight(normed).softmax(0) * normed).sum(0)
        return mean


class _RefinerLayer(nn.Module):
    """Attention over time, convolution over time, attention over tubes, cross-attention, feed-forward; norms."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.time = Attention(width, heads)
        self.time_norm = nn.LayerNorm(width)
        self.wide = nn.Conv1d(width, width, 5)
        self.narrow = nn.Conv1d(width, width, 3)
        self.short_norm = nn.LayerNorm(width)
        self.self_attention = Attention(width, heads)
        self.self_norm = nn.LayerNorm(width)
        self.cross = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden)

    def forward(self, state: Tensor, seen: Tensor) -> Tensor:
        """Update states (T, Q, D) from each frame's queries (T, Q, D)."""
        tubes = state.transpose(0, 1)  # Q, T, D
        tubes = self.time_norm(tubes + self.time(tubes, tubes, tubes))
        tubes = self.short_norm(self._short(tubes.transpose(1, 2)).transpose(1, 2) + tubes)
        state = tubes.transpose(0, 1)  # T, Q, D
        state = self.self_norm(state + self.self_attention(state, state, state))
        state = self.cross_norm(state + self.cross(state, seen, seen))
        return self.feed_forward(state)  # type: ignore[no-any-return]

    def _short(self, tubes: Tensor) -> Tensor:
        """Return what neighbouring frames add to tubes (Q, D, T); the first and last frame stand beyond the ends."""
        hidden = F.relu(self.wide(F.pad(tubes, (2, 2), mode="replicate")))
        return self.narrow(F.pad(hidden, (1, 1), mode="replicate"))  # type: ignore[no-any-return]
