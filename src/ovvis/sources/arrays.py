"""Frames from memory: arrays of numpy, images of Pillow, tensors of PyTorch; in a list, an iterator or one alone."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from itertools import chain
from typing import Any, final

import numpy as np
from PIL import Image, ImageOps

from ovvis.errors import InputError
from ovvis.sources.deep import Picture, to_rgb
from ovvis.sources.frames import to_8_bits
from ovvis.sources.levels import Image8, Levels, Values, survey
from ovvis.sources.source import Source, Span
from ovvis.structures import Frame, SourceInfo

_END = object()  # what no iterator yields
_CHANNELS = (1, 3, 4)


@final
class ArraySource(Source):
    """Frames from memory, or from an iterator that can be read once.

    Args:
        frames: what `in_memory` returns.
        span: which of them are asked for.
        fps: frames a second.
        levels: the values that become black and white, of frames that are not uint8.
        bgr: whether the channels of arrays and tensors come as OpenCV has them.
    """

    def __init__(
        self, frames: Iterable[Any], span: Span, fps: float, levels: Levels | None = None, bgr: bool = False
    ) -> None:
        name = "array" if isinstance(frames, np.ndarray) else type(frames).__name__
        total = len(frames) if isinstance(frames, Sized) else None
        span.check(name, fps, total)
        self._frames, self._span, self._fps = frames, span, fps
        self._levels, self._bgr = levels, bgr
        self._wanted = span.indices(fps, total)
        self.rereadable = iter(frames) is not frames
        items = iter(frames)
        first = next(items, _END)
        if first is _END:
            raise InputError(f"the {name} given as source is empty: it must hold one frame or more; add frames")
        if not self._wanted:
            raise span.empty(name)
        height, width, _ = self._rgb(first, 0).shape
        # The peeked frame goes back in front of what an iterator still holds.
        self._once = None if self.rereadable else chain([first], items)
        self.info = SourceInfo(name, height, width, fps / span.every, span.count(fps, total))
        self._fresh = True

    def __iter__(self) -> Iterator[Frame]:
        if not self.rereadable and not self._fresh:
            raise InputError(f"{self.info.name} was read before: an iterator can be read once; give a list instead")
        self._fresh = False
        return self._read(iter(self._frames) if self._once is None else self._once)

    def _only(self, index: int) -> None:
        self._wanted = range(index, index + 1)

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
            image = self._rgb(item, index)
            if image.shape[:2] != expected:
                raise InputError(
                    f"frame {index} is {image.shape[1]}x{image.shape[0]} pixels: every frame must have the first one's"
                    f" size, {expected[1]}x{expected[0]}; resize it"
                )
            yield Frame(image, index, index / self._fps)
        return None

    def _ended(self, total: int) -> None:
        """Raise if the iterator ended before the first frame asked for."""
        if total <= self._wanted[0]:
            self._span.check(self.info.name, self._fps, total)
            raise self._span.empty(self.info.name)

    def _rgb(self, item: Any, index: int) -> Image8:
        """Return one frame as uint8 RGB (H, W, 3), without a copy where it is that already."""
        if isinstance(item, Image.Image):
            return self._scaled(to_rgb(ImageOps.exif_transpose(item)), index)
        image = self._scaled(_pixels(item, index), index)
        return np.ascontiguousarray(image[..., ::-1]) if self._bgr else image

    def _scaled(self, values: Values, index: int) -> Image8:
        if values.dtype != np.uint8 and self._levels is None:
            found = survey([values])
            low, high = found.low, found.high
            what = f"an array of shape {values.shape} and dtype {values.dtype}"
            raise InputError(
                f"frame {index} is {what}, with values from {low:.6g} to {high:.6g}: it must"
                " be uint8, or levels must say which values are black and white; give"
                f" levels=({low:.6g}, {high:.6g}), floats in [0, 1] levels=(0, 1)"
            )
        return to_8_bits(Picture(values), self._levels)


def in_memory(source: Any) -> Iterable[Any]:
    """Return a source that is no path as frames one after another; one image or frame is a list of one.

    Raises:
        InputError: it is nothing of the kind; says what is accepted.
    """
    if isinstance(source, Image.Image):
        count = getattr(source, "n_frames", 1)
        if count > 1:
            raise InputError(
                f"the source is an image of {count} pictures, opened: give its path, or an iterator over its pictures"
            )
        return [source]
    if isinstance(source, (bytes, bytearray, dict, set, frozenset)) or not isinstance(source, Iterable):
        raise InputError(
            f"the source is of type {type(source).__name__}: it must be a path, a glob pattern, or frames (arrays,"
            " tensors, Pillow images) in a sequence or an iterator; give one of these"
        )
    if isinstance(source, np.ndarray) or _is_tensor(source):
        shape = tuple(getattr(source, "shape", ()))
        if len(shape) == 2 or (len(shape) == 3 and _layout(shape, _is_tensor(source)) is not None):
            return [source]
        if len(shape) != 4:
            raise InputError(
                f"the source is an array of shape {shape}: it must be frames (N, H, W, 3), or one (H, W, 3); put the"
                " axes in this order, or give a list of frames"
            )
    return source


def _is_tensor(item: Any) -> bool:
    """Return whether something is a tensor of PyTorch, which is not imported for this."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(item, torch.Tensor)


def _layout(shape: tuple[int, ...], tensor: bool) -> str | None:
    """Return where the channels of three axes stand: "last", or "first" in tensors; None if nowhere, or in doubt."""
    last, first = shape[2] in _CHANNELS, tensor and shape[0] in _CHANNELS
    if last == first or min(shape) < 1:
        return None
    return "last" if last else "first"


def _pixels(item: Any, index: int) -> Values:
    """Return an array or a tensor as an array H x W or H x W x C."""
    tensor = _is_tensor(item)
    shape = tuple(item.shape) if tensor or isinstance(item, np.ndarray) else ()
    layout = _layout(shape, tensor) if len(shape) == 3 else None
    if min(shape, default=0) < 1 or not (len(shape) == 2 or layout):
        raise _no_frame(item, index, shape)
    try:
        array = np.asarray(item.detach().cpu().numpy() if tensor else item)
    except (TypeError, RuntimeError) as error:  # kinds of numbers that numpy lacks
        raise _no_frame(item, index, shape) from error
    if array.dtype.kind not in "uif":
        raise _no_frame(item, index, shape)
    return np.moveaxis(array, 0, 2) if layout == "first" else array


def _no_frame(item: Any, index: int, shape: tuple[int, ...]) -> InputError:
    kind = "a tensor" if _is_tensor(item) else "an array"
    what = f"{kind} of shape {shape} and dtype {item.dtype}" if shape else type(item).__name__
    return InputError(
        f"frame {index} is {what}: a frame must be a uint8 array (H, W, 3) in RGB, (H, W) or (H, W, 1) in grey, or"
        " (H, W, 4); a tensor of these shapes or with its channels first; or a Pillow image; convert it"
    )
