"""Masks carried on without any weights: each cell of the new frame asks the cells of remembered ones that look alike.

The read-out of a memory of frames, as XMem and its forerunners have it (S. W. Oh et al., ICCV 2019: affinity, the best
few, a mean of what was remembered), on the colours of small patches in place of learnt features. Of XMem's three
memories it has the one of whole frames.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ovvis import masks
from ovvis.masks import Rle
from ovvis.tracking.detected import Image

Features = Callable[[Image, tuple[int, int]], Tensor]
"""Features (C, h, w) of a picture (H, W, 3) on a grid (h, w)."""

_CELLS = 2500  # of the grid, at most
_BEST = 12  # remembered cells that are asked
_SHARP = 0.06  # of the affinities' softmax: differences of this size matter
_FAR = 0.18  # of the grid's longer edge: cells that are further away are not asked


def patch_colours(image: Image, grid: tuple[int, int]) -> Tensor:
    """Return the mean colours of each cell and of its eight neighbours, (27, h, w), in [0, 1]."""
    pixels = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None] / 255
    small = F.adaptive_avg_pool2d(pixels, grid)
    around = F.unfold(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3)
    # The cell itself counts as much as all around it.
    weight = torch.full((9,), 1 / 16).index_fill(0, torch.tensor([4]), 0.5).repeat(3).sqrt()
    return (around[0] * weight[:, None]).view(-1, *grid)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A remembered frame."""

    number: int
    features: Tensor  # h * w, C
    shares: dict[int, Tensor]  # h * w; of each cell, how much a tube covers


@dataclass
class MemoryReadout:
    """Carries masks on by a memory of frames: the last few, and each so-many-th before them.

    Args:
        features: how a picture looks.
        recent: frames of the last ones that are remembered.
        every: of those before, each so-many-th is.
        most: as many of these, at most.
    """

    features: Features = patch_colours
    recent: int = 2
    every: int = 5
    most: int = 3
    _frames: list[_Kept] = field(default_factory=list)
    _number: int = 0
    _size: tuple[int, int] = (0, 0)
    _now: Tensor | None = None

    def carry(self, image: Image) -> dict[int, Rle]:
        """Return where the remembered tubes are in the next frame; see `Propagator`."""
        self._size = (image.shape[0], image.shape[1])
        grid = _grid(self._size)
        self._now = self.features(image, grid).flatten(1).T.contiguous()
        tubes = sorted({tube for frame in self._frames for tube in frame.shares})
        if not tubes:
            return {}
        shares = self._read(self._now, grid, tubes)
        full = F.interpolate(shares.view(1, -1, *grid), self._size, mode="bilinear", align_corners=False)[0]
        # Of each pixel the tube that has most of it, where that is more than nobody has.
        most, owner = torch.cat([1 - full.sum(0, keepdim=True), full]).max(0)
        owner[most <= 0] = 0
        numbered = owner.numpy()
        return {tube: masks.encode(numbered == i) for i, tube in enumerate(tubes, 1) if (numbered == i).any()}

    def _read(self, now: Tensor, grid: tuple[int, int], tubes: list[int]) -> Tensor:
        """Return how much of each cell each tube covers now (n, h * w), as the remembered cells say."""
        best: list[Tensor] = []
        told: list[Tensor] = []
        for frame in self._frames:
            held = torch.stack([frame.shares.get(tube, torch.zeros(len(now))) for tube in tubes])  # n, h * w
            value, place = _nearest(now, frame.features, grid)
            best.append(value)
            told.append(held[:, place])
        weights = (-torch.cat(best, 1) / _SHARP**2).softmax(1)  # h * w, k
        return torch.einsum("ck,nck->nc", weights, torch.cat(told, 2))

    def remember(self, known: Mapping[int, Rle]) -> None:
        """Take what is true of the frame that was carried to last; see `Propagator`."""
        assert self._now is not None, "nothing was carried yet"
        grid = _grid(self._size)
        shares = {tube: _share(mask, grid) for tube, mask in known.items()}
        self._frames.append(_Kept(self._number, self._now, shares))
        self._number += 1
        last = self._number - self.recent
        old = [frame for frame in self._frames if frame.number < last and frame.number % self.every == 0]
        self._frames = [*old[-self.most :], *(frame for frame in self._frames if frame.number >= last)]

    def forget(self, tubes: Collection[int]) -> None:
        """Drop tubes."""
        for frame in self._frames:
            for tube in tubes:
                frame.shares.pop(tube, None)

    def reset(self) -> None:
        """Forget everything."""
        self._frames, self._number, self._now = [], 0, None


def _grid(size: tuple[int, int]) -> tuple[int, int]:
    """Return the cells of a picture: four pixels wide, or wider where they would be too many."""
    scale = max(4.0, (size[0] * size[1] / _CELLS) ** 0.5)
    return max(round(size[0] / scale), 1), max(round(size[1] / scale), 1)


def _share(mask: Rle, grid: tuple[int, int]) -> Tensor:
    drawn = torch.from_numpy(np.ascontiguousarray(masks.decode(mask))).float()
    return F.adaptive_avg_pool2d(drawn[None, None], grid).flatten()


def _nearest(now: Tensor, then: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return of each cell (h * w, C) the remembered cells (h * w, C) near it that look most alike.

    Returns:
        Their squared distances in looks, and where they are: h * w, k; a cell outside of the grid is infinitely far.
    """
    (h, w), reach = grid, _reach(grid)
    wide, side = w + 2 * reach, 2 * reach + 1
    # One more feature makes the distance a product: |a - b|^2 = |a|^2 + (|b|^2 - 2 a b). What is outside is never near.
    asked = torch.cat([-2 * now, torch.ones(len(now), 1)], 1)
    known = torch.cat([then, then.square().sum(1, keepdim=True)], 1).T.unflatten(1, grid)
    known = F.pad(known, (reach,) * 4)
    known[-1] = F.pad(known[-1, reach:-reach, reach:-reach], (reach,) * 4, value=torch.inf)
    # Row by row of the grid: its cells ask the rows within reach, of which each cell sees its own square.
    rows = known.unfold(1, side, 1).permute(1, 0, 3, 2).flatten(2)  # h, C + 1, side * wide
    seen = torch.bmm(asked.view(h, w, -1), rows).view(h, w, side, wide)
    square = seen.as_strided((h, w, side, side), (w * side * wide, side * wide + 1, wide, 1))
    value, place = square.flatten(2).flatten(0, 1).topk(min(_BEST, side * side, h * w), largest=False)
    value = (value + now.square().sum(1, keepdim=True)).clamp(min=0)
    down, across = place // side - reach, place % side - reach
    cell = torch.arange(h * w)[:, None]
    away = (cell // w + down).clamp(0, h - 1) * w + (cell % w + across).clamp(0, w - 1)
    return value, away


def _reach(grid: tuple[int, int]) -> int:
    """Return how many cells away a cell may ask."""
    return max(round(_FAR * max(grid)), 2)
