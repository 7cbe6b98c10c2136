"""Multi-scale deformable attention (Deformable DETR, eq. 3) in plain PyTorch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovvis.models.layers.kept import kept
from ovvis.models.layers.linear import Linear, linear

Shapes = Sequence[tuple[int, int]]
Kernel = Callable[[Tensor, Tensor, Tensor, tuple[tuple[int, int], ...], int], Tensor]
_AT_ONCE = 2**18  # numbers of the aim that are worked on together where nothing is trained: 1 MiB


class DeformableAttention(nn.Module):
    """Each token looks at a few learned points of every level.

    Three samplers compute the same sum: `BagSampler` reads whole rows of channels and is an order of magnitude faster
    on a CPU; `GridSampler` uses `grid_sample`, which accelerators have kernels for; `GatherSampler` is what goes into
    an exported graph. On a GPU a kernel may do all of it in one pass, where that was asked for (`kernels`).

    Args:
        width: width of the tokens.
        heads: number of heads; divides `width`.
        levels: number of feature levels.
        points: points for each head and level.
    """

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.compiled = False  # whether training on a CPU compiles what PyTorch has no fast kernel for
        self.kernel: Kernel | None = None  # takes the place of aim and samples on a GPU: see `kernels.use_kernels`
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

    def sampler(self, tokens: Tensor, shapes: Shapes) -> Sampler:
        """Return what `forward` samples: the values of all tokens (B, N, D), the levels one after another."""
        value = self.value(tokens).unflatten(-1, (self.heads, -1))  # B, N, heads, D / heads
        if torch.compiler.is_exporting():
            return GatherSampler(value, shapes)
        return BagSampler(value, shapes, self.compiled) if value.device.type == "cpu" else GridSampler(value, shapes)

    def forward(self, query: Tensor, reference: Tensor, sampler: Sampler, add: Tensor | None = None) -> Tensor:
        """Sample at points around each token's place.

        Args:
            query: B, M, D; tokens with their position codes: all of them, or some.
            reference: M, 2; x and y of each in [0, 1], float32.
            sampler: the values of all tokens.
            add: B, M, D; added to the result.

        Returns:
            B, M, D.
        """
        # One product for all three outputs, with x of all points before y of all points: both read faster.
        apart = [p.unflatten(0, (-1, 2)).transpose(0, 1).flatten(0, 1) for p in self.offsets.parameters()]
        weight, bias = (torch.cat(pair) for pair in zip(apart, self.weights.parameters(), strict=True))
        raw = linear(query, weight, bias)  # B, M, 3 * heads * levels * points
        if self.kernel is not None and isinstance(sampler, GridSampler) and not torch.is_grad_enabled():
            shapes = tuple(sampler.shapes)
            return self._put_out(self.kernel(sampler.value, raw, reference, shapes, self.points), add)
        few = max(_AT_ONCE // (raw.shape[0] * raw.shape[2]), 1)
        if raw.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling() or raw.shape[1] <= few:
            return self._put_out(sampler(*self.aim(raw, reference, sampler.shapes)), add)
        # A few tokens at a time: what lies between the steps stays in the processor's cache.
        parts = zip(raw.split(few, 1), reference.split(few), strict=True)
        sampled = [sampler(*self.aim(part, places, sampler.shapes)) for part, places in parts]
        return self._put_out(torch.cat(sampled, 1), add)

    def _put_out(self, sampled: Tensor, add: Tensor | None) -> Tensor:
        """Return the output (B, M, D) of what was sampled."""
        if isinstance(self.out, Linear):
            return self.out(sampled, add=add)  # type: ignore[no-any-return]
        out: Tensor = self.out(sampled)
        return out if add is None else out.add_(add)

    def aim(self, raw: Tensor, reference: Tensor, shapes: Shapes) -> tuple[Tensor, Tensor]:
        """Return where each token looks, and how much each place counts.

        Args:
            raw: B, M, 3 * heads * levels * points; offsets in x, then in y, then logits of the weights.
            reference: M, 2; as in `forward`.
            shapes: height and width of each level.

        Returns:
            places: B, M, 2, heads * levels * points; x, then y, in cells of the level; a cell's centre is whole.
            weights: B, M, heads * levels * points; of each head they add up to 1.
        """
        count = self.heads * self.levels * self.points
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))  # a place needs the digits
        offsets = raw[..., : 2 * count].unflatten(-1, (2, count))
        weights = _softmax(raw[..., 2 * count :].unflatten(-1, (self.heads, -1))).flatten(-2)
        size = _spread([(w, h) for h, w in shapes], self.heads, self.points, reference.device)  # 2, count
        return offsets.addcmul(reference[..., None], size.float()) - 0.5, weights


def _softmax(x: Tensor) -> Tensor:
    """Return the softmax of a short last axis, for which PyTorch's own takes four times as long on a CPU."""
    raised = (x - x.amax(-1, keepdim=True)).exp()
    return raised / raised.sum(-1, keepdim=True)


