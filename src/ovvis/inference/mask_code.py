"""A lossless short form of mask logits: enough to make the same binary masks at any larger size.

Where a cell and all its neighbours have one sign, a bilinear mean of them has that sign whatever the values are.
So the values are kept only within two cells of a change of sign, and the sign alone elsewhere.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovvis.inference.fetched import sent

_USUAL = 2  # of so many cells one is near a change of sign, or fewer; what is more takes another copy
REACH = 2  # cells; two bilinear resizes in a row mix at most three neighbouring cells


@dataclass(frozen=True, slots=True)
class MaskCode:
    """The masks of one frame."""

    shape: tuple[int, int]  # h, w
    slots: NDArray[np.int32]  # queries with a positive cell, ascending
    signs: bytes  # the signs of their cells, a bit each, compressed
    values: NDArray[np.float32]  # logits near changes of sign, query after query
    starts: NDArray[np.int64]  # where each query's values begin; one more than slots


def pack(logits: Tensor, positive: Tensor | None = None) -> MaskCode:
    """Shorten the mask logits (Q, h, w) of a frame; `positive` says which of them are, where that is known."""
    positive = logits > 0 if positive is None else positive
    slots = torch.nonzero(positive.flatten(1).any(1)).flatten()
    if len(slots) < len(logits):
        positive, logits = positive[slots], logits[slots]
    near = near_edge(positive)
    starts = np.zeros(len(slots) + 1, dtype=np.int64)
    if logits.device.type == "cpu":  # NumPy counts and picks several times faster
        starts[1:] = np.cumsum([np.count_nonzero(one) for one in near.numpy()])
        values = logits.float().numpy()[near.numpy()]
    else:
        starts[1:] = near.flatten(1).sum(1).cumsum(0).cpu().numpy()
        values = logits[near].float().cpu().numpy()
    return MaskCode(
        shape=(logits.shape[1], logits.shape[2]),
        slots=slots.cpu().numpy().astype(np.int32),
        signs=zlib.compress(np.packbits(positive.flatten(1).cpu().numpy(), axis=1).tobytes(), 1),
        values=values,
        starts=starts,
    )


class Sketch:
    """A frame's masks shortened on the device that they lie on, by steps of fixed sizes, so that nothing is waited for.

    Args:
        logits: Q, h, w; mask logits.
        positive: Q, h, w; which of them are.
    """

    def __init__(self, logits: Tensor, positive: Tensor) -> None:
        self._shape = (logits.shape[1], logits.shape[2])
        near = near_edge(positive).flatten()
        # Each value near a change of sign goes to its place among them; the others share a place behind all.
        place = torch.where(near, near.cumsum(0) - 1, near.numel())
        self._values = logits.new_zeros(near.numel() + 1, dtype=torch.float32)
        self._values.scatter_(0, place, logits.flatten().float())
        self._first = max(near.numel() // _USUAL, 1)
        self.parts = {
            "bits": pack_bits(positive.flatten(1)),
            "counts": near.view(len(logits), -1).sum(1, dtype=torch.int32),
            "values": self._values[: self._first],
        }

    def code(self, bits: Tensor, counts: Tensor, values: Tensor) -> MaskCode:
        """Return what `pack` returns, from `parts` once they are on the CPU."""
        signs, number = bits.numpy(), counts.numpy().astype(np.int64)
        slots = np.flatnonzero(signs.any(1))
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(number[slots])])
        total = int(starts[-1])
        if total > self._first:  # more than usual: the rest is asked for, and waited for
            values = torch.cat([values, self._values[self._first : total].cpu()])
        return MaskCode(
            shape=self._shape,
            slots=slots.astype(np.int32),
            signs=zlib.compress(signs[slots].tobytes(), 1),
            values=values[:total].numpy().copy(),
            starts=starts,
        )


def pack_bits(bools: Tensor) -> Tensor:
    """Return rows of bools (N, n) as bits (N, ceil(n / 8)), uint8, where they lie: the same as `np.packbits`.

    >>> pack_bits(torch.tensor([[True, False, False, False, False, False, True, True, True]]))
    tensor([[131, 128]], dtype=torch.uint8)
    """
    whole = torch.nn.functional.pad(bools.to(torch.uint8), (0, -bools.shape[1] % 8))
    bits: Tensor = (whole.unflatten(1, (-1, 8)) * _powers(bools.device)).sum(2, dtype=torch.uint8)
    return bits


def unpack_bits(bits: Tensor, count: int) -> Tensor:
    """Return the first `count` bools (N, count) of bits (N, n), where they lie: `np.unpackbits`."""
    return ((bits[..., None] & _powers(bits.device)) != 0).flatten(1)[:, :count]


@lru_cache(maxsize=8)
def _powers(device: torch.device) -> Tensor:
    """Return what the bits of a byte count; kept, as a copy to a GPU waits for it."""
    with torch.inference_mode(False):
        return torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8, device=device)


def unpack_on(code: MaskCode, wanted: NDArray[Any], device: torch.device) -> tuple[list[int], Tensor]:
    """Return what `unpack` does, on a device: the queries, and their mask logits (n, h, w)."""
    rows = np.flatnonzero(np.isin(code.slots, wanted))
    h, w = code.shape
    bits = np.frombuffer(zlib.decompress(code.signs), dtype=np.uint8).reshape(len(code.slots), -1)[rows]
    near_values = [code.values[code.starts[r] : code.starts[r + 1]] for r in rows]
    values = sent(torch.from_numpy(np.concatenate([*near_values, np.zeros(1, np.float32)])), device)
    positive = unpack_bits(sent(torch.from_numpy(bits.copy()), device), h * w).view(len(rows), h, w)
    near = near_edge(positive)
    place = (near.flatten().cumsum(0) - 1).clamp(min=0).view_as(near)
    logits = torch.where(near, values[place], positive.float() * 2 - 1)
    return [int(slot) for slot in code.slots[rows]], logits


def unpack(code: MaskCode, wanted: NDArray[Any]) -> dict[int, Tensor]:
    """Return the mask logits (h, w) of the wanted queries that have any positive cell, by query.

    The values are the original ones near changes of sign, 1 or -1 elsewhere.
    """
    rows = np.flatnonzero(np.isin(code.slots, wanted))
    if not len(rows):
        return {}
    h, w = code.shape
    bits = np.frombuffer(zlib.decompress(code.signs), dtype=np.uint8).reshape(len(code.slots), -1)[rows]
    positive = torch.from_numpy(np.unpackbits(bits, axis=1, count=h * w).view(np.bool_)).view(len(rows), h, w)
    logits = positive.float() * 2 - 1
    near = near_edge(positive)
    logits[near] = torch.from_numpy(np.concatenate([code.values[code.starts[r] : code.starts[r + 1]] for r in rows]))
    return {int(code.slots[row]): logits[i] for i, row in enumerate(rows)}


def near_edge(positive: Tensor) -> Tensor:
    """Return the cells (N, h, w) within `REACH` of a cell of the other sign, diagonals included."""
    return _grow(positive) & _grow(~positive)


def _grow(mask: Tensor) -> Tensor:
    """Dilate masks (N, h, w) by a square of `REACH` cells to each side."""
    grown = mask
    for axis in (1, 2):
        for _ in range(REACH):
            size = grown.shape[axis]
            before, after = grown.narrow(axis, 0, size - 1), grown.narrow(axis, 1, size - 1)
            wider = grown.clone()
            wider.narrow(axis, 1, size - 1).logical_or_(before)
            wider.narrow(axis, 0, size - 1).logical_or_(after)
            grown = wider
    return grown
