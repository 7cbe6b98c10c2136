"""What all masks of a sequence hold: each value's masks, where it lies solid, where between others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import ndimage

from ovvis import masks
from ovvis.datasets.mask_image import Form, Values, read_values
from ovvis.errors import InputError

Encoding = Literal["ids", "class-id", "colours", "step"]

MOST_OBJECTS = 1000  # in one mask; more are no ids but measurements, such as depths
_NEARLY = 15  # levels of grey that JPEG moves a shade by, and less than a smoothed edge rises over three pixels
_LEAST_SIDE = 16  # pixels; in smaller masks every object is thin

Codes = list[masks.Rle | None]  # one for each mask of a sequence


@dataclass
class Found:
    """What all masks of a sequence hold."""

    size: tuple[int, int] = (0, 0)
    codes: dict[int, Codes] = field(default_factory=dict)
    area: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    between: dict[int, int] = field(
        default_factory=lambda: defaultdict(int)
    )  # pixels beside a higher and a lower value
    flat: dict[int, int] = field(default_factory=lambda: defaultdict(int))  # pixels among nearly the same
    solid: set[int] = field(default_factory=set)  # values that somewhere fill 3 x 3 pixels
    black: bool = False  # whether a pixel is 0
    dim: int = 0  # pixels of objects that nowhere come near the split

    @property
    def values(self) -> list[int]:
        """All values but 0, ascending."""
        return sorted(self.codes)


def gather(
    paths: Sequence[Path],
    form: Form,
    step: Callable[[int, tuple[int, int]], object],
    encoding: Encoding | None,
    split: int | None = None,
) -> Found:
    """Return what a sequence's masks hold.

    Args:
        paths: the mask images.
        form: how they are read.
        step: called with each mask's place and size, before it is used.
        encoding: what the values are, or None.
        split: from which value on a pixel is the object's, of masks of one object; None takes the values as they are.

    Raises:
        InputError: a mask cannot be read, has another size than the first, or holds no ids.
    """
    found = Found()
    for i, path in enumerate(paths):
        values = read_values(path, form)
        if split is not None:
            found.dim += _dim(values, 2 * split)
            values = (values >= split).astype(np.int32)
        size = (values.shape[0], values.shape[1])
        found.size = found.size if i else size
        if size != found.size:
            rule = f"is {size[0]} x {size[1]} where the first of its sequence is {found.size[0]} x {found.size[1]}"
            raise InputError(f"{path} {rule}: make them one size")
        step(i, size)
        present, area = np.unique(values, return_counts=True)
        if len(present) > MOST_OBJECTS:
            raise InputError(
                f"{path} holds {len(present):,} values, more than {MOST_OBJECTS:,}, so that it is no mask of objects "
                "but a measurement or a picture: give masks of ids"
            )
        for value, pixels in zip(present.tolist(), area.tolist(), strict=True):
            if value == 0:
                found.black = True
            else:
                found.codes.setdefault(value, [None] * len(paths))[i] = masks.encode(values == value)
                found.area[value] += pixels
        # Between two values nothing lies: most masks of one object need no study.
        if len(present) > 2 and form in (Form.GREY, Form.COLOUR) and encoding != "step" and split is None:
            _study(values, found)
    return found


def _study(values: Values, found: Found) -> None:
    """Note which values fill 3 x 3 pixels, and how many pixels of each lie between a higher and a lower one."""
    lowest, highest = ndimage.minimum_filter(values, 3), ndimage.maximum_filter(values, 3)
    found.solid.update(np.unique(values[lowest == highest]).tolist())
    between, pixels = np.unique(values[(lowest < values) & (values < highest)], return_counts=True)
    for value, count in zip(between.tolist(), pixels.tolist(), strict=True):
        found.between[value] += count
    flat, pixels = np.unique(values[highest - lowest < _NEARLY], return_counts=True)
    for value, count in zip(flat.tolist(), pixels.tolist(), strict=True):
        found.flat[value] += count


def edges_of(found: Found) -> list[int]:
    """Return the values that only lie along the edges of others."""
    if min(found.size) < _LEAST_SIDE:
        return []
    thin = [value for value in found.values if value not in found.solid]
    # Small objects are thin too, but nothing higher lies beside them.
    if len(thin) >= 8 and sum(found.between[v] for v in thin) >= 0.5 * sum(found.area[v] for v in thin):
        return thin
    return [v for v in thin if found.between[v] >= 0.6 * found.area[v]]


def _dim(values: Values, top: int) -> int:
    """Return the pixels of objects that are darker everywhere than one of a shade `top` is within its edge."""
    parts, count = ndimage.label(values > 0.1 * top)
    if not count:
        return 0
    numbers = np.arange(1, count + 1)
    brightest, area = ndimage.maximum(values, parts, numbers), ndimage.sum_labels(parts > 0, parts, numbers)
    return int(area[(brightest < 0.6 * top) & (area >= 9)].sum())