def _spread(rows: Sequence[tuple[int, ...]], heads: int, points: int, device: torch.device) -> Tensor:
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
            width, height, line, first = _spread(self._levels, self.heads, points, self.value.device)
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
        out: Tensor = _CornerSums.apply(self._table, row, line.int(), self.heads, self._compiled, *shares)
        return out.view(self.windows, -1, self.heads * self.channels)


class _CornerSums(torch.autograd.Function):
    """Weighted sums of table rows for the four corners of each sample.

    PyTorch's own gradient of `embedding_bag` sorts the rows of every corner and then adds them one by one. Here one
    order serves all four, and the table's gradient is a weighted sum of rows too: of the gradient's, for each row of
    the table. Each sum has a fixed order, so that a run can be repeated to the bit.
    """

    @staticmethod
    def forward(
        ctx: Any, table: Tensor, row: Tensor, line: Tensor, heads: int, compiled: bool, *shares: Tensor
    ) -> Tensor:
        """Return the sums.

        Args:
            ctx: keeps what the gradient needs.
            table: R, C.
            row: B, M, P; int32; each sample's upper left row.
            line: P; int32; how many rows further the lower corners lie.
            heads: how many rows further the right corners lie; each has its own P / heads samples.
            compiled: whether the shares' gradient is computed by a compiled loop.
            shares: four times B * M * heads, P / heads; upper left, upper right, lower left, lower right.

        Returns:
            B * M * heads, C.
        """
        ctx.save_for_backward(table, row, line, *shares)
        ctx.heads, ctx.compiled = heads, compiled
        first, *others = zip(_corners(row, line, heads), shares, strict=True)
        out = _bag_sums(table, *first)
        for rows, share in others:
            out += _bag_sums(table, rows, share)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the table and of the shares for the sums' (B * M * heads, C)."""
        table, row, line, *shares = ctx.saved_tensors
        gradient = gradient.contiguous()
        # A step to another corner stays within the level, so that the order of one corner is that of all.
        order = row.flatten().sort(stable=True).indices
        bags = (order // shares[0].shape[-1]).int()
        products = _compiled_products() if ctx.compiled else _products
        of_table, of_shares = torch.zeros_like(table), []
        for rows, share in zip(_corners(row, line, ctx.heads), shares, strict=True):
            uses = torch.bincount(rows.flatten(), minlength=len(table))
            starts = (uses.cumsum(0) - uses).int()
            ordered = share.flatten().index_select(0, order)
            of_table += F.embedding_bag(bags, gradient, starts, mode="sum", per_sample_weights=ordered)
            of_shares.append(products(table.detach(), rows, gradient))
        return of_table, None, None, None, None, *of_shares


def _corners(row: Tensor, line: Tensor, heads: int) -> Iterator[Tensor]:
    """Yield the rows of the four corners (B * M * heads, P / heads) for upper left ones (B, M, P)."""
    for upper_left in (row, row + line):
        left = upper_left.view(-1, row.shape[-1] // heads)
        yield left
        yield left + heads


def _bag_sums(table: Tensor, rows: Tensor, shares: Tensor) -> Tensor:
    """Return weighted sums of table rows (bags, C) for rows and shares (bags, n)."""
    return F.embedding_bag(rows, table, mode="sum", per_sample_weights=shares)


def _products(table: Tensor, rows: Tensor, gradient: Tensor) -> Tensor:
    """Return the products of a table's rows (R, C), those of each bag (bags, n), with the bag's gradient (bags, C)."""
    with torch.enable_grad():
        shares = torch.zeros(rows.shape, dtype=table.dtype, requires_grad=True)
        of_shares: Tensor = torch.autograd.grad(_bag_sums(table, rows, shares), shares, gradient)[0]
    return of_shares


@cache
def _compiled_products() -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return `_products` as a compiled loop: the gradient of `embedding_bag` uses no vector instructions."""

    def products(table: Tensor, rows: Tensor, gradient: Tensor) -> Tensor:
        wide = torch.promote_types(table.dtype, torch.float32)
        return (table[rows].to(wide) * gradient[:, None].to(wide)).sum(-1).to(table.dtype)

    return torch.compile(products)  # here, and not on import: PyTorch's compiler takes a second to import


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
        width, height, line, first = _spread(
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
