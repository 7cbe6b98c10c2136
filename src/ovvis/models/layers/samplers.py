"""Weighted sums of bilinear samples at points of several levels: three ways to the same numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ovvis.models.layers.corner_sums import CornerSums
from ovvis.models.layers.kept import kept

Shapes = Sequence[tuple[int, int]]


def spread(rows: Sequence[tuple[int, ...]], heads: int, points: int, device: torch.device) -> Tensor:
    """Return numbers given for each level, repeated for all heads and points: (n, heads * levels * points)."""
    return _spread_table(tuple(rows), heads, points, device)


@kept
def _spread_table(rows: tuple[tuple[int, ...], ...], heads: int, points: int, device: torch.device) -> Tensor:
    table = torch.tensor(rows, device=device).T  # n, levels
    return table[:, None, :, None].expand(-1, heads, -1, points).flatten(1)


@kept
def _wide_and_high(width: int, height: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor([width, height], dtype=dtype, device=device)


class Sampler(ABC):
    """The values of all levels, ready to be sampled.

    Args:
        value: B, N, heads, C; the levels one after another.
        shapes: height and width of each level.
    """

    def __init__(self, value: Tensor, shapes: Shapes) -> None:
        self.value, self.shapes = value, shapes
        self.windows, _, self.heads, self.channels = value.shape

    @abstractmethod
    def __call__(self, places: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted sum of bilinear samples; what lies outside a level is zero.

        Args:
            places: B, M, 2, heads * levels * points; x, then y, in cells of the level; a cell's centre is whole.
            weights: B, M, heads * levels * points.

        Returns:
            B, M, heads * C.
        """


