"""The product of mask embeddings and mask features: the masks themselves (CLIP-VIS eq. 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from ovvis.models.layers.linear import products


def mask_product(embeddings: Tensor, features: Tensor) -> Tensor:
    """Return mask logits (B, Q, T, h, w) of embeddings (B, Q, D) over features (B, T, D, h, w).

    Where nothing is trained, features in channels-last order are read as they lie, which `einsum` in bfloat16 does not.
    """
    cells = features.permute(0, 1, 3, 4, 2)  # B, T, h, w, D
    if features.requires_grad or torch.compiler.is_compiling() or not cells.is_contiguous():
        return torch.einsum("bqd,btdhw->bqthw", embeddings, features)
    parts = [products(queries, seen) for queries, seen in zip(embeddings, cells.flatten(1, 3), strict=True)]
    out: Tensor = parts[0][None] if len(parts) == 1 else torch.stack(parts)  # B, Q, T * h * w
    return out.unflatten(2, (features.shape[1], *features.shape[3:]))  # type: ignore[no-any-return]
