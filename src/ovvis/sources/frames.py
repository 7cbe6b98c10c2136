"""Frames that are image files: a folder, a glob pattern, one file; each with one picture or several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import accumulate
from pathlib import Path
from typing import final

import numpy as np

from ovvis.errors import InputError
from ovvis.sources.deep import Picture
from ovvis.sources.levels import Image8, Levels, Values, choose, colours, survey
from ovvis.sources.pictures import Pictures, look
from ovvis.sources.source import DEFAULT_FPS, FrameError, Source, Span, Stretch, WholeOnlyError
from ovvis.structures import Frame, SourceInfo

_LOOKED_AT = 8  # pictures whose values are looked at to judge the scale of a source


@final
class ImageSource(Source):
    """The pictures of image files in a given order, all of one size.

    Args:
        paths: the files.
        name: what messages call the source.
        span: which of the pictures are asked for.
        fps: frames a second; None for 24, or for the clock of the only file.
        levels: the values that become black and white, for pictures of more than 8 bits; None finds out.
        one_each: each file is one frame of a dataset: it must hold one picture, and is looked at when it is read.
        notes: what is to be said already.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        name: str,
        span: Span,
        fps: float | None,
        levels: Levels | None = None,
        one_each: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        self._span, self._levels = span, levels
        self._files = [Pictures(path, "", 1) for path in paths] if one_each else _looked_at(paths)
        self._one_each = one_each
        self._ends = list(accumulate(file.count for file in self._files))
        total, durations = self._ends[-1], self._files[0].durations if len(paths) == 1 else None
        if durations is not None and fps is not None:
            raise InputError(
                f"fps is {fps!r}: {name} has its own clock; leave fps out, or take fewer frames with every"
            )
        self._times: list[float] | None = None
        if durations is not None:
            self._times = [0.0, *accumulate(durations[:-1])]
        self._fps = fps or (DEFAULT_FPS if durations is None else total / sum(durations))
        self._wanted = self._asked_for(name, total)
        self._said = [*notes, *_left_out(self._files)]
        first = next(iter(self._read([0])))
        height, width = first.values.shape[:2]
        self.info = SourceInfo(name, height, width, self._fps / span.every, len(self._wanted))
        self.rereadable = True
        self.files = list(paths)
        self._dtype = first.values.dtype
        self._automatic = False
        self._judge(first)
        self.notes = tuple(self._said)

    def __iter__(self) -> Iterator[Frame]:
        self.problem = None
        return self._frames()

    def _only(self, index: int) -> None:
        if not 0 <= index < self._ends[-1]:
            raise FrameError(f"{self.info.name} has {self._ends[-1]} frames, and none of number {index}")
        self._wanted = [index]

    def stretches(self, size: int) -> list[Stretch]:
        """See `Source`."""
        if self._times is not None:
            raise WholeOnlyError("each picture of an animation is made of the one before")
        if self._automatic:
            raise WholeOnlyError("its scale was guessed, and is checked over all of its pictures")
        total = len(self._wanted)
        starts = range(0, total, size)
        return [Stretch(k, min(size, total - k), k + size >= total, self._wanted[k]) for k in starts]

    def stretch(self, stretch: Stretch) -> Source:
        """See `Source`."""
        part = copy(self)
        part._wanted = self._wanted[stretch.first : stretch.first + stretch.count]
        return part

    def _frames(self) -> Iterator[Frame]:
        outside, used = 0, 0
        pictures = self._read(self._wanted)
        try:
            for index in self._wanted:
                try:
                    picture = next(pictures)
                except FrameError as error:
                    if not used or len(self._files) > 1 or self._files[0].count < 2:
                        raise
                    self.problem = f"{error}; the {used} pictures before it were used"
                    return
                image = self._to_rgb(picture, index)
                if self._automatic and self._levels is not None and picture.values.dtype != np.uint8:
                    outside += _beyond(picture, self._levels)
                used += 1
                yield Frame(image, index, index / self._fps if self._times is None else self._times[index])
            cut = next((f"{file.path.name}: {file.cut}" for file in self._files if file.cut), None)
            if cut and self._wanted[-1] + self._span.every >= self._ends[-1]:
                self.problem = f"{cut}; the {used} pictures before it were used"
        finally:
            if outside:
                clipped = (
                    f"{self.info.name}: in {outside} of {used} pictures values lie outside the scale; give --levels"
                )
                self.notes = (*self._said, clipped)

    def _asked_for(self, name: str, total: int) -> Sequence[int]:
        """Return the positions of the pictures that the options leave."""
        span = self._span
        if self._times is None:
            span.check(name, self._fps, total)
            wanted: Sequence[int] = span.indices(self._fps, total)
        else:
            wanted = span.chosen(self._times)
        if not wanted:
            raise span.empty(name)
        return wanted

    def _read(self, wanted: Iterable[int]) -> Iterator[Picture]:
        """Yield pictures at ascending positions; a file is opened once."""
        rest = list(wanted)[::-1]
        start = 0
        for file, end in zip(self._files, self._ends, strict=True):
            here = []
            while rest and rest[-1] < end:
                here.append(rest.pop() - start)
            start = end
            if here:
                yield from (_only(file.path) if self._one_each else file.read(here))
            if not rest:
                return

    def _judge(self, first: Picture) -> None:
        """Settle the scale of a source whose pictures have more than 8 bits."""
        if first.values.dtype == np.uint8:
            if self._levels is not None and not self._one_each:
                raise InputError(f"{self.info.name} has 8 bits a channel: levels are for more; leave them out")
            return
        if self._levels is not None:
            return
        steps = sorted({round(k * (len(self._wanted) - 1) / (_LOOKED_AT - 1)) for k in range(_LOOKED_AT)})
        rest = [self._wanted[k] for k in steps if self._wanted[k]]  # the very first has been read
        stated = [first.stated]

        def looked_at() -> Iterator[Values]:
            if len(rest) < len(steps):
                yield first.values
            for picture in self._read(rest):
                if picture.values.dtype == self._dtype:
                    stated.append(picture.stated)
                    yield picture.values

        found = survey(looked_at())
        said = next((s for s in stated if s is not None), None)
        self._levels, note = choose(self.info.name, self._dtype, said, found)
        self._automatic = True
        if note:
            self._said.append(note)

    def _to_rgb(self, picture: Picture, index: int) -> Image8:
        expected, shape = (self.info.height, self.info.width), picture.values.shape
        if shape[:2] != expected:
            raise FrameError(
                f"{self._place(index)} is {_size(shape)} pixels: every frame must have the first one's size,"
                f" {_size(expected)}; resize it or move it away"
            )
        if picture.values.dtype != np.uint8 and (self._levels is None or picture.values.dtype != self._dtype):
            raise FrameError(
                f"{self._place(index)} has {picture.values.dtype} values where the first frame has {self._dtype}: all"
                " must be of one kind; convert them to 8 bits"
            )
        return to_8_bits(picture, self._levels)

    def _place(self, index: int) -> str:
        file, end = next((f, e) for f, e in zip(self._files, self._ends, strict=True) if index < e)
        return str(file.path) if file.count == 1 else f"picture {index - end + file.count + 1} of {file.path}"


