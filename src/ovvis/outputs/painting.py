"""Instances painted over a picture: masks, outlines, boxes and tags."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovvis.masks import BoolArray
from ovvis.outputs.style import Style, find_style
from ovvis.outputs.tags import Box, Tag, paint_tags

Image = NDArray[np.uint8]

# An id keeps its colour over the video; neighbouring ids differ most.
PALETTE = (
    "#ff3b4e", "#2ec4ff", "#ffd92f", "#3ddc5b", "#b45bff", "#ff8c1a", "#00d9c0", "#ff5fc4",
    "#4f6bff", "#b8f000", "#c98a4b", "#ffa8a0", "#00a86b", "#d6a8ff", "#e0103f", "#7fe8ff",
    "#9a9a00", "#ff3df0", "#1f8fff", "#ffc48a", "#8cffb0", "#8a4fd0", "#c8324f", "#5fae2e",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Painted:
    """One instance to paint into one image."""

    id: int
    label: str
    score: float  # in [0, 1]
    mask: BoolArray  # H, W
    hue: int | None = None  # picks the colour; None: the id does

    @property
    def tint(self) -> tuple[int, int, int]:
        """Its colour, RGB."""
        return _colour(self.id if self.hue is None else self.hue)


def colour(id: int) -> str:
    """Return the colour of an id, such as "#ff3b4e"."""
    return PALETTE[id % len(PALETTE)]


def paint(image: Image, instances: Sequence[Painted], style: Style | str | None = None) -> Image:
    """Return a copy of an image (H, W, 3; RGB) with instances painted over it, smaller ones on top.

    Each has its mask tinted and outlined in the colour of its id, and a tag such as "dog 0.87 #3", unless the style
    says otherwise.
    """
    look = find_style(style)
    height, width = image.shape[:2]
    boxes: list[Box] = []
    drawn: list[Painted] = []
    for instance in sorted(instances, key=lambda i: int(np.count_nonzero(i.mask)), reverse=True):
        if instance.mask.shape != (height, width):
            raise ValueError(f"mask of shape {instance.mask.shape} must have the image's, {(height, width)}")
        rows, columns = np.flatnonzero(instance.mask.any(1)), np.flatnonzero(instance.mask.any(0))
        if len(rows):
            boxes.append((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
            drawn.append(instance)
    if not drawn:
        return image.copy()
    painted = _paint_masks(image, drawn, boxes, look) if look.opacity or look.outlines else image.copy()
    if look.boxes:
        _paint_boxes(painted, drawn, boxes)
    return _paint_tags(painted, drawn, boxes) if look.tags else painted


def _paint_masks(image: Image, instances: list[Painted], boxes: list[Box], look: Style) -> Image:
    """Return a copy with masks tinted and outlined; without OpenCV supervision takes fifty times as long.

    A map says for each pixel what is on top there, so each pixel is mixed once.
    """
    height, width = image.shape[:2]
    line = _line(height, width) if look.outlines else 0
    fill = round(look.opacity * 256)
    top = np.zeros((height, width), dtype=np.uint16)  # 0: nothing; 2i + 1: inside instance i; 2i + 2: its outline
    keep = np.full(2 * len(instances) + 1, 256, dtype=np.uint16)  # share of the image, in 256ths
    add = np.zeros((len(keep), 3), dtype=np.uint16)
    for i, (instance, (x0, y0, x1, y1)) in enumerate(zip(instances, boxes, strict=True)):
        # One pixel around the box, so that only the image's own border can cut the mask off.
        around = slice(max(y0 - 1, 0), y1 + 1), slice(max(x0 - 1, 0), x1 + 1)
        mask = np.ascontiguousarray(instance.mask[around])
        np.copyto(top[around], 2 * i + 2, where=mask)
        np.copyto(top[around], 2 * i + 1, where=_eroded(mask, line))
        tint = np.array(instance.tint, dtype=np.uint16)
        keep[2 * i + 1 : 2 * i + 3] = 256 - fill, 0
        add[2 * i + 1], add[2 * i + 2] = tint * fill, tint * 256
    left, upper = np.min(boxes, axis=0)[:2]
    right, lower = np.max(boxes, axis=0)[2:]
    top, painted = top[upper:lower, left:right], image.copy()
    crop, kept = painted[upper:lower, left:right], keep.take(top)
    for channel in range(3):  # one at a time: three times as fast as all at once
        crop[..., channel] = (crop[..., channel] * kept + add[:, channel].take(top)) >> 8
    return painted


def _paint_boxes(painted: Image, instances: list[Painted], boxes: list[Box]) -> None:
    """Draw boxes into a picture: their lines lie within them."""
    line = _line(*painted.shape[:2])
    for instance, (x0, y0, x1, y1) in zip(instances, boxes, strict=True):
        box, tint = painted[y0:y1, x0:x1], instance.tint
        box[:line] = box[-line:] = tint
        box[:, :line] = box[:, -line:] = tint


def _eroded(mask: BoolArray, steps: int) -> BoolArray:
    """Return a mask without its outermost pixels; the crop's edge itself takes nothing away."""
    for _ in range(steps):
        wide = np.pad(mask, 1, mode="edge")
        mask = mask & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return mask


def _colour(id: int) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour(id)[1:])
    return red, green, blue


@cache
def supervision() -> Any:
    """Import supervision: slow, and it warns where OpenCV is missing, which nothing here needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import supervision

    return supervision


@lru_cache(maxsize=4)
def _line(height: int, width: int) -> int:
    """Return the width of an outline, pixels."""
    return int(supervision().calculate_optimal_line_thickness((width, height)))


@lru_cache(maxsize=4)
def _text_scale(height: int, width: int) -> float:
    return float(supervision().calculate_optimal_text_scale((width, height)))


def _paint_tags(image: Image, instances: list[Painted], boxes: list[Box]) -> Image:
    tags = [
        (one.score, Tag(one.label, f"{one.score:.2f} #{one.id}", one.tint, box))
        for one, box in zip(instances, boxes, strict=True)
    ]
    tags.sort(key=lambda pair: -pair[0])  # the best have their places first, the same ones in every frame
    return paint_tags(image, [tag for _, tag in tags], _text_scale(*image.shape[:2]))
