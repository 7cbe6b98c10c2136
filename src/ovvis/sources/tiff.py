"""The pages of a TIFF from their headers: what Pillow's reader of pixels does not tell, or tells too late."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_PAGES = 2**20
_MOST_BYTES = 2**24  # of one tag's values
# Tags, by the numbers of TIFF 6.0.
SUBFILE, WIDTH, LENGTH, BITS, PHOTOMETRIC, DESCRIPTION, STRIPS, ORIENTATION = 254, 256, 257, 258, 262, 270, 273, 274
SAMPLES, STRIP_BYTES, MIN_USHORT, MAX_USHORT, TILE_WIDTH, TILE_LENGTH = 277, 279, 280, 281, 322, 323
TILES, TILE_BYTES, SAMPLE_FORMAT, MIN_SAMPLE, MAX_SAMPLE = 324, 325, 339, 340, 341
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
# The kinds of values: bytes, text, whole and broken numbers. Those of 8 bytes that BigTIFF adds are for places.
_KINDS = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d"}
_BIG = {13: "I", 16: "Q", 17: "q", 18: "Q"}
_POINTERS = (330, 400, 34665, 34853, 40965)  # to what lies elsewhere in the file


@dataclass(frozen=True, slots=True)
class Page:
    """One page: where it stands in its file, and its tags as (kind, count, bytes)."""

    path: Path
    order: str  # of bytes: "<" or ">"
    tags: dict[int, tuple[int, int, bytes]]

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Return a tag's values; none where it is missing or no plain number."""
        kind, count, data = self.tags.get(tag, (0, 0, b""))
        letter = (_KINDS | _BIG).get(kind, "")
        return struct.unpack(f"{self.order}{count}{letter}", data) if len(letter) == 1 and letter != "s" else ()

    def number(self, tag: int, default: int) -> int:
        """Return a tag's first value."""
        values = self.numbers(tag)
        return int(values[0]) if values else default

    @property
    def bits(self) -> int:
        """Bits of a sample; 0 where the samples differ."""
        values = set(self.numbers(BITS)) or {1}
        return int(values.pop()) if len(values) == 1 else 0

    @property
    def is_picture(self) -> bool:
        """Whether the page is a picture of its own: no smaller copy and no mask of another page."""
        return not self.number(SUBFILE, 0) & 0b101

    @property
    def stated(self) -> tuple[float, float] | None:
        """The lowest and the highest value that the page says it uses, or None."""
        for low, high in ((MIN_SAMPLE, MAX_SAMPLE), (MIN_USHORT, MAX_USHORT)):
            least, most = min(self.numbers(low), default=0.0), max(self.numbers(high), default=0.0)
            if least < most and math.isfinite(most - least):
                return float(least), float(most)
        return None

    @property
    def images_told(self) -> int:
        """How many images ImageJ's description tells of: it writes those of a large stack behind one header."""
        found = re.match(rb"ImageJ=[^\0]*?^images=([0-9]{1,9})\s*$", self.tags.get(DESCRIPTION, (0, 0, b""))[2], re.M)
        return int(found[1]) if found else 1

    def alone(self, photometric: int | None = None) -> bytes:
        """Return a TIFF that holds this page alone, so that no reader needs to go through the file's other pages.

        Args:
            photometric: what it says of its colours; None keeps what the file says.

        Raises:
            OSError: the file cannot be read.
            ValueError: the page's parts overlap, so that they would be more than the file.
        """
        where, sizes = (TILES, TILE_BYTES) if TILES in self.tags else (STRIPS, STRIP_BYTES)
        data, offsets, lengths = bytearray(), [], []
        with self.path.open("rb") as file:
            most = self.path.stat().st_size
            for place, length in zip(self.numbers(where), self.numbers(sizes), strict=False):
                file.seek(int(place))
                piece = file.read(min(int(length), most))
                offsets.append(8 + len(data))
                lengths.append(len(piece))
                data += piece
                if len(data) > 2 * most:
                    raise ValueError("its parts overlap")
        tags = {tag: value for tag, value in self.tags.items() if tag not in _POINTERS and value[0] in _KINDS}
        if photometric is not None:
            tags[PHOTOMETRIC] = 3, 1, struct.pack(self.order + "H", photometric)
        for tag, values in ((where, offsets), (sizes, lengths)):
            tags[tag] = 4, len(values), struct.pack(f"{self.order}{len(values)}I", *values)
        return _written(self.order, bytes(data), tags)


def read_pages(path: Path) -> tuple[list[Page], str | None]:
    """Return the pages of a TIFF or BigTIFF in order, from their headers, and why there are no more if one is broken.

    Raises:
        OSError: the file cannot be read.
    """
    pages: list[Page] = []
    with path.open("rb") as file:
        try:
            for page in _pages(path, file):
                pages.append(page)  # one by one: those before a damaged one stay
        except (struct.error, ValueError, OverflowError, MemoryError) as error:
            return pages, f"the header of page {len(pages) + 1} is damaged ({error})"
    return pages, None


def _pages(path: Path, file: BinaryIO) -> Iterator[Page]:
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    place_kind, count_kind, width = ("Q", "Q", 20) if big else ("I", "H", 12)
    (place,) = struct.unpack(order + place_kind, head[8:16] if big else head[4:8])
    size = path.stat().st_size
    seen: set[int] = set()
    while place and place not in seen and len(seen) < MAX_PAGES:
        if place >= size:
            raise ValueError("it lies behind the file's end")
        seen.add(place)
        file.seek(place)
        (count,) = struct.unpack(order + count_kind, file.read(struct.calcsize(count_kind)))
        entries = file.read(min(count * width, size))
        (place,) = struct.unpack(order + place_kind, file.read(struct.calcsize(place_kind)))
        tags = {}
        for start in range(0, len(entries), width):
            tag, kind, number = struct.unpack_from(order + ("HHQ" if big else "HHI"), entries, start)
            value = entries[start + (12 if big else 8) : start + width]
            length = struct.calcsize("=" + (_KINDS | _BIG).get(kind, "")) * number
            if not 0 < length <= _MOST_BYTES:
                continue
            if length > len(value):
                (there,) = struct.unpack(order + place_kind, value)
                file.seek(there)
                value = file.read(length)
            if len(value) >= length:
                tags[tag] = kind, number, value[:length]
        yield Page(path, order, tags)


def _written(order: str, data: bytes, tags: dict[int, tuple[int, int, bytes]]) -> bytes:
    """Return a TIFF of pixel data, which begin at byte 8, and tags."""
    data += b"\0" * (len(data) % 2)
    place = 8 + len(data)
    behind = place + 2 + 12 * len(tags) + 4
    entries, far = b"", b""
    for tag, (kind, count, value) in sorted(tags.items()):
        entries += struct.pack(order + "HHI", tag, kind, count)
        if len(value) <= 4:
            entries += value.ljust(4, b"\0")
        else:
            entries += struct.pack(order + "I", behind + len(far))
            far += value + b"\0" * (len(value) % 2)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return (
        mark + struct.pack(order + "I", place) + data + struct.pack(order + "H", len(tags)) + entries + bytes(4) + far
    )