class BagSampler(Sampler):
    """Weighted sums of table rows for each token and head (`embedding_bag`), one for each corner of the samples.

    The table has a margin of zeros around each level (one cell before, two behind): no corner of a sample needs a
    check, and the four corners have fixed distances in the table.

    Args:
        value: B, N, heads, C; the levels one after another.
        shapes: height and width of each level.
        compiled: whether the gradient's slowest loop is compiled; the same numbers to rounding.
    """

    def __init__(self, value: Tensor, shapes: Shapes, compiled: bool = False) -> None:
        super().__init__(value, shapes)
        self._compiled = compiled
        cells = sum((h + 3) * (w + 3) for h, w in shapes)
        table = value.new_zeros(self.windows, cells, self.heads, self.channels)
        rows, start = [], 0
        for part, (h, w) in zip(value.split([h * w for h, w in shapes], 1), shapes, strict=True):
            level = table[:, start : start + (h + 3) * (w + 3)].unflatten(1, (h + 3, w + 3))
            level[:, 1 : h + 1, 1 : w + 1] = part.unflatten(1, (h, w))
            # Row of the table: ((window * cells) + cell) * heads + head; a level's origin is its first inner cell.
            rows.append((w, h, (w + 3) * self.heads, (start + w + 4) * self.heads))
            start += (h + 3) * (w + 3)
        self._table = table.flatten(0, 2)
        self._levels, self._rows = rows, cells * self.heads
        self._constants: tuple[Tensor, ...] = ()

    def _numbers(self, count: int) -> tuple[Tensor, ...]:
        """Return width and height (2, count), rows in a line and first row of each of `count` sampled points."""
        if not self._constants:
            points = count // (self.heads * len(self.shapes))
            width, height, line, first = spread(self._levels, self.heads, points, self.value.device)
            head = torch.arange(self.heads, device=first.device).repeat_interleave(len(self.shapes) * points)
            self._constants = (torch.stack([width, height]).float(), line, first + head)
        return self._constants

    def __call__(self, places: Tensor, weights: Tensor) -> Tensor:
        """Sample at places (B, M, 2, P) with weights (B, M, P)."""
        size, line, first = self._numbers(weights.shape[-1])
        places = places.nan_to_num(0.0)  # a place must be a row of the table; its weight is still no number
        places = places.clamp(min=-1).minimum(size)
        corner = places.floor()
        left, top = corner.unbind(2)
        right_share, lower_share = (places - corner).unbind(2)
        if self._rows < 2**24:  # whole numbers up to there are exact in float32
            row = torch.addcmul(left * self.heads + first.float(), top, line.float()).int()
        else:
            row = top.int() * line.int() + (left.int() * self.heads + first.int())
        if self.windows > 1:
            window = torch.arange(self.windows, dtype=torch.int32, device=row.device)
            row = row + (window * self._rows)[:, None, None]
        lower = weights * lower_share
        upper = weights - lower
        lower_right, upper_right = lower * right_share, upper * right_share
        corners = (upper - upper_right, upper_right, lower - lower_right, lower_right)
        shares = [x.view(-1, x.shape[-1] // self.heads).to(self._table.dtype) for x in corners]
        out: Tensor = CornerSums.apply(self._table, row, line.int(), self.heads, self._compiled, *shares)
        return out.view(self.windows, -1, self.heads * self.channels)


class GridSampler(Sampler):
    """`grid_sample` on each level, in the places' precision."""

    def __call__(self, places: Tensor, weights: Tensor) -> Tensor:
        """Sample at places (B, M, 2, P) with weights (B, M, P)."""
        b, heads = self.windows, self.heads
        places, weights = (x.unflatten(-1, (heads, len(self.shapes), -1)) for x in (places, weights))
        samples = []
        parts = self.value.split([h * w for h, w in self.shapes], 1)
        for level, (cells, (h, w)) in enumerate(zip(parts, self.shapes, strict=True)):
            image = cells.permute(0, 2, 3, 1).reshape(b * heads, self.channels, h, w)
            size = _wide_and_high(w, h, places.dtype, places.device)
            place = torch.stack(places[..., level, :].unbind(2), dim=-1)  # B, M, heads, points, 2
            grid = (place + 0.5) * (2 / size) - 1  # cells -> [-1, 1]
            grid = grid.transpose(1, 2).flatten(0, 1)  # B, M, heads, points, 2 -> B * heads, M, points, 2
            samples.append(F.grid_sample(image.to(grid.dtype), grid, mode="bilinear", align_corners=False))
        sampled = torch.cat(samples, dim=-1)  # B * heads, C, M, levels * points
        share = weights.flatten(3).transpose(1, 2).flatten(0, 1)  # B * heads, M, levels * points
        out: Tensor = (sampled * share[:, None]).sum(-1)  # B * heads, C, M
        return out.view(b, heads * self.channels, -1).transpose(1, 2).to(self.value.dtype)


class GatherSampler(Sampler):
    """Gathered rows and bilinear weights, in operations that every runtime of exported graphs has.

    Not `grid_sample`: TensorRT 10 builds engines of ONNX's GridSample that run and are wrong, without a word
    (NVIDIA/TensorRT issues 4646, 4813). As in `BagSampler` a margin of zeros around each level stands for what lies
    outside, so that no corner needs a check. Corners are apart from the beginning: runtimes copy what is split.
    """

    def __init__(self, value: Tensor, shapes: Shapes) -> None:
        super().__init__(value, shapes)
        parts, numbers, start = [], [], 0
        for part, (h, w) in zip(value.split([h * w for h, w in shapes], 1), shapes, strict=True):
            # B, h * w, heads, C -> with one cell before and two behind in each direction
            padded = F.pad(part.unflatten(1, (h, w)), (0, 0, 0, 0, 1, 2, 1, 2))
            parts.append(padded.flatten(1, 2))
            numbers.append((w, h, w + 3, start + w + 4))
            start = start + (h + 3) * (w + 3)
        self._table = torch.cat(parts, 1).flatten(0, 2)  # a row for each window, cell and head
        self._levels, self._cells = numbers, start

    def __call__(self, places: Tensor, weights: Tensor) -> Tensor:
        """Sample at places (B, M, 2, P) with weights (B, M, P)."""
        heads, device = self.heads, places.device
        width, height, line, first = spread(
            self._levels, heads, weights.shape[-1] // (heads * len(self.shapes)), device
        )
        size = torch.stack([width, height]).to(places.dtype)
        # What is no number would be no row of the table; its weight is still no number.
        places = torch.where(places.isnan(), 0.0, places).clamp(min=-1).minimum(size)
        corner = places.floor()
        right_share, lower_share = (places - corner).unbind(2)
        left, top = corner.int().unbind(2)  # B, M, P
        lower = weights * lower_share
        upper = weights - lower
        lower_right, upper_right = lower * right_share, upper * right_share
        head = torch.arange(heads, device=device, dtype=torch.int32).repeat_interleave(weights.shape[-1] // heads)
        window = torch.arange(self.windows, device=device, dtype=torch.int32)[:, None, None] * self._cells
        step = (line * heads).int()
        row = (top * line.int() + (left + first.int()) + window) * heads + head
        upper_line = self._sums((row, upper - upper_right), (row + heads, upper_right))
        row = row + step  # one line after the other: what is picked is large
        lower_line = self._sums((row, lower - lower_right), (row + heads, lower_right))
        out: Tensor = (upper_line + lower_line).view(self.windows, places.shape[1], heads * self.channels)
        return out

    def _sums(self, *corners: tuple[Tensor, Tensor]) -> Tensor:
        """Return the sums over corners (B * M * heads, 1, C), each given by its rows and shares (B, M, P)."""
        rows, shares = (
            torch.cat([x.unflatten(-1, (self.heads, -1)).flatten(0, 2) for x in parts], -1)
            for parts in zip(*corners, strict=True)
        )
        return shares[:, None].to(self._table.dtype).bmm(F.embedding(rows, self._table))
