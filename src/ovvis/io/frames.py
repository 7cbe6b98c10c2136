"""Frames that already are images: a folder, a glob pattern, one image file, arrays in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import chain
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from ovvis.errors import InputError
from ovvis.io.image_file import open_image
from ovvis.io.source import FrameError, Source, Span
from ovvis.structures import Frame, SourceInfo

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
"""The endings, in any case, by which a file counts as a frame image."""

Image8 = NDArray[np.uint8]

_END = object()  # what no iterator yields


@final
class ImageSource(Source):
    """Image files in a given order, all of one size."""

    def __init__(self, paths: Sequence[Path], name: str, span: Span, fps: float) -> None:
        span.check(name, fps, len(paths))
        self._paths, self._span, self._fps = paths, span, fps
        self._wanted = span.indices(fps, len(paths))
        if not self._wanted:
            raise span.empty(name)
        height, width, _ = read_image(paths[0]).shape
        self.info = SourceInfo(name, height, width, fps / span.every, len(self._wanted))
        self.rereadable = True

    def __iter__(self) -> Iterator[Frame]:
        expected = (self.info.height, self.info.width)
        for index in self._wanted:
            image = read_image(self._paths[index])
            if image.shape[:2] != expected:
                raise FrameError(
                    f"{self._paths[index]} is {_size(image.shape)} pixels: every frame must have the first"
                    f" one's size, {_size(expected)}; resize it or move it away"
                )
            yield Frame(image, index, index / self._fps)


@final
class ArraySource(Source):
    """Arrays from memory, or from an iterator that can be read once."""

    def __init__(self, arrays: Iterable[Any], span: Span, fps: float) -> None:
        name = "array" if isinstance(arrays, np.ndarray) else type(arrays).__name__
        total = len(arrays) if isinstance(arrays, Sized) else None
        span.check(name, fps, total)
        self._arrays, self._span, self._fps = arrays, span, fps
        self._wanted = span.indices(fps, total)
        self.rereadable = iter(arrays) is not arrays
        items = iter(arrays)
        first = next(items, _END)
        if first is _END:
            raise InputError(f"the {name} given as source is empty: it must hold one frame or more; add frames")
        if not self._wanted:
            raise span.empty(name)
        height, width, _ = _rgb(first, 0).shape
        # The peeked frame goes back in front of what an iterator still holds.
        self._once = None if self.rereadable else chain([first], items)
        self.info = SourceInfo(name, height, width, fps / span.every, span.count(fps, total))
        self._fresh = True

    def __iter__(self) -> Iterator[Frame]:
        if not self.rereadable and not self._fresh:
            raise InputError(f"{self.info.name} was read before: an iterator can be read once; give a list instead")
        self._fresh = False
        return self._read(iter(self._arrays) if self._once is None else self._once)

    def _read(self, items: Iterator[Any]) -> Iterator[Frame]:
        expected = (self.info.height, self.info.width)
        position = 0
        for index in self._wanted:
            for skipped in range(position, index):
                if next(items, _END) is _END:
                    return self._ended(skipped)
            item = next(items, _END)
            if item is _END:
                return self._ended(index)
            position = index + 1
            image = _rgb(item, index)
            if image.shape[:2] != expected:
                raise InputError(
                    f"frame {index} is {_size(image.shape)} pixels: every frame must have the first one's"
                    f" size, {_size(expected)}; resize it"
                )
            yield Frame(image, index, index / self._fps)
        return None

    def _ended(self, total: int) -> None:
        """Raise if the iterator ended before the first frame asked for."""
        if total <= self._wanted[0]:
            self._span.check(self.info.name, self._fps, total)
            raise self._span.empty(self.info.name)


def read_image(path: Path) -> Image8:
    """Return an image file as uint8 RGB (H, W, 3), turned as its EXIF orientation says, alpha dropped.

    Raises:
        FrameError: the file cannot be read as an image; names it.
    """
    with open_image(path) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode == "I" or image.mode.startswith("I;16"):
            # Pillow's own conversion clips 16 bits at 255 instead of scaling them.
            grey = np.clip(np.asarray(image, dtype=np.int64) >> 8, 0, 255).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=2)
        if image.mode == "P":
            image = image.convert("RGBA")  # straight to RGB warns about transparent entries
        return np.array(image.convert("RGB"))


def images_in_folder(folder: Path) -> list[Path]:
    """Return a folder's frame images in natural order, hidden files left out.

    Raises:
        InputError: the folder holds none, or may not be read.
    """
    try:
        paths = [p for p in folder.iterdir() if _is_frame(p)]
    except OSError as error:
        raise InputError(
            f"{folder} could not be listed ({error.strerror}): the folder must be readable; change its permissions"
        ) from error
    if not paths:
        raise InputError(
            f"{folder} holds no images: a folder must hold frames ({', '.join(IMAGE_SUFFIXES)}); give the"
            " folder that does, or a video file"
        )
    return sorted(paths, key=natural_key)


def images_of_pattern(pattern: str) -> list[Path]:
    """Return the images that match a glob pattern in natural order, hidden files left out.

    Raises:
        InputError: nothing matches, or no image does.
    """
    path = Path(pattern)
    root = Path(path.anchor or ".")
    try:
        matches = [p for p in root.glob(str(path.relative_to(path.anchor))) if p.is_file()]
    except (ValueError, NotImplementedError, OSError) as error:
        raise InputError(
            f"{pattern} is no usable pattern ({_one_line(str(error))}); write it like frames/*.jpg"
        ) from error
    paths = [p for p in matches if _is_frame(p)]
    if not paths:
        found = f"only files that are no images, such as {matches[0].name}" if matches else "no file"
        raise InputError(
            f"{pattern} matches {found}: a pattern must match frames ({', '.join(IMAGE_SUFFIXES)}); check the"
            " folder and the ending"
        )
    return sorted(paths, key=natural_key)


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Return a sort key under which numbers in names count as numbers.

    >>> [p.name for p in sorted([Path("img10.png"), Path("img2.png")], key=natural_key)]
    ['img2.png', 'img10.png']
    """
    parts = re.split(r"([0-9]+)", str(path).casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], str(path)


def _is_frame(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _rgb(item: Any, index: int) -> Image8:
    """Return one array as uint8 RGB (H, W, 3), without a copy where it is that already."""
    array = item if isinstance(item, np.ndarray) else None
    if array is None or array.dtype != np.uint8 or not _is_image(array.shape):
        what = type(item).__name__ if array is None else f"an array of shape {array.shape} and dtype {array.dtype}"
        raise InputError(
            f"frame {index} is {what}: a frame must be a uint8 array (H, W, 3) in RGB, (H, W) or (H, W, 1) in"
            " grey, or (H, W, 4); convert it, floats in [0, 1] with (255 * x).astype('uint8')"
        )
    if array.ndim == 2:
        array = array[..., None]
    return np.ascontiguousarray(np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[..., :3])


def _is_image(shape: tuple[int, ...]) -> bool:
    return len(shape) in (2, 3) and min(shape) > 0 and (len(shape) == 2 or shape[2] in (1, 3, 4))


def _size(shape: Sequence[int]) -> str:
    """Return a height and width as people write sizes: width first."""
    return f"{shape[1]}x{shape[0]}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
