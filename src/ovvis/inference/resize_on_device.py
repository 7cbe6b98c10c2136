"""Pillow's bilinear resize where a frame lies, to the same bytes.

Frames are resized as the authors' loader does it, and a resize that differs by a level in some pixels is another input.
Pillow's arithmetic is of whole numbers (weights of 22 binary digits, bytes between both axes), so it can be repeated
exactly on any device. Which axis comes first differs with the sizes and with Pillow's version: it is found by trying.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_DIGITS = 22  # of Pillow's weights: 32, less 8 of a pixel, less 2 to spare


def resize_exactly(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return images (T, H, W, 3), uint8, at another height and width, as Pillow does it.

    Raises:
        ValueError: the Pillow that is here does it in another way (see `axes_in_turn`).
    """
    turn = axes_in_turn((images.shape[1], images.shape[2]), size)
    if turn is None:
        raise ValueError(f"resizing {tuple(images.shape[1:3])} to {size}: Pillow does it in a way that is not known")
    return _in_turn(images, size, turn)


@lru_cache(maxsize=32)
def axes_in_turn(source: tuple[int, int], size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the order of the axes that gives what the Pillow gives that is here; None where neither does."""
    drawn = np.random.default_rng(0).integers(0, 256, (*source, 3), dtype=np.uint8)
    wanted = np.asarray(Image.fromarray(drawn).resize((size[1], size[0]), Image.Resampling.BILINEAR))
    for turn in ((2, 1), (1, 2)):
        if np.array_equal(_in_turn(torch.from_numpy(drawn[None]), size, turn)[0].numpy(), wanted):
            return turn
    return None


def _in_turn(images: Tensor, size: tuple[int, int], turn: tuple[int, int]) -> Tensor:
    for axis in turn:
        if images.shape[axis] != size[axis - 1]:
            images = _along(images, axis, *_taps(images.shape[axis], size[axis - 1], images.device))
    return images


def _along(images: Tensor, axis: int, start: Tensor, weights: Tensor) -> Tensor:
    """Return images resized along an axis: each new pixel is a sum of `len(weights)` neighbours from `start` on."""
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    last = images.shape[axis] - 1
    total = None
    for i, weight in enumerate(weights):
        part = images.index_select(axis, (start + i).clamp(max=last)).int() * weight.view(shape)
        total = part if total is None else total.add_(part)
    assert total is not None
    resized: Tensor = (total.add_(1 << (_DIGITS - 1)) >> _DIGITS).clamp_(0, 255).byte()
    return resized


@lru_cache(maxsize=32)
def _taps(source: int, target: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the first neighbour of each new pixel (target), and the neighbours' weights (n, target), int32.

    Kept: a copy to a GPU waits for it.
    """
    scale = source / target
    support = max(scale, 1.0)
    starts, rows = [], []
    for pixel in range(target):
        centre = (pixel + 0.5) * scale
        first, end = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), source)
        shares = [max(1.0 - abs((x - centre + 0.5) / support), 0.0) for x in range(first, end)]
        total = sum(shares)
        rows.append([int(share / total * (1 << _DIGITS) + 0.5) for share in shares])
        starts.append(first)
    most = max(map(len, rows))
    assert most <= ceil(support) * 2 + 1
    table = [row + [0] * (most - len(row)) for row in rows]
    with torch.inference_mode(False):
        weights = torch.tensor(table, dtype=torch.int32, device=device).T.contiguous()
        return torch.tensor(starts, device=device), weights
