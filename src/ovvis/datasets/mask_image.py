"""One mask image as numbers: what form it has, and the value of each pixel in a form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ovvis.errors import InputError
from ovvis.sources.image_file import open_image

Values = NDArray[np.int32]

LOSSY = (".jpg", ".jpeg")
_SCALE = {"L;2": 85, "L;4": 17}  # Pillow stretches grey images of 2 and 4 bits to 8


class Form(Enum):
    """What the numbers of a mask are."""

    INDEX = "index"  # of a palette, or of 1 to 4 bits
    GREY = "grey"  # 8 bits
    WIDE = "wide"  # 16 or 32 bits
    COLOUR = "colour"  # red, green and blue, packed into 24 bits


@dataclass(frozen=True, slots=True)
class Look:
    """What a first look at a mask tells."""

    form: Form
    palette: bytes | None  # red, green and blue of each index, where it has one


def look(path: Path) -> Look:
    """Return the form of a mask.

    Raises:
        InputError: it cannot be read, or is of a kind whose numbers are no ids.
    """
    with open_image(path, "mask") as image:
        raw = _raw_mode(image)
        pictures = getattr(image, "n_frames", 1)
        if pictures > 1:
            raise InputError(f"{path} holds {pictures} pictures: save each as a mask of its own frame")
        if image.mode == "P":
            return Look(Form.INDEX, bytes(image.getpalette("RGB") or ()))
        if image.mode == "1" or raw in _SCALE:
            return Look(Form.INDEX, None)
        if image.mode == "L":
            return Look(Form.GREY, None)
        if image.mode.startswith("I"):
            return Look(Form.WIDE, None)
        if image.mode in ("RGB", "RGBA", "LA", "PA") and "16" not in raw:
            packed = _packed(path, image)
            grey = bool(((packed & 255) * 0x010101 == packed).all())
            return Look(Form.GREY if grey else Form.COLOUR, None)
        what = f"{image.mode} of 16 bits" if "16" in raw else image.mode
    raise InputError(f"{path} must be a palette, grey or RGB image of whole numbers, and is {what}: save it as one")


def common_form(looks: Sequence[Look]) -> Form:
    """Return the form that a sequence is read in.

    Colours, where one mask has some or the palettes disagree, so that an index is not the same object everywhere;
    else the widest.
    """
    forms = {found.form for found in looks}
    palettes = {found.palette for found in looks if found.palette}
    longest = max(palettes, key=len, default=b"")
    # Writers cut palettes behind the last index that is used.
    if Form.COLOUR in forms or any(not longest.startswith(palette) for palette in palettes):
        return Form.COLOUR
    return next(form for form in (Form.WIDE, Form.GREY, Form.INDEX) if form in forms)


def black_is_elsewhere(palette: bytes, values: Sequence[int]) -> bool:
    """Return whether a palette shows the background as another index than 0, as those of converted pictures may."""
    colours = [palette[3 * value : 3 * value + 3] for value in values]
    return palette[:3] != b"\0\0\0" and b"\0\0\0" in colours and len(set(colours)) == len(colours)


def read_values(path: Path, form: Form) -> Values:
    """Return a mask's values (H, W) in a form, upright.

    Raises:
        InputError: it cannot be read, or is partly transparent.
    """
    with open_image(path, "mask") as image:
        if form is Form.COLOUR:
            return _packed(path, image)
        scale = _SCALE.get(_raw_mode(image), 1)
        if image.mode in ("RGB", "RGBA", "LA", "PA"):  # grey in three channels
            return _packed(path, image) & 255
        values = np.asarray(ImageOps.exif_transpose(image)).astype(np.int32)
    if (values < 0).any():
        raise InputError(f"{path} holds negative numbers, which are no ids: save it with ids from 0, the background")
    return values // scale


@lru_cache(maxsize=1)
def voc_palette() -> dict[int, int]:
    """Return the index of each packed colour of PASCAL VOC's palette, which DAVIS and YouTube-VOS use too."""
    out = {}
    for index in range(256):
        channels = [sum((index >> (3 * bit + c) & 1) << (7 - bit) for bit in range(3)) for c in range(3)]
        out[channels[0] << 16 | channels[1] << 8 | channels[2]] = index
    return out


def _packed(path: Path, image: Image.Image) -> Values:
    """Return an image's colours (H, W); what is transparent is background."""
    if image.mode == "P":
        used, palette = np.unique(np.asarray(image)).tolist(), image.getpalette("RGB") or []
        if len({tuple(palette[3 * index : 3 * index + 3]) for index in used}) < len(used):
            raise InputError(
                f"{path} shows two of its indices in one colour, and its palette is not that of the other masks of its "
                "sequence, so that neither tells the objects: save all with one palette"
            )
    pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
    alpha = pixels[..., 3]
    if ((alpha > 0) & (alpha < 255)).any():
        raise InputError(f"{path} is partly transparent, so that its objects have no clear edge: save it without alpha")
    out = pixels[..., 0].astype(np.int32)
    for channel in (1, 2):
        out <<= 8
        out |= pixels[..., channel]
    out[alpha == 0] = 0
    return out


def _raw_mode(image: Image.Image) -> str:
    """Return how the file itself keeps its pixels, as Pillow calls it."""
    tile = getattr(image, "tile", None)
    arguments = tile[0][3] if tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)
