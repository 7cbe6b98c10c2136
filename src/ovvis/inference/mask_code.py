"""A lossless short form of mask logits: enough to make the same binary masks at any larger size.

Where a cell and all its neighbours have one sign, a bilinear mean of them has that sign whatever the values are.
So the values are kept only within two cells of a change of sign, and the sign alone elsewhere.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
