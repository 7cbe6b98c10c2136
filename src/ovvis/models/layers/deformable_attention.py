"""Multi-scale deformable attention (Deformable DETR, eq. 3) in plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shapes = Sequence[tuple[int, int]]


class DeformableAttention(nn.Module):
    """Each token looks at a few learned points of every level.

    Two ways compute the same sum: `sample_bag` reads whole rows of channels and is an order of magnitude faster
    on a CPU; `sample_grid` uses `grid_sample`, which accelerators have kernels for.

    Args:
        width: width of the tokens.
        heads: number of heads; divides `width`.
        levels: number of feature levels.
        points: points for each head and level.
    """

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = nn.Linear(width, heads * levels * points * 2)
        self.weights = nn.Linear(width, heads * levels * points)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self._initialise()

    def _initialise(self) -> None:
        """Start as Deformable DETR does: the heads look in eight directions, the points ever further out."""
        angle = torch.arange(self.heads, dtype=torch.float32) * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, self.points + 1, dtype=torch.float32)
        start = direction[:, None, None] * steps[None, None, :, None]
        nn.init.zeros_(self.offsets.weight)
        with torch.no_grad():
            self.offsets.bias.copy_(start.expand(-1, self.levels, -1, -1).flatten())
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        for layer in (self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, query: Tensor, tokens: Tensor, reference: Tensor, shapes: Shapes) -> Tensor:
        """Sample `tokens` at points around each token's place.

        Args:
            query: B, N, D; the tokens with their position codes.
            tokens: B, N, D; the levels one after another.
            reference: N, 2; x and y of each token in [0, 1], float32.
            shapes: height and width of each level; their areas add up to N.

        Returns:
            B, N, D.
        """
        places, weights = self._aim(query, reference, shapes)
        value = self.value(tokens).unflatten(-1, (self.heads, -1))  # B, N, heads, D / heads
        sample = sample_bag if value.device.type == "cpu" else sample_grid
        return self.out(sample(value, places, weights, shapes))  # type: ignore[no-any-return]

    def _aim(self, query: Tensor, reference: Tensor, shapes: Shapes) -> tuple[Tensor, Tensor]:
        """Return where each token (B, N, D) looks, and how much each place counts.

        Returns:
            places: B, N, 2, heads * levels * points; x, then y, in cells of the level; a cell's centre is whole.
            weights: B, N, heads * levels * points; of each head they add up to 1.
        """
        count = self.heads * self.levels * self.points
        # One product for all three outputs, with x of all points before y of all points: both read faster.
        apart = [p.unflatten(0, (-1, 2)).transpose(0, 1).flatten(0, 1) for p in self.offsets.parameters()]
        packed = [torch.cat(pair) for pair in zip(apart, self.weights.parameters(), strict=True)]
        raw = F.linear(query, *packed)
        offsets = raw[..., : 2 * count].float().unflatten(-1, (2, count))
        weights = _softmax(raw[..., 2 * count :].float().unflatten(-1, (self.heads, -1))).flatten(-2)
        size = _spread([(w, h) for h, w in shapes], self.heads, self.points, reference.device)  # 2, count
        return offsets.addcmul(reference[..., None], size.float()) - 0.5, weights


def _softmax(x: Tensor) -> Tensor:
    """Return the softmax of a short last axis, for which PyTorch's own takes four times as long on a CPU."""
    raised = (x - x.amax(-1, keepdim=True)).exp()
    return raised / raised.sum(-1, keepdim=True)


def _spread(rows: Sequence[tuple[int, ...]], heads: int, points: int, device: torch.device) -> Tensor:
    """Return numbers given for each level, repeated for all heads and points: (n, heads * levels * points)."""
    table = torch.tensor(rows, device=device).T  # n, levels
    return table[:, None, :, None].expand(-1, heads, -1, points).flatten(1)


