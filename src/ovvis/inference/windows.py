"""Frames to windows: resized as the authors do, normalised, padded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ovvis.pixels import normalise, pad, padded_size
from ovvis.structures import Frame, Window

Item = TypeVar("Item")


def resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize an image (H, W, 3) as the authors' data loader does: Pillow's bilinear filter."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def make_window(frames: tuple[Frame, ...], size: tuple[int, int], mean: Tensor, std: Tensor) -> Window:
    """Return frames as a window.

    Args:
        frames: T frames.
        size: height and width to resize them to.
        mean: (3, 1, 1), of the colour channels in [0, 255].
        std: likewise.
    """
    images = np.stack([resize(frame.image, size) for frame in frames])
    pixels = torch.from_numpy(images).to(mean.device).permute(0, 3, 1, 2)  # T, 3, H, W; channels-last in memory
    return Window(normalise(pad(pixels, padded_size(size)), size, mean, std), size, frames)


def groups(items: Iterable[Item], count: int) -> Iterator[tuple[Item, ...]]:
    """Yield tuples of `count` items; the last may be shorter.

    >>> list(groups("abcde", 2))
    [('a', 'b'), ('c', 'd'), ('e',)]
    """
    source = iter(items)
    while group := tuple(islice(source, count)):
        yield group
