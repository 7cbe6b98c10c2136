"""Pixels of more than 8 bits, whole: Pillow cuts colours of 16 bits to 8 in silence, libav's decoders do not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from ovvis.sources import tiff
from ovvis.sources.image_file import MAX_DEEP_BYTES, check_size, open_image, unreadable, why
from ovvis.sources.levels import Values
from ovvis.sources.source import FrameError


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as its file has it."""

    values: Values  # uint8 RGB (H, W, 3), or deeper ones; upright
    stated: tuple[float, float] | None = None  # the lowest and highest value that the file says it uses
    white_is_zero: bool = False  # of deeper ones


_ALPHA = {"ya16be": ">u2", "ya16le": "<u2"}  # grey and alpha, which PyAV gives no array for


def decode_alone(path: Path, data: bytes, codec: str) -> Values:
    """Return the pixels of one image, with libav's decoder `codec`; its size has been checked.

    Raises:
        FrameError: it cannot be decoded.
    """
    try:
        context: Any = av.CodecContext.create(codec, "r")
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
        return frame_values(frames[0])
    except (av.FFmpegError, ValueError, IndexError, MemoryError) as error:
        raise unreadable(path, why(error, path)) from error


def frame_values(frame: Any) -> Values:
    """Return a libav frame's pixels: H x W or H x W x C, in RGB."""
    kind = _ALPHA.get(frame.format.name)
    if kind is None:
        if frame.format.components[0].bits <= 8 and frame.format.name not in ("gray", "rgb24", "rgba"):
            frame = frame.reformat(format="rgba")
        return np.asarray(frame.to_ndarray())
    plane = frame.planes[0]
    rows = np.frombuffer(plane, dtype=kind).reshape(frame.height, plane.line_size // 4, 2)
    return rows[:, : frame.width].astype(np.uint16)


def page_picture(page: tiff.Page) -> Picture:
    """Return the picture of a TIFF's page.

    Raises:
        FrameError: it is damaged, too large, or of a kind that is not read.
    """
    path, bits, kind = page.path, page.bits, page.number(tiff.SAMPLE_FORMAT, tiff.UNSIGNED)
    samples, colour = page.number(tiff.SAMPLES, 1), page.number(tiff.PHOTOMETRIC, tiff.BLACK_IS_ZERO)
    check_size(path, page.number(tiff.WIDTH, 0), page.number(tiff.LENGTH, 0))
    check_size(path, page.number(tiff.TILE_WIDTH, 1), page.number(tiff.TILE_LENGTH, 1))
    grey = samples == 1 and colour in (tiff.WHITE_IS_ZERO, tiff.BLACK_IS_ZERO)
    deep = bits > 8 or (kind == tiff.SIGNED and grey)
    values: Values
    if deep and not grey:
        most = MAX_DEEP_BYTES // max(samples * bits // 8, 1)
        check_size(path, page.number(tiff.WIDTH, 0), page.number(tiff.LENGTH, 0), most)
    try:
        # Readers turn zero from white to black for some kinds of values and not for others: here it is done once.
        data = page.alone(tiff.BLACK_IS_ZERO if deep and colour == tiff.WHITE_IS_ZERO else None)
    except (OSError, ValueError, MemoryError) as error:
        raise unreadable(path, why(error, path)) from error
    if not deep:
        with open_image(path, data=data) as image:
            return Picture(to_rgb(image))
    by_libav = (kind, bits) == (tiff.UNSIGNED, 16) and samples in (1, 2, 3, 4)
    by_libav = by_libav or ((kind, bits) == (tiff.FLOAT, 32) and samples in (3, 4))
    if by_libav and not (grey and page.order == "<"):
        if colour in (tiff.WHITE_IS_ZERO, tiff.BLACK_IS_ZERO, tiff.RGB):
            values = decode_alone(path, data, "tiff")
            values = turned(values, page.number(tiff.ORIENTATION, 1))
            return Picture(values, page.stated, colour == tiff.WHITE_IS_ZERO)
    elif grey and (kind, bits) in _GREY:
        with open_image(path, data=data) as image:
            values = np.asarray(image)
        values = values.view(np.int8) if bits == 8 else values
        values = values.view(np.uint32) if (kind, bits) == (tiff.UNSIGNED, 32) else values
        values = values.astype(np.int16) if (kind, bits) == (tiff.SIGNED, 16) else values
        stated = page.stated or ((0.0, 4095.0) if bits == 12 else None)
        return Picture(values, stated, colour == tiff.WHITE_IS_ZERO)
    name = {tiff.UNSIGNED: "integer", tiff.SIGNED: "signed integer", tiff.FLOAT: "float"}.get(kind, "unknown")
    raise FrameError(
        f"{path} has {samples} channels of {bits}-bit {name} values (photometric {colour}): such TIFFs are not read;"
        " save it in grey or RGB with 8 or 16 bits, or in 32-bit float"
    )


_GREY = {(tiff.UNSIGNED, 12), (tiff.UNSIGNED, 16), (tiff.UNSIGNED, 32), (tiff.SIGNED, 8), (tiff.SIGNED, 16)}
_GREY |= {(tiff.SIGNED, 32), (tiff.FLOAT, 32)}  # one channel: what Pillow reads whole


def turned(values: Values, orientation: int) -> Values:
    """Return pixels as an EXIF orientation (1 to 8) says that they are to be seen."""
    values = values.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else values
    rows, columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return values[:: -1 if rows else 1, :: -1 if columns else 1]


def to_rgb(image: Image.Image) -> Values:
    """Return a picture of 8 bits as uint8 RGB (H, W, 3), alpha dropped; one of more in Pillow's own values."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return np.asarray(image)
    # Pillow has no direct way from these to RGB, or warns of one.
    through = {"P": "RGBA", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}.get(image.mode)
    image = image if through is None else image.convert(through)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))
