"""The masks of a large `tracks.json`, which stay in their file: an hour of video has more than a machine has memory."""

from __future__ import annotations

import codecs
import mmap
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ovvis import masks
from ovvis.errors import InputError
from ovvis.fields import JsonFile, short
from ovvis.masks import Rle
from ovvis.structures.masks_on_demand import MasksOnDemand

LARGE = 256 << 20
"""Bytes of a file from which on its masks stay there; read whole it takes about five times as much memory."""

_TOGETHER = 64  # masks that are read at once where one is asked for after another
_LONGEST_NUMBER = 7  # signs of a code: a longer one has more than one run, and so pixels
_UNUSED = ("boxes", "areas")  # as long as the masks, and known from them


class _Code(msgspec.Struct):
    size: list[int]
    counts: str


class MasksInFile(MasksOnDemand):
    """A track's masks, each read and checked when it is asked for; the file must not be changed in place meanwhile.

    Args:
        file: the file.
        where: their place in it, for errors.
        raw: their list, as JSON.
        size: height and width that each must have, pixels.

    Raises:
        InputError: it is no list; and when a mask is asked for that is damaged.
    """

    def __init__(self, file: JsonFile, where: str, raw: msgspec.Raw, size: list[int]) -> None:
        self._file, self._where, self._raw, self._size = file, where, raw, size
        self._entries = _decoded(file, where, raw, list[msgspec.Raw])
        self._held: list[Rle | None] = []  # those that were read last, from the place `_first` on
        self._first = self._last = -1

    def __len__(self) -> int:
        return len(self._entries)

    def mask(self, place: int) -> Rle | None:
        """Return the mask at a place, in [0, T)."""
        if not self._first <= place < self._first + len(self._held):
            # Who asks for one after another is given many at once: checking them together takes a tenth of the time.
            count = _TOGETHER if place == self._last + 1 else 1
            self._first, self._held = place, self.take(range(place, min(place + count, len(self))))
        self._last = place
        return self._held[place - self._first]

    def has_pixels(self, place: int) -> bool:
        """Return whether a mask has pixels, read only where its text does not say so; not checked otherwise."""
        text = bytes(self._entries[place])
        if text == b"null":
            return False
        code = text[text.find(b'"counts"') + len(b'"counts"') :].partition(b'"')[2]
        if code.find(b'"') > _LONGEST_NUMBER:
            return True
        mask = self[place]
        return mask is not None and masks.area(mask) > 0

    def take(self, places: Sequence[int]) -> list[Rle | None]:
        """Return the masks at some places, read and checked together.

        Raises:
            InputError: one is damaged.
        """
        found: list[Rle | None] = []
        for place in places:
            where = f"{self._where}[{place}]"
            code = _decoded(self._file, where, self._entries[place], _Code | None)
            if code is not None and code.size != self._size:
                raise self._file.error(f"{where}.size", f"must be the video's, {self._size}, not {short(code.size)}")
            if code is not None and not code.counts.isascii():
                raise self._file.error(f"{where}.counts", "must be ASCII")
            found.append(None if code is None else {"size": code.size, "counts": code.counts.encode("ascii")})
        coded = [(place, mask["counts"]) for place, mask in zip(places, found, strict=True) if mask is not None]
        bad = masks.unsound([counts for _, counts in coded], self._size[0] * self._size[1])
        if bad is not None:
            rule = f"must be the run-length code of {self._size[0]} x {self._size[1]} pixels, and is damaged"
            raise self._file.error(f"{self._where}[{coded[bad][0]}].counts", rule)
        return found

    def __eq__(self, other: object) -> bool:
        if isinstance(other, MasksInFile):  # the labels of one instance have the same text; nothing is read for it
            return memoryview(self._raw) == memoryview(other._raw)
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(own == its for own, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


def is_large(path: Path) -> bool:
    """Return whether a file's masks are to stay in it."""
    try:
        return path.is_file() and path.stat().st_size >= LARGE
    except (OSError, ValueError):
        return False  # told when it is read


def root_without_masks(file: JsonFile) -> dict[str, Any]:
    """Return what a file holds, with each track's `segmentations` as they stand in it.

    Raises:
        InputError: it cannot be read or is no such JSON.
    """
    data = _mapped(file.path)
    if data is None or not data[:64].lstrip(codecs.BOM_UTF8).lstrip().startswith(b"{"):
        return file.parse_object()  # which says what is wrong
    try:
        top = file.decode(dict[str, msgspec.Raw], data)
    except InputError as error:
        if "surrogate" in str(error):  # a file's name that is no text, which Python's own reader alone can read
            return file.parse_object()
        raise
    root = {name: file.parse_bytes(raw) for name, raw in top.items() if name != "tracks"}
    if "tracks" in top:
        entries = _decoded(file, "tracks", top["tracks"], list[dict[str, msgspec.Raw]])
        root["tracks"] = [
            {
                name: raw if name == "segmentations" else file.parse_bytes(raw)
                for name, raw in entry.items()
                if name not in _UNUSED
            }
            for entry in entries
        ]
    return root


def _decoded(file: JsonFile, where: str, raw: msgspec.Raw, shape: Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise file.misshapen(error, f"$.{where}") from error


def _mapped(path: Path) -> mmap.mmap | None:
    """Return a file's bytes without reading them; None where that does not work, and reading may say why."""
    with suppress(OSError, ValueError), path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return None