def sample_bag(value: Tensor, places: Tensor, weights: Tensor, shapes: Shapes) -> Tensor:
    """Return the weighted sum of bilinear samples, as one weighted sum of table rows for each token and head.

    Args:
        value: B, N, heads, C.
        places: B, M, 2, heads * levels * points; see `DeformableAttention`.
        weights: B, M, heads * levels * points.
        shapes: height and width of each level.

    Returns:
        B, M, heads * C.
    """
    b, _, heads, channels = value.shape
    points = weights.shape[-1] // (heads * len(shapes))
    # A margin of zeros (one cell before, two behind) stands for all that lies outside a level, so that no
    # corner needs a check and the four corners of a sample have fixed distances in the table.
    table = torch.cat(
        [
            F.pad(cells.unflatten(1, shape), (0, 0, 0, 0, 1, 2, 1, 2)).flatten(1, 2)
            for cells, shape in zip(value.split([h * w for h, w in shapes], 1), shapes, strict=True)
        ],
        dim=1,
    )  # B, cells, heads, C
    rows, start = [], 0
    for h, w in shapes:
        rows.append((w, h, (w + 3) * heads, start * heads))
        start += (h + 3) * (w + 3)
    width, height, line, first = _spread(rows, heads, points, value.device)
    # Row of the table: ((window * cells) + cell) * heads + head. The levels' origin is their first inner cell.
    first = first + line + heads + torch.arange(heads, device=value.device).repeat_interleave(len(shapes) * points)

    x = places[:, :, 0].clamp(min=-1).minimum(width.float())
    y = places[:, :, 1].clamp(min=-1).minimum(height.float())
    left, top = x.floor(), y.floor()
    right_share, lower_share = x - left, y - top
    # Whole numbers up to 2^24 are exact in float32; a table of more rows than that takes the integer way.
    if start * heads < 2**24:
        row = torch.addcmul(left * heads + first.float(), top, line.float()).int()
    else:
        row = top.int() * line.int() + (left.int() * heads + first.int())
    if b > 1:
        row = row + (torch.arange(b, dtype=torch.int32, device=value.device) * (start * heads))[:, None, None]
    bags = row.new_empty((*row.shape[:2], heads, 4, row.shape[-1] // heads))
    for corner, step in enumerate((0, heads, line.int(), line.int() + heads)):
        bags[:, :, :, corner] = (row + step).unflatten(-1, (heads, -1))

    lower = weights * lower_share
    upper = weights - lower
    lower_right, upper_right = lower * right_share, upper * right_share
    corners = (upper - upper_right, upper_right, lower - lower_right, lower_right)
    shares = torch.stack([corner.unflatten(-1, (heads, -1)) for corner in corners], dim=3)

    out: Tensor = F.embedding_bag(
        bags.flatten(3).flatten(0, 2),  # B * M * heads, 4 * levels * points
        table.flatten(0, 2),
        mode="sum",
        per_sample_weights=shares.flatten(3).flatten(0, 2).to(value.dtype),
    )
    return out.view(b, -1, heads * channels)


def sample_grid(value: Tensor, places: Tensor, weights: Tensor, shapes: Shapes) -> Tensor:
    """Return what `sample_bag` returns, by `grid_sample`, in float32."""
    b, _, heads, channels = value.shape
    places, weights = (x.unflatten(-1, (heads, len(shapes), -1)) for x in (places, weights))
    samples = []
    for level, (cells, (h, w)) in enumerate(zip(value.split([h * w for h, w in shapes], 1), shapes, strict=True)):
        image = cells.permute(0, 2, 3, 1).reshape(b * heads, channels, h, w)
        size = places.new_tensor([w, h])
        place = torch.stack(places[..., level, :].unbind(2), dim=-1)  # B, M, heads, points, 2
        grid = (place + 0.5) * (2 / size) - 1  # cells -> [-1, 1]
        grid = grid.transpose(1, 2).flatten(0, 1)  # B, M, heads, points, 2 -> B * heads, M, points, 2
        samples.append(F.grid_sample(image.float(), grid, mode="bilinear", align_corners=False))
    sampled = torch.cat(samples, dim=-1)  # B * heads, C, M, levels * points
    share = weights.flatten(3).transpose(1, 2).flatten(0, 1)  # B * heads, M, levels * points
    out: Tensor = (sampled * share[:, None]).sum(-1)  # B * heads, C, M
    return out.view(b, heads * channels, -1).transpose(1, 2).to(value.dtype)
