"""Only a part of the picture goes to the network; its masks come back in the whole picture's coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ovvis.masks import BoolArray, Rle, decode, encode_columns
from ovvis.structures import Region, SourceInfo
from ovvis.structures.masks_on_demand import MasksOnDemand

_OUTSIDE = (124, 116, 104)  # about the mean colour that the networks subtract: nothing to see


@lru_cache(maxsize=8)
def _inside(region: Region) -> BoolArray:
    """Return which pixels of a polygon's box lie in it (height, width)."""
    picture = Image.new("1", (region.width, region.height))
    ImageDraw.Draw(picture).polygon([*region.polygon], fill=1)
    return np.asarray(picture, dtype=np.bool_)


def cut(image: NDArray[np.uint8], region: Region | None) -> NDArray[np.uint8]:
    """Return the part of an image (H, W, 3) that is asked for; around a polygon it is plain."""
    if region is None:
        return image
    part = image[region.top : region.top + region.height, region.left : region.left + region.width]
    if region.polygon:
        part = np.where(_inside(region)[..., None], part, np.array(_OUTSIDE, np.uint8))
    return np.ascontiguousarray(part)


def shown_size(info: SourceInfo) -> tuple[int, int]:
    """Return height and width of what the network is shown of a source's frames, pixels."""
    part = info.region
    return (info.height, info.width) if part is None else (part.height, part.width)


def placed(mask: Rle | None, region: Region | None, size: tuple[int, int]) -> Rle | None:
    """Return a mask of a part as a mask of the whole picture (height, width), or None where nothing is left of it."""
    if mask is None or region is None:
        return mask
    part = decode(mask)
    if region.polygon:
        part = part & _inside(region)
    return encode_columns(part.T, (region.top, region.left), size) if part.any() else None


class PlacedMasks(MasksOnDemand):
    """The masks of a track in the whole picture, made when they are asked for.

    Args:
        masks: those in the part.
        region: the part.
        size: height and width of the whole picture.
    """

    def __init__(self, masks: Sequence[Rle | None], region: Region, size: tuple[int, int]) -> None:
        self._masks, self._region, self._size = masks, region, size

    def __len__(self) -> int:
        return len(self._masks)

    def mask(self, place: int) -> Rle | None:
        """Return the mask at a place, in [0, T)."""
        return placed(self._masks[place], self._region, self._size)
