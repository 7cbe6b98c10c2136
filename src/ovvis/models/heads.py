"""Prediction heads that read the queries."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovvis.models.layers.attention import Attention
from ovvis.models.layers.mask_product import mask_product
from ovvis.models.layers.mlp import MLP
from ovvis.models.settings import Alignment, IouActivation, IouSource


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
            inside = mask_product(embeddings, mask_features) > 0
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


class ClassHead(nn.Module):
    """Gives each query an embedding in CLIP's space, which the texts of a vocabulary are compared with.

    Args:
        width: width D of the queries.
        clip_width: width E of CLIP's space.
        alignment: how CLIP's embeddings of the window's frames come in (OVFormer section 3.2). "released": attention
            of 8 heads over them, a residual, a norm. "paper": one softmax, no residual (eq. 7), so that all queries
            of a window of one frame get the same embedding. "none": not at all (OV2Seg).
    """

    def __init__(self, width: int, clip_width: int, alignment: Alignment) -> None:
        super().__init__()
        self.mlp = MLP(width, clip_width // 2, clip_width, 2)
        self.alignment: _ReleasedAlignment | _PaperAlignment | None = None
        if alignment != "none":
            kind = _ReleasedAlignment if alignment == "released" else _PaperAlignment
            self.alignment = kind(clip_width)

    def forward(self, queries: Tensor, images: Tensor | None) -> Tensor:
        """Return the class embeddings of queries.

        Args:
            queries: ..., B, Q, D.
            images: B, T, E; CLIP's embeddings of the frames. Not looked at without alignment.

        Returns:
            ..., B, Q, E; not normalised.

        Raises:
            ValueError: an alignment without images.
        """
        embeddings: Tensor = self.mlp(queries)
        if self.alignment is None:
            return embeddings
        if images is None:
            raise ValueError("the class head aligns queries with CLIP's embeddings of the frames: give them")
        *layers, batch, count, _ = embeddings.shape
        # Queries do not see each other here, so those of all decoder layers go through together.
        flat = embeddings.reshape(-1, batch, count, embeddings.shape[-1]).transpose(0, 1).flatten(1, 2)
        aligned: Tensor = self.alignment(flat, images.to(flat.dtype))  # B, L * Q, E
        out: Tensor = aligned.unflatten(1, (-1, count)).transpose(0, 1).reshape(*layers, batch, count, -1)
        return out

    def begin_unaligned(self) -> bool:
        """Let the alignment add nothing until it has learnt: queries keep the names that the MLP knows, but for a norm.

        For an MLP that is taken from a head without alignment. Returns whether there is an alignment that can: the
        paper's has no residual, so that nothing of the MLP's embedding would be left.
        """
        if not isinstance(self.alignment, _ReleasedAlignment):
            return False
        nn.init.zeros_(self.alignment.attention.out.weight)
        nn.init.zeros_(self.alignment.attention.out.bias)
        return True


class PooledClassHead(nn.Module):
    """Gives each query an embedding in CLIP's space from itself and from what lies under its mask (FC-CLIP).

    Args:
        width: width D of the queries and of the mask features.
        clip_width: width E of CLIP's space.
    """

    def __init__(self, width: int, clip_width: int) -> None:
        super().__init__()
        self.pooled = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.mlp = MLP(width, width, clip_width, 3)

    def forward(self, queries: Tensor, mask_embeddings: Tensor, mask_features: Tensor) -> Tensor:
        """Return the class embeddings of queries.

        Args:
            queries: ..., B, Q, D; what the mean under the mask is added to.
            mask_embeddings: ..., B, Q, D; their product with the features over D is the mask.
            mask_features: B, T, D, h, w; stride 4.

        Returns:
            ..., B, Q, E; not normalised.
        """
        return self.embed(queries, _mean_under_masks(mask_embeddings, mask_features))

    def embed(self, queries: Tensor, means: Tensor) -> Tensor:
        """Return the class embeddings (..., E) of queries (..., D) with the mean feature under each mask (..., D)."""
        embeddings: Tensor = self.mlp(self.pooled(means) + queries)
        return embeddings


class _ReleasedAlignment(nn.Module):
    """Attention over the frames' embeddings, a residual, a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads=8)
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, images: Tensor) -> Tensor:
        """Align queries (B, N, E) with images (B, T, E)."""
        return self.norm(queries + self.attention(queries, images, images))  # type: ignore[no-any-return]


class _PaperAlignment(nn.Module):
    """One softmax over the frames' embeddings (OVFormer eq. 6 and 7)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, queries: Tensor, images: Tensor) -> Tensor:
        """Align queries (B, N, E) with images (B, T, E)."""
        return F.scaled_dot_product_attention(queries, self.key(images), self.value(images))
