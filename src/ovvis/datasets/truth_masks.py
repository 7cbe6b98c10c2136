"""The masks of a true track, turned into run-length codes, and checked, only when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import msgspec

from ovvis import masks
from ovvis.borders import BorderedMasks, Borders, DamagedMaskError, borders
from ovvis.errors import InputError
from ovvis.fields import JsonFile
from ovvis.masks import Rle

REMEDY = "mend the file, or fetch it again"


class MaskCode(msgspec.Struct, gc=False):
    """A mask as COCO's files write it: compressed or as plain run lengths."""

    size: tuple[int | float, int | float]  # height, width
    counts: str | list[int]


Polygons = list[list[float]]
Segmentation = MaskCode | Polygons | None


class TruthMasks(BorderedMasks):
    """A track's masks (T) from what its file holds.

    The first look at one checks the run-length codes of all frames.

    Args:
        segmentations: what the file holds for each frame, or JSON that is not yet read (an image's one frame).
        size: height and width of the video's frames.
        path: the file.
        place: the annotation's place in it, such as "annotations[3]"; a number: in "annotations".

    Raises:
        InputError: on looking, a mask is damaged; the message names file, entry and frame.
    """

    __slots__ = ("_path", "_place", "_segmentations", "_sound", "size")

    def __init__(
        self, segmentations: list[Segmentation] | msgspec.Raw, size: tuple[int, int], path: Path, place: str | int
    ) -> None:
        self._segmentations = segmentations
        self.size = size
        self._path = path
        self._place = place
        self._sound = False

    def __len__(self) -> int:
        return 1 if isinstance(self._segmentations, msgspec.Raw) else len(self._segmentations)

    @overload
    def __getitem__(self, index: int) -> Rle | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[Rle | None]: ...
    def __getitem__(self, index: int | slice) -> Rle | list[Rle | None] | None:
        segmentations = self._checked()
        if isinstance(index, slice):
            return [self._code(segmentations[i], i) for i in range(len(segmentations))[index]]
        return self._code(segmentations[index], range(len(segmentations))[index])

    def __iter__(self) -> Iterator[Rle | None]:
        for i, segmentation in enumerate(self._checked()):
            yield self._code(segmentation, i)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"TruthMasks({len(self)} frames, {self._path.name}: {self._entry})"

    def borders(self) -> Borders:
        """Return where the masks change; found anew each time."""
        given = self._segmentations
        segmentations = [self._read(given)] if isinstance(given, msgspec.Raw) else given
        try:
            return borders([self._code(segmentation, i) for i, segmentation in enumerate(segmentations)])
        except DamagedMaskError as error:
            raise self._damaged(error.frame) from error

    def verify(self) -> None:
        """See that every mask can be read, without drawing one.

        Raises:
            InputError: one is damaged.
        """
        for i, segmentation in enumerate(self._checked()):
            try:
                if isinstance(segmentation, list):
                    masks.check_polygons(segmentation, self.size)
                elif segmentation and isinstance(segmentation.counts, list):
                    masks.check_runs(segmentation.counts, self.size)
            except ValueError as error:
                raise self._wrong(error, i) from error

    def present(self, index: int) -> bool:
        """Return whether the file gives a mask for a frame (it may be empty of pixels), without decoding it."""
        if isinstance(self._segmentations, msgspec.Raw):
            return bytes(self._segmentations) not in (b"null", b"[]")
        return bool(self._segmentations[index])

    def _checked(self) -> list[Segmentation]:
        """Return what the file holds, after a look at all run-length codes when it is the first time."""
        segmentations = self._segmentations
        if isinstance(segmentations, msgspec.Raw):
            return [self._read(segmentations)]
        if not self._sound:
            found = [(i, s.counts) for i, s in enumerate(segmentations) if isinstance(s, MaskCode)]
            coded = [(i, _bytes(counts)) for i, counts in found if isinstance(counts, str)]
            bad = masks.unsound([code for _, code in coded], self.size[0] * self.size[1])
            if bad is not None:
                raise self._damaged(coded[bad][0])
            self._sound = True
        return segmentations

    def _read(self, raw: msgspec.Raw) -> Segmentation:
        """Return an image's mask that was left unread until now."""
        file = JsonFile(self._path, REMEDY)
        try:
            segmentation: Segmentation = msgspec.json.decode(raw, type=Segmentation)
        except msgspec.ValidationError as error:
            raise file.misshapen(error, self._name(0)) from error
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise file.error(self._name(0), "is no mask") from error
        if isinstance(segmentation, MaskCode):
            if segmentation.size != self.size:
                raise file.error(f"{self._name(0)}.size", wrong_size(segmentation.size, self.size))
            if (
                isinstance(segmentation.counts, str)
                and masks.unsound([_bytes(segmentation.counts)], self.size[0] * self.size[1]) is not None
            ):
                raise self._damaged(0)
        return segmentation

    def _code(self, segmentation: Segmentation, frame: int) -> Rle | None:
        if not segmentation:
            return None
        try:
            if isinstance(segmentation, list):
                return masks.from_polygons(segmentation, self.size)
            if isinstance(segmentation.counts, list):
                return masks.from_runs(segmentation.counts, self.size)
        except ValueError as error:
            raise self._wrong(error, frame) from error
        return {"size": list(self.size), "counts": _bytes(segmentation.counts)}

    @property
    def _entry(self) -> str:
        return f"annotations[{self._place}]" if isinstance(self._place, int) else self._place

    def _name(self, frame: int) -> str:
        if isinstance(self._segmentations, msgspec.Raw):
            return f"{self._entry}.segmentation"
        return f"{self._entry}.segmentations[{frame}]"

    def _wrong(self, error: ValueError, frame: int) -> InputError:
        return InputError(f"{self._path}: field {self._name(frame)}: {error}: {REMEDY}")

    def _damaged(self, frame: int) -> InputError:
        height, width = self.size
        rule = f"must be the run-length code of {height} x {width} pixels, and is damaged"
        return InputError(f"{self._path}: field {self._name(frame)}.counts {rule}: {REMEDY}")


def _bytes(counts: str) -> bytes:
    """Return a code's characters; those that no code holds stay such."""
    return counts.encode("utf-8", "surrogatepass")


def wrong_size(found: Sequence[float], size: tuple[int, int]) -> str:
    """Return the rule that a mask of another size breaks."""
    return f"must be the frame's height and width, {list(size)}, not {list(found)}"
