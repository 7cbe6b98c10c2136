"""CLIP's embedding of what lies under a mask."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovvis.models.clip import FrozenClip
from ovvis.models.settings import Pooling


class MaskPooling(nn.Module):
    """Pools dense features under masks into CLIP's space. It owns no weights: the frozen CLIP does.

    Args:
        clip: the frozen CLIP.
    """

    def __init__(self, clip: FrozenClip) -> None:
        super().__init__()
        # In a tuple, so that the weights appear once in the model's state, under `clip`.
        self._clip = (clip,)

    @abstractmethod
    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """Pool the features of N images.

        Args:
            features: N, C, h, w; CLIP's dense features at stride 32.
            masks: N, Q, h, w; bool. An empty mask gives an embedding without meaning.

        Returns:
            N, Q, E; not normalised.
        """


def build_mask_pooling(clip: FrozenClip, pooling: Pooling) -> MaskPooling:
    """Return the pooling that fits a CLIP's image encoder.

    Args:
        clip: the frozen CLIP.
        pooling: "clip" as released (a ResNet pools by CLIP's own attention, a ConvNeXt by the mean); "mean" as in
            the paper (CLIP-VIS eq. 9) for both. The paper pools features of stride 4, which have no projection
            into CLIP's space; "mean" pools those of stride 32. "nearest" pools as "clip" does, and says of the
            classifier that a mask which covers no cell takes the nearest one.
    """
    if hasattr(clip.visual, "trunk"):
        return TrunkMeanPooling(clip)
    return _ValueMeanPooling(clip) if pooling == "mean" else _AttentionPooling(clip)


def nearest_cell(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the cell that each mask covers most of.

    Args:
        masks: N, Q, H, W; in [0, 1], how much of each pixel is covered.
        size: h, w; of the cells' grid.

    Returns:
        N, Q, h, w; bool, one true for each mask, none for an empty one.
    """
    covered = F.adaptive_avg_pool2d(masks, size).flatten(2)
    most, place = covered.max(-1)
    cells: Tensor = F.one_hot(place, covered.shape[-1]).bool() & (most > 0)[..., None]
    return cells.view(*masks.shape[:2], *size)


def _mean_under(features: Tensor, masks: Tensor) -> Tensor:
    """Return the mean feature under each mask, (N, Q, C); zero under an empty one."""
    share = masks.to(features.dtype)
    share = share / (share.sum((-1, -2), keepdim=True) + 1e-8)
    return torch.einsum("nchw,nqhw->nqc", features, share)


class TrunkMeanPooling(MaskPooling):
    """Mean under the mask, then the trunk's norm and CLIP's projection (timm image encoders)."""

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """Pool features (N, C, h, w) under masks (N, Q, h, w)."""
        return self.project(_mean_under(features, masks))

    def project(self, pooled: Tensor) -> Tensor:
        """Return the embeddings (N, Q, E) of mean features (N, Q, C)."""
        visual = self._clip[0].visual
        pooled = pooled.to(next(visual.trunk.head.parameters()).dtype)
        projected: Tensor = visual.head(visual.trunk.head(pooled.flatten(0, 1)[..., None, None]))
        return projected.view(*pooled.shape[:2], -1)


class _ValueMeanPooling(MaskPooling):
    """Mean under the mask, then the value path of a CLIP ResNet's attention pooling."""

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """Pool features (N, C, h, w) under masks (N, Q, h, w)."""
        pool = self._clip[0].visual.attnpool
        pooled: Tensor = pool.c_proj(pool.v_proj(_mean_under(features, masks)))
        return pooled


class _AttentionPooling(MaskPooling):
    """CLIP's attention pooling, the mean token asking, the keys outside the mask hidden (OpenAI's ResNets)."""

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """Pool features (N, C, h, w) under masks (N, Q, h, w)."""
        pool = self._clip[0].visual.attnpool
        code = pool.positional_embedding.to(features.dtype)
        side = int((code.shape[0] - 1) ** 0.5)
        grid = code[1:].T.unflatten(-1, (side, side))[None]  # 1, C, side, side
        grid = F.interpolate(grid, size=features.shape[-2:], mode="bilinear", align_corners=False)
        keys = (features + grid).flatten(2).transpose(1, 2)  # N, h * w, C
        # Every mask asks with the same token, so it is projected and compared once; and rather than projecting every
        # key, the token is taken back through the key projection (a constant of a head changes no softmax).
        query = features.mean((-1, -2)) + code[0]  # N, C
        heads: int = pool.num_heads
        q = pool.q_proj(query).unflatten(-1, (heads, -1))
        back = torch.einsum("nhd,hdc->nhc", q, pool.k_proj.weight.unflatten(0, (heads, -1)))
        v = pool.v_proj(keys).unflatten(-1, (heads, -1))
        scores = torch.einsum("nhc,nlc->nhl", back, keys).float() * q.shape[-1] ** -0.5
        hidden = ~masks.flatten(2)[:, None]  # N, 1, Q, h * w
        shares = scores[:, :, None].masked_fill(hidden, -torch.inf).softmax(-1)  # N, heads, Q, h * w
        seen = torch.einsum("nhql,nlhd->nqhd", shares.to(v.dtype), v).flatten(2)
        pooled: Tensor = pool.c_proj(seen)
        return pooled
