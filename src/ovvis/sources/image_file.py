"""The one door to image files: who opens one looks at the size that its header declares first."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ovvis.errors import OvvisError
from ovvis.file_kind import HEAD, foreign
from ovvis.sources.source import FrameError

MAX_PIXELS = 2**26
"""Pixels that an image may have (8192 x 8192): reading one costs up to 16 bytes a pixel, so 1 GiB at most."""

MAX_DEEP_BYTES = 2**28
"""Bytes of values that an image of more than 8 bits a colour may have: 44 million pixels of 16-bit RGB."""

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM", "JPEG2000", "AVIF", "QOI")
"""Pillow's names of the formats that are read. Others run a helper program (EPS), or cut values in silence (SGI)."""

_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width
_ORIENTATION, _TILE_WIDTH, _TILE_LENGTH = 0x0112, 322, 323


@contextmanager
def open_image(path: Path, what: str = "frame", data: bytes | None = None) -> Iterator[Image.Image]:
    """Open an image file: its header is read and its declared size checked, its pixels are not touched yet.

    Pixels are read where they are asked for, inside the `with` block; what goes wrong there is told like what goes
    wrong here.

    Args:
        path: the file.
        what: what messages call it, such as "mask".
        data: the file's bytes, where they have been read already.

    Raises:
        FrameError: it is missing, no image, damaged, or declares more than `MAX_PIXELS`; names it and says why.
    """
    try:
        # Pillow warns of odd metadata and large sizes; the first changes no pixel, the second is judged here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # TGA has no mark of its own: almost any damaged file could pass for one.
            formats = (*FORMATS, "TGA") if path.suffix.lower() == ".tga" else FORMATS
            with Image.open(path if data is None else BytesIO(data), formats=formats) as image:
                check_size(path, *image.size)
                _check_tiles(path, image)
                yield image
    except OvvisError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path, str(error).partition(" exceeds")[0]) from error
    except UnidentifiedImageError as error:
        raise _no_image(path, what) from error
    except Exception as error:  # damaged files make Pillow's readers raise nearly anything
        raise unreadable(path, why(error, path), what) from error


def check_size(path: Path, width: int, height: int, most: int = MAX_PIXELS) -> None:
    """Raise if an image of a declared size may not be read.

    Raises:
        FrameError: it has no pixel or more than `most`; names the file, the rule and the remedy.
    """
    if width * height > most:
        raise _too_large(path, f"{width}x{height} pixels", most)
    if width < 1 or height < 1:
        raise FrameError(f"{path} declares {width}x{height} pixels: it must have one or more; mend or remove it")


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return the height and width of an opened image, turned as its EXIF orientation says; from its header alone."""
    width, height = image.size
    # Pillow turns the size of a TIFF itself.
    if image.format != "TIFF" and image.getexif().get(_ORIENTATION) in _TURNED:
        return width, height
    return height, width


def unreadable(path: Path, reason: str, what: str = "frame") -> FrameError:
    """Return the error for a file that is no image, or a damaged one."""
    return FrameError(
        f"{path} could not be read as an image ({reason}): every {what} must be readable; mend or remove it"
    )


def _no_image(path: Path, what: str) -> FrameError:
    """Return the error for a file that no reader knows: what else it is, where its first bytes say so."""
    with path.open("rb") as file:
        kind = foreign(file.read(HEAD))
    if kind is None or kind[0].startswith("a PNG") or kind[0].startswith("a JPEG"):
        return unreadable(path, "it is damaged, or of a kind that is not read", what)
    return FrameError(f"{path} is {kind[0]}: every {what} must be an image; {kind[1]}")


def why(error: BaseException, path: Path) -> str:
    """Return the reason that an error gives, on one line and without the file's name."""
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    reason = " ".join(str(getattr(error, "strerror", None) or error).split())
    return reason.replace(repr(str(path)), "it").replace(str(path), path.name) or type(error).__name__


def _check_tiles(path: Path, image: Image.Image) -> None:
    """Raise if a TIFF's tiles are larger than an image may be: memory is asked for by the tile."""
    tags = getattr(image, "tag_v2", {})
    if _TILE_WIDTH in tags and _TILE_LENGTH in tags:
        check_size(path, int(tags[_TILE_WIDTH]), int(tags[_TILE_LENGTH]))


def _too_large(path: Path, found: str, most: int = MAX_PIXELS) -> FrameError:
    return FrameError(
        f"{path} declares {found}: an image may have {most:,} pixels at most; make it smaller, or mend it if"
        " it is damaged"
    )
