"""Augmentation: one geometry and one change of colour for all frames of a window, for pixels and masks alike.

A geometry is drawn first and applied after. So pixels are resized by torchvision, and masks, whose resize takes the
nearest pixel, are read only where they are seen: at the scales of large-scale jitter most of them is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import functional as v2

from ovvis.errors import InputError
from ovvis.masks import BoolArray, Rle, box, decode
from ovvis.pixels import network_size


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How a window is changed before training sees it. The defaults are those of both papers' image training."""

    resize: Literal["jitter", "short_edge"] = "jitter"  # large-scale jitter for images, a chosen short edge for video
    size: int = 1024  # pixels; side of jitter's square
    min_scale: float = 0.1  # jitter: smallest size of an image, as a share of the square it would just fit
    max_scale: float = 2.0  # jitter: largest
    crop: Literal["diagonal", "anywhere"] = "diagonal"  # of what outgrows the square; released: one number, both axes
    fill: int = 128  # in [0, 255]; the colour of the square where the image does not reach
    short_edges: tuple[int, ...] = (800,)  # pixels; one is drawn for each window
    long_edge: int = 1333  # pixels; a frame's longer edge is kept below it
    flip: float = 0.5  # probability of a left-right flip
    brightness: float = 0.0  # drawn factor lies at most this far from 1; the released option: 0.1
    contrast: float = 0.0  # likewise
    saturation: float = 0.0  # likewise
    hue: float = 0.0  # largest shift, in turns of the colour circle, at most 0.5

    def __post_init__(self) -> None:
        rules = (
            ("size", self.size >= 1, "pixels, 1 or more"),
            ("min_scale", 0 < self.min_scale <= self.max_scale, "above 0 and at most max_scale"),
            ("fill", 0 <= self.fill <= 255, "a grey value from 0 to 255"),
            ("short_edges", bool(self.short_edges) and min(self.short_edges, default=0) >= 1, "pixels, one or more"),
            ("long_edge", self.long_edge >= 1, "pixels, 1 or more"),
            ("flip", 0 <= self.flip <= 1, "a probability"),
            ("brightness", 0 <= self.brightness <= 1, "a share from 0 to 1"),
            ("contrast", 0 <= self.contrast <= 1, "a share from 0 to 1"),
            ("saturation", 0 <= self.saturation <= 1, "a share from 0 to 1"),
            ("hue", 0 <= self.hue <= 0.5, "a share of the colour circle from 0 to 0.5"),
            ("resize", self.resize in ("jitter", "short_edge"), "jitter or short_edge"),
            ("crop", self.crop in ("diagonal", "anywhere"), "diagonal or anywhere"),
        )
        for name, holds, rule in rules:
            if not holds:
                raise InputError(f"{name} is {getattr(self, name)}: it must be {rule}; change it")


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a frame goes: flipped, then resized, then cropped, then padded at the right and bottom."""

    source: tuple[int, int]  # height and width of the frame; pixels, as all that follows
    flipped: bool
    resized: tuple[int, int]
    corner: tuple[int, int]  # row and column of the crop in the resized frame
    kept: tuple[int, int]  # height and width of the crop
    canvas: tuple[int, int]  # height and width of what training sees

    def sources(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return for each row and each column of the crop the frame's nearest one."""
        maps = []
        for axis in (0, 1):
            kept = np.arange(self.corner[axis], self.corner[axis] + self.kept[axis])
            maps.append((2 * kept + 1) * self.source[axis] // (2 * self.resized[axis]))  # (i + 0.5) / scale, floored
        return maps[0], self.source[1] - 1 - maps[1] if self.flipped else maps[1]


@dataclass(frozen=True, slots=True)
class Colour:
    """A change of colour; 1, 1, 1, 0 is none."""

    brightness: float
    contrast: float
    saturation: float
    hue: float


def draw_geometry(source: tuple[int, int], config: AugmentConfig, rng: np.random.Generator) -> Geometry:
    """Draw where a window's frames go.

    Large-scale jitter (Ghiasi et al., Simple Copy-Paste, 2021, as detectron2 has it): the frame is resized to fit
    the square times a scale drawn evenly from [min_scale, max_scale]; what outgrows the square is cropped, what does
    not reach is filled.

    Args:
        source: height and width of the frames.
        config: the ranges.
        rng: the item's own random numbers.
    """
    flipped = bool(rng.random() < config.flip)
    if config.resize == "short_edge":
        size = network_size(*source, int(rng.choice(config.short_edges)), config.long_edge)
        return Geometry(source, flipped, size, (0, 0), size, size)
    fit = rng.uniform(config.min_scale, config.max_scale) * min(config.size / source[0], config.size / source[1])
    resized = max(round(source[0] * fit), 1), max(round(source[1] * fit), 1)
    share = rng.random(2) if config.crop == "anywhere" else np.repeat(rng.random(), 2)
    top, left = (round(max(edge - config.size, 0) * x) for edge, x in zip(resized, share, strict=True))
    kept = min(resized[0], config.size), min(resized[1], config.size)
    return Geometry(source, flipped, resized, (top, left), kept, (config.size, config.size))


def draw_again(geometry: Geometry, config: AugmentConfig, rng: np.random.Generator) -> Geometry:
    """Draw another scale and crop under the same flip: how an image moves in a window of several frames."""
    if config.resize == "short_edge":
        return geometry  # frames of other sizes make no window
    return replace(draw_geometry(geometry.source, config, rng), flipped=geometry.flipped)


def draw_colour(config: AugmentConfig, rng: np.random.Generator) -> Colour:
    """Draw a change of colour."""
    amounts = (config.brightness, config.contrast, config.saturation)
    brightness, contrast, saturation = (float(rng.uniform(1 - amount, 1 + amount)) for amount in amounts)
    return Colour(brightness, contrast, saturation, float(rng.uniform(-config.hue, config.hue)))


def place_pixels(frames: torch.Tensor, geometry: Geometry, colour: Colour, fill: int) -> torch.Tensor:
    """Return frames as training sees them.

    Args:
        frames: uint8 (T, 3, H, W); fastest where channels are last in memory.
        geometry: where they go.
        colour: how their colours change.
        fill: grey value of the padding, which no change of colour touches.

    Returns:
        uint8 (T, 3, *canvas), channels last in memory.
    """
    (top, left), (height, width) = geometry.corner, geometry.kept
    if geometry.flipped:
        frames = v2.horizontal_flip(frames)
    # Antialiased, this is Pillow's bilinear filter (the released code's) within a grey level, and ten times faster.
    frames = v2.resize(frames, list(geometry.resized), antialias=True)[..., top : top + height, left : left + width]
    if colour.brightness != 1:
        frames = v2.adjust_brightness(frames, colour.brightness)
    if colour.contrast != 1:
        frames = v2.adjust_contrast(frames, colour.contrast)
    if colour.saturation != 1:
        frames = v2.adjust_saturation(frames, colour.saturation)
    if colour.hue:
        frames = v2.adjust_hue(frames, colour.hue)
    canvas = torch.empty(
        (len(frames), 3, *geometry.canvas), dtype=torch.uint8, memory_format=torch.channels_last
    ).fill_(fill)
    canvas[..., :height, :width] = frames
    return canvas


@dataclass(frozen=True, slots=True)
class Patch:
    """What is seen of a mask on the canvas."""

    top: int
    left: int
    mask: BoolArray  # h, w; a pixel or more is true


def place_masks(rles: Sequence[Rle | None], geometry: Geometry) -> list[Patch | None]:
    """Return what training sees of one frame's masks (N); None where nothing is seen.

    Args:
        rles: N; the masks at the frame's size; None where nothing is seen.
        geometry: where the frame goes.
    """
    all_rows, all_columns = geometry.sources()
    return [None if rle is None else _patch(rle, all_rows, all_columns) for rle in rles]


def _patch(rle: Rle, all_rows: NDArray[np.int64], all_columns: NDArray[np.int64]) -> Patch | None:
    x, y, w, h = (int(v) for v in box(rle))
    seen_rows = np.flatnonzero((all_rows >= y) & (all_rows < y + h))
    seen_columns = np.flatnonzero((all_columns >= x) & (all_columns < x + w))
    if not len(seen_rows) or not len(seen_columns):
        return None
    mask = np.ascontiguousarray(decode(rle)[y : y + h, x : x + w])
    rows, columns = all_rows[seen_rows] - y, all_columns[seen_columns] - x
    # The step that leaves less goes first.
    part = mask[rows].take(columns, axis=1) if len(rows) < h else mask.take(columns, axis=1)[rows]
    return Patch(int(seen_rows[0]), int(seen_columns[0]), part) if part.any() else None
