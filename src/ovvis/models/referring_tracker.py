"""The network of a learnt tracker: the queries of a frame, seen by those that were followed so far (DVIS++)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ovvis.models.heads import PooledClassHead
from ovvis.models.layers.attention import Attention, FeedForward
from ovvis.models.layers.mask_product import mask_product
from ovvis.models.layers.mlp import MLP
from ovvis.models.query_decoder import QueryDecoder
from ovvis.structures import Prediction


class ReferringTracker(nn.Module):
    """Gathers each tube's object from a frame's queries. It has no memory: whoever calls it keeps what it gives.

    Masks and names are made by the segmenter's own norm, mask head and class head.

    Args:
        decoder: the segmenter's.
        class_head: the segmenter's.
        width: width D of the queries.
        layers: number of layers.
        heads: attention heads.
        hidden: width of the feed-forward blocks.
    """

    def __init__(
        self, decoder: QueryDecoder, class_head: PooledClassHead, width: int, layers: int, heads: int, hidden: int
    ) -> None:
        super().__init__()
        # In a tuple, so that the weights appear once in the model's state, under `network`.
        self._shared = decoder, class_head
        self.layers = nn.ModuleList(_ReferringLayer(width, heads, hidden) for _ in range(layers))
        self.reference = MLP(width, width, width, 3)
        self.merge = nn.Linear(2 * width, width)

    def forward(self, prediction: Prediction, order: Tensor, last: Tensor | None) -> tuple[Prediction, Tensor]:
        """Follow the tubes into a frame.

        Args:
            prediction: a batch of one window of one frame, with states and mask features.
            order: Q; the query that continues each tube, as far as a match of embeddings tells.
            last: 1, Q, D; what was given for the frame before; None for a video's first.

        Returns:
            The prediction with its queries in tube order, their states, masks and class embeddings made anew; and its
            states (1, Q, D), for the next frame.

        Raises:
            ValueError: the prediction carries no states or no mask features.
        """
        if prediction.states is None or prediction.mask_features is None:
            raise ValueError("a learnt tracker needs a network that gives states and mask features")
        seen = prediction.states
        state = seen[:, order.to(seen.device)]
        reference = self.reference(seen if last is None else last)
        asks = reference
        for i, layer in enumerate(self.layers):
            if last is None and i:
                asks = self.reference(state)
            state = layer(state, asks, seen)
        decoder, class_head = self._shared
        normed = decoder.norm(state)
        masks = decoder.mask_head(normed)
        merged = self.merge(torch.cat([reference, normed], -1))
        followed = replace(
            prediction,
            mask_logits=mask_product(masks, prediction.mask_features),
            embeddings=normed,
            class_embeddings=class_head(merged, masks, prediction.mask_features),
            states=state,
        )
        return followed, state


class _ReferringLayer(nn.Module):
    """Cross-attention whose residual is another than its query, self-attention, feed-forward; a norm behind each."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.cross = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.self_attention = Attention(width, heads)
        self.self_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden)

    def forward(self, state: Tensor, reference: Tensor, seen: Tensor) -> Tensor:
        """Update states (B, Q, D) by what references (B, Q, D) find among the frame's queries (B, Q, D)."""
        state = self.cross_norm(state + self.cross(reference, seen, seen))
        state = self.self_norm(state + self.self_attention(state, state, state))
        return self.feed_forward(state)  # type: ignore[no-any-return]