def read_image(path: Path) -> Image8:
    """Return an image file as uint8 RGB (H, W, 3), turned as its EXIF orientation says, alpha dropped.

    Raises:
        FrameError: the file cannot be read as one picture, or has more than 8 bits and does not say its scale.
    """
    (picture,) = _only(path)
    if picture.values.dtype == np.uint8:
        return to_8_bits(picture, None)
    levels, _ = choose(str(path), picture.values.dtype, picture.stated, survey([picture.values]))
    return to_8_bits(picture, levels)


def to_8_bits(picture: Picture, levels: Levels | None) -> Image8:
    """Return a picture as uint8 RGB (H, W, 3); `levels` are needed if it has more than 8 bits."""
    values = picture.values
    if values.dtype == np.uint8 and values.ndim == 3 and values.shape[2] >= 3:
        return np.ascontiguousarray(values[..., :3])
    if values.dtype == np.uint8:
        grey = values if values.ndim == 2 else values[..., 0]
        return np.repeat(grey[..., None], 3, axis=2)
    assert levels is not None
    image = levels.apply(values)
    return 255 - image if picture.white_is_zero else image


def _only(path: Path) -> Iterator[Picture]:
    """Yield the picture of a file that must hold one."""
    held = look(path)
    if held.count != 1:
        raise FrameError(
            f"{path} holds {held.count} pictures: a frame of a dataset must hold one; save them as files of their own"
        )
    yield from held.read([0])


def _looked_at(paths: Sequence[Path]) -> list[Pictures]:
    """Look into every file; a damaged one, unless it is the first, is told when it is its turn."""
    files = []
    for path in paths:
        try:
            files.append(look(path))
        except FrameError:
            if not files:
                raise
            files.append(Pictures(path, "", 1))
    return files


def _left_out(files: Sequence[Pictures]) -> Iterator[str]:
    pages = sum(file.left_out for file in files)
    if pages:
        name = next(file.path.name for file in files if file.left_out)
        yield f"left out: {pages} pages that call themselves smaller copies or masks of others (as in {name})"


def _beyond(picture: Picture, levels: Levels) -> bool:
    values = colours(picture.values)
    return bool((values < levels.low).any() or (values > levels.high).any())


def _size(shape: Sequence[int]) -> str:
    """Return a height and width as people write sizes: width first."""
    return f"{shape[1]}x{shape[0]}"
