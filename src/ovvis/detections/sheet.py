"""What was detected, by the number of its frame; masks are made when their frame is asked for."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ovvis import masks
from ovvis.errors import InputError
from ovvis.masks import Rle
from ovvis.structures import NOTHING, Detected

REMEDY = "mend it, or give what the detector wrote"
BOXES = "boxes without a mask: the whole box stands for it"
CLIPPED = "boxes that reach out of the frame, cut at its edge"
OUTSIDE = "boxes without a pixel in the frame, left out"
EMPTY = "masks without a pixel, left out"
UNSCORED = "things without a score, which count as 1"

MakeMask = Callable[[], Rle | None]


@dataclass(frozen=True, slots=True)
class Video:
    """What is known of the video that things were detected in."""

    size: tuple[int, int]  # height and width of its frames
    count: int | None = None  # its frames, where that is known for certain
    stems: Mapping[str, int] = field(default_factory=dict)  # number of a frame by its file's name without the ending


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing that was detected."""

    mask: MakeMask  # of the frame's size; None where nothing of it is in the frame
    score: float
    label: str = ""
    embedding: tuple[float, ...] | None = None


@dataclass
class Sheet:
    """Things by frame.

    Args:
        path: where they come from, for errors.
        size: height and width of the frames.
    """

    path: Path
    size: tuple[int, int]
    notes: Counter[str] = field(default_factory=Counter)  # what was left out, guessed or converted, and how often
    _things: dict[int, list[Thing]] = field(default_factory=dict)
    _width: int | None = None

    @property
    def numbers(self) -> Iterable[int]:
        """The numbers of the frames with a thing."""
        return self._things.keys()

    def add(self, where: str, frame: int, thing: Thing) -> None:
        """Take a thing.

        Args:
            where: its place in the file, for errors.
            frame: the number of its frame, as the file counts.
            thing: the thing.

        Raises:
            InputError: the score is no share, or the embedding has another width than those before.
        """
        if not 0 <= thing.score <= 1:  # nor nan
            remedy = "divide percents by 100" if 1 < thing.score <= 100 else REMEDY
            raise InputError(f"{self.path}: {where}: score {thing.score:g} must lie in [0, 1]: {remedy}")
        if (width := None if thing.embedding is None else len(thing.embedding)) is not None:
            self._width = self._width or width
            if width != self._width or not all(map(math.isfinite, thing.embedding or ())):
                raise InputError(
                    f"{self.path}: {where}: an embedding must be {self._width} finite numbers, and is not: {REMEDY}"
                )
        self._things.setdefault(frame, []).append(thing)

    def at(self, frame: int) -> Detected:
        """Return what was found in a frame.

        Raises:
            InputError: a mask is damaged or of another size.
        """
        found = [(thing, thing.mask()) for thing in self._things.get(frame, ())]
        seen = [(thing, mask) for thing, mask in found if mask is not None]
        if not seen:
            return NOTHING
        embedded = [thing.embedding for thing, _ in seen]
        embeddings = None if None in embedded else np.array(embedded, dtype=np.float32)
        labels = tuple(thing.label for thing, _ in seen)
        return Detected(
            tuple(mask for _, mask in seen),
            np.array([thing.score for thing, _ in seen]),
            labels if any(labels) else (),
            embeddings,
        )

    @property
    def embedded(self) -> bool:
        """Whether every thing has an embedding."""
        return all(thing.embedding is not None for things in self._things.values() for thing in things)

    def box(self, where: str, x: float, y: float, width: float, height: float) -> MakeMask:
        """Return what makes a mask of a box in pixels.

        Raises:
            InputError: it is no box.
        """
        ends = x + width, y + height  # of finite numbers, too, they may be none
        if not (all(map(math.isfinite, (x, y, width, height, *ends))) and width >= 0 and height >= 0):
            raise InputError(
                f"{self.path}: {where} must be x, y, width and height in pixels, and is {x:g}, {y:g}, {width:g}, "
                f"{height:g}: {REMEDY}"
            )
        self.notes[BOXES] += 1
        rows, columns = self.size
        # The pixels whose centres lie in the box.
        left, top, right, bottom = (math.ceil(v - 0.5) for v in (x, y, *ends))
        if not (left >= 0 and top >= 0 and right <= columns and bottom <= rows):
            self.notes[CLIPPED] += 1
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, columns), min(bottom, rows)
        if left >= right or top >= bottom:
            self.notes[OUTSIDE] += 1
            return _nothing

        def make() -> Rle:
            full = np.ones((bottom - top, right - left), dtype=np.bool_)
            return masks.encode_crop(full, (top, left), self.size)

        return make

    def mask(self, make: MakeMask) -> MakeMask:
        """Return what makes a mask, and leaves it out, counted, where it has no pixel."""

        def checked() -> Rle | None:
            mask = make()
            if mask is not None and masks.area(mask):
                return mask
            self.notes[EMPTY] += 1
            return None

        return checked


def _nothing() -> None:
    return None


def first_number(numbers: Iterable[int], count: int | None, first: int | None, path: Path, what: str) -> int:
    """Return the number that a file gives a video's first frame, 0 or 1.

    Args:
        numbers: of the frames in the file.
        count: frames of the video; None where nobody knows.
        first: as the user says; None finds out.
        path: the file.
        what: what counts the frames there, such as "image_id".

    Raises:
        InputError: it may be either, or the numbers are those of no video of so many frames.
    """
    held = sorted(numbers)
    if not held:
        return first or 0
    if first is not None:
        if held[0] < first:
            raise InputError(f"{path}: {what} {held[0]} lies before the first frame, {first}: give --first-frame 0")
        return first
    if held[0] < 0:
        raise InputError(f"{path}: {what} {held[0]} is no frame's number: {REMEDY}")
    if held[0] == 0:
        return 0
    if count is not None and held[-1] == count:
        return 1
    if count is not None and held[-1] > count:
        raise InputError(
            f"{path}: {what} {held[-1]} is no frame of a video of {count}: give the annotations that list the images "
            "with --annotations, or the video that the detector saw"
        )
    raise InputError(
        f"{path}: {what} goes from {held[0]} to {held[-1]}, which may count frames from 0 or from 1: say which with "
        "--first-frame 0 or --first-frame 1"
    )


def frames_of_names(names: Sequence[str], video: Video, first: int | None, path: Path) -> tuple[list[int], str]:
    """Return the number of the frame that each file's name (without its ending) speaks of, and what was guessed.

    Where all are names of the video's own frames, those; else the number that a name ends in counts the frames.

    Raises:
        InputError: a name has no number, two have the same, or it may count from 0 or from 1.
    """
    if video.stems and all(name in video.stems for name in names):
        return [video.stems[name] for name in names], ""
    found = [re.search(r"([0-9]{1,15})$", name) for name in names]
    if None in found:
        raise InputError(
            f"{path}: the name {names[found.index(None)]!r} must end in its frame's number, or be that of a frame's "
            "file: rename it"
        )
    numbers = [int(match[1]) for match in found if match]
    if len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise InputError(f"{path}: two names end in {twice}: give the detections of one video")
    base = first_number(numbers, video.count, first, path, "the number in the files' names")
    guessed = bool(base) and first is None
    said = "frames that their names count from 1, since the last is the video's number of frames" if guessed else ""
    return [number - base for number in numbers], said
