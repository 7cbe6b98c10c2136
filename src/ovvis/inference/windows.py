"""Frames to windows: resized as the authors do, normalised, padded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ovvis.inference.region import cut
from ovvis.inference.resize_on_device import axes_in_turn, resize_exactly
from ovvis.pixels import SQUARE, clip_view, normalise, pad, padded_size
from ovvis.structures import Frame, Region, Window

Item = TypeVar("Item")


def resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize an image (H, W, 3) as the authors' data loader does: Pillow's bilinear filter."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


@dataclass(frozen=True, slots=True)
class Raw:
    """A window as it is read, before it is where the network computes."""

    frames: tuple[Frame, ...]  # T
    images: Tensor  # T, H, W, 3; uint8; resized already, or not
    size: tuple[int, int]  # height and width to be resized to
    views: Tensor | None  # T, 3, S, S; uint8: see `Window.views`
    region: Region | None


def read_window(
    frames: tuple[Frame, ...],
    size: tuple[int, int],
    view_side: int | None = None,
    pixel_aspect: Fraction = SQUARE,
    region: Region | None = None,
    *,
    resized: bool = True,
    pinned: bool = False,
) -> Raw:
    """Return frames as far as a processor prepares them.

    Args:
        frames: T frames.
        size: height and width to resize them to.
        view_side: pixels of CLIP's square views of the frames; None for none.
        pixel_aspect: width of a pixel of the frames by its height; `size` heeds it already.
        region: the part of the frames to take; None for all.
        resized: whether they are resized here, by Pillow; else where the network computes, if that gives the same.
        pinned: whether they lie in memory that a CUDA device reads by itself.
    """
    parts = [cut(frame.image, region) for frame in frames]
    shapes = {(part.shape[0], part.shape[1]) for part in parts}
    later = not resized and len(shapes) == 1 and axes_in_turn(*shapes, size) is not None
    images = torch.from_numpy(np.stack(parts if later else [resize(part, size) for part in parts]))
    views = None
    if view_side is not None:
        views = torch.stack([clip_view(part, view_side, pixel_aspect) for part in parts])
    if pinned:
        images, views = images.pin_memory(), None if views is None else views.pin_memory()
    return Raw(frames, images, size, views, region)


def place_window(raw: Raw, mean: Tensor, std: Tensor) -> Window:
    """Return a window where the network computes; what lies in pinned memory is not waited for.

    Args:
        raw: what was read.
        mean: (3, 1, 1), of the colour channels in [0, 255]; where it lies, the network computes.
        std: likewise.
    """
    wait = not raw.images.is_pinned() if mean.device.type == "cuda" else True
    images, views = raw.images.to(mean.device, non_blocking=not wait), raw.views
    if views is not None and not wait:
        views = views.to(mean.device, non_blocking=True)
    if tuple(images.shape[1:3]) != raw.size:
        images = resize_exactly(images, raw.size)
    pixels = images.permute(0, 3, 1, 2)  # T, 3, H, W; channels-last in memory
    shown = normalise(pad(pixels, padded_size(raw.size)), raw.size, mean, std)
    return Window(shown, raw.size, raw.frames, views, raw.region)


def make_window(
    frames: tuple[Frame, ...],
    size: tuple[int, int],
    mean: Tensor,
    std: Tensor,
    view_side: int | None = None,
    pixel_aspect: Fraction = SQUARE,
    region: Region | None = None,
) -> Window:
    """Return frames as a window: see `read_window` and `place_window`."""
    return place_window(read_window(frames, size, view_side, pixel_aspect, region), mean, std)


def groups(items: Iterable[Item], count: int | None) -> Iterator[tuple[Item, ...]]:
    """Yield tuples of `count` items, or of all there are; the last may be shorter.

    >>> list(groups("abcde", 2))
    [('a', 'b'), ('c', 'd'), ('e',)]
    """
    source = iter(items)
    while group := tuple(islice(source, count)):
        yield group
