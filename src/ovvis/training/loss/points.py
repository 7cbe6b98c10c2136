"""Masks are compared at points: PointRend's sampling, as Mask2Former and CLIP-VIS train with it.

A point is x and y in [0, 1] over the padded frame, so logits at stride 4 and masks of full size share points.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sample(images: Tensor, points: Tensor) -> Tensor:
    """Read images between their pixels, bilinearly; outside lies zero.

    Args:
        images: N, C, h, w.
        points: N, P, 2.

    Returns:
        N, C, P; differentiable in the images and in the points.
    """
    grid = points[:, :, None] * 2 - 1
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False).squeeze(-1)


def sample_masks(masks: Tensor, rows: Tensor, points: Tensor) -> Tensor:
    """Read some of many masks at points: the same numbers as `sample`, without a floating copy of any mask.

    Args:
        masks: R, H, W; bool.
        rows: N; int64; which mask each row of points reads.
        points: N, P, 2.

    Returns:
        N, P; in [0, 1]; of the points' floating type.
    """
    height, width = masks.shape[-2:]
    x, y = points[..., 0] * width - 0.5, points[..., 1] * height - 0.5
    left, top = x.floor(), y.floor()
    right_share, lower_share = x - left, y - top
    flat = masks.flatten()
    first = (rows * (height * width))[:, None]
    out = torch.zeros_like(x)
    for row, row_share in ((top, 1 - lower_share), (top + 1, lower_share)):
        for column, column_share in ((left, 1 - right_share), (left + 1, right_share)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            place = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            out += (flat[first + place] & inside) * (row_share * column_share)
    return out


class PointSampler:
    """Chooses the points at which masks are compared.

    Args:
        points: points of each mask and frame.
        oversample: candidates for the uncertain points, as a multiple of `points`.
        importance: share of the points that are the most uncertain candidates; the others are uniform.
    """

    def __init__(self, points: int = 12_544, oversample: float = 3.0, importance: float = 0.75) -> None:
        self.points = points
        self.candidates = int(points * oversample)
        self.uncertain = int(points * importance)

    def for_matching(self, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return uniform points (P, 2), of the device and floating type of a tensor."""
        return torch.rand(self.points, 2, device=like.device, dtype=like.dtype, generator=generator)

    def draw(self, masks: int, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the random points (N, C, 2) that `for_loss` chooses from, for N masks.

        Args:
            masks: N.
            like: whose device and floating type the points have.
            generator: where the random numbers come from.
        """
        count = self.candidates + self.points - self.uncertain
        return torch.rand(masks, count, 2, device=like.device, dtype=like.dtype, generator=generator)

    @torch.no_grad()
    def for_loss(self, logits: Tensor, drawn: Tensor) -> Tensor:
        """Return points where masks are uncertain, their logits near zero, and uniform ones (PointRend, section 3.2).

        Args:
            logits: N, h, w; mask logits.
            drawn: N, C, 2; from `draw`.

        Returns:
            N, P, 2.
        """
        candidates, uniform = drawn.split([self.candidates, self.points - self.uncertain], 1)
        certainty = sample(logits[:, None], candidates)[:, 0].abs()
        nearest = certainty.topk(self.uncertain, largest=False, sorted=False).indices
        return torch.cat([candidates.gather(1, nearest[..., None].expand(-1, -1, 2)), uniform], dim=1)
