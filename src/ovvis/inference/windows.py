"""Frames to windows: resized as the authors do, normalised, padded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ovvis.inference.region import cut
from ovvis.pixels import SQUARE, clip_view, normalise, pad, padded_size
from ovvis.structures import Frame, Region, Window

Item = TypeVar("Item")


def resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize an image (H, W, 3) as the authors' data loader does: Pillow's bilinear filter."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def make_window(
    frames: tuple[Frame, ...],
    size: tuple[int, int],
    mean: Tensor,
    std: Tensor,
    view_side: int | None = None,
    pixel_aspect: Fraction = SQUARE,
    region: Region | None = None,
) -> Window:
    """Return frames as a window.

    Args:
        frames: T frames.
        size: height and width to resize them to.
        mean: (3, 1, 1), of the colour channels in [0, 255].
        std: likewise.
        view_side: pixels of CLIP's square views of the frames; None for none.
        pixel_aspect: width of a pixel of the frames by its height; `size` heeds it already.
        region: the part of the frames to take; None for all.
    """
    parts = [cut(frame.image, region) for frame in frames]
    images = np.stack([resize(part, size) for part in parts])
    pixels = torch.from_numpy(images).to(mean.device).permute(0, 3, 1, 2)  # T, 3, H, W; channels-last in memory
    views = None
    if view_side is not None:
        views = torch.stack([clip_view(part, view_side, pixel_aspect) for part in parts])
    return Window(normalise(pad(pixels, padded_size(size)), size, mean, std), size, frames, views, region)


def groups(items: Iterable[Item], count: int | None) -> Iterator[tuple[Item, ...]]:
    """Yield tuples of `count` items, or of all there are; the last may be shorter.

    >>> list(groups("abcde", 2))
    [('a', 'b'), ('c', 'd'), ('e',)]
    """
    source = iter(items)
    while group := tuple(islice(source, count)):
        yield group
