"""Weighted sums of table rows for the four corners of samples, with a gradient that is fast on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class CornerSums(torch.autograd.Function):
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
