"""Frames to windows: resized as the authors do, normalised, padded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ovvis.structures import Frame, Window

Item = TypeVar("Item")

STRIDE = 32  # pixels; the network's coarsest


def network_size(height: int, width: int, short_edge: int | None, long_edge: int) -> tuple[int, int]:
    """Return the size a frame is resized to: its short edge to `short_edge`, its long one at most `long_edge`.

    Args:
        height: of the frame, pixels.
        width: likewise.
        short_edge: pixels; None keeps the frame's own size.
        long_edge: pixels; only asked with a short edge.

    >>> network_size(720, 1280, 480, 1333)
    (480, 853)
    >>> network_size(100, 1000, 480, 1333)
    (133, 1333)
    """
    if short_edge is None:
        return height, width
    scale = short_edge / min(height, width)
    new_height, new_width = (
        (float(short_edge), scale * width) if height < width else (scale * height, float(short_edge))
    )
    if max(new_height, new_width) > long_edge:
        shrink = long_edge / max(new_height, new_width)
        new_height, new_width = new_height * shrink, new_width * shrink
    return max(int(new_height + 0.5), 1), max(int(new_width + 0.5), 1)


def padded_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return height and width padded to multiples of the network's coarsest stride.

    >>> padded_size((480, 853))
    (480, 864)
    """
    return size[0] + -size[0] % STRIDE, size[1] + -size[1] % STRIDE


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
    pixels = (pixels.float() - mean) / std
    height, width = padded_size(size)
    return Window(F.pad(pixels, (0, width - size[1], 0, height - size[0])), size, frames)


def groups(items: Iterable[Item], count: int) -> Iterator[tuple[Item, ...]]:
    """Yield tuples of `count` items; the last may be shorter.

    >>> list(groups("abcde", 2))
    [('a', 'b'), ('c', 'd'), ('e',)]
    """
    source = iter(items)
    while group := tuple(islice(source, count)):
        yield group
