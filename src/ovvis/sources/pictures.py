"""The pictures of one image file: one in most, several in animated and multi-page ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageOps

from ovvis.sources import tiff
from ovvis.sources.animation import animated, significant_bits, timing
from ovvis.sources.deep import Picture, decode_alone, page_picture, to_rgb, turned
from ovvis.sources.image_file import MAX_DEEP_BYTES, check_size, open_image, unreadable, why
from ovvis.sources.levels import Values, colours

_MARKS = {b"\x89PNG": "PNG", b"GIF8": "GIF", **dict.fromkeys(tiff.MARKS, "TIFF")}


@dataclass(frozen=True, slots=True)
class Pictures:
    """What an image file holds, from its headers."""

    path: Path
    kind: str  # "PNG", "GIF", "WEBP", "AVIF", "TIFF"; "" for one that holds one picture
    count: int
    durations: tuple[float, ...] | None = None  # seconds; None where the file has no clock
    pages: tuple[tiff.Page, ...] = ()  # of a TIFF: those that are pictures of their own
    left_out: int = 0  # pages that are no pictures of their own: smaller copies, masks
    cut: str | None = None  # why there are fewer than the file announces

    def read(self, wanted: Iterable[int]) -> Iterator[Picture]:
        """Yield the pictures at ascending positions, one in memory at a time.

        Raises:
            FrameError: one cannot be read.
        """
        if self.kind == "TIFF":
            yield from (page_picture(self.pages[k]) for k in wanted)
        elif self.durations is None:
            yield from (_still(self.path) for _ in wanted)
        else:
            yield from self._animated(iter(wanted))

    def _animated(self, wanted: Iterator[int]) -> Iterator[Picture]:
        target = next(wanted, None)
        if target is None:
            return
        for k, values in enumerate(animated(self.path, self.kind)):
            if k == target:
                yield Picture(values)
                target = next(wanted, None)
                if target is None:
                    return
        raise unreadable(self.path, f"it ends before picture {target + 1} of {self.count}")


def look(path: Path) -> Pictures:
    """Return what an image file holds. Most are looked at only as far as it takes to know that they are stills.

    Raises:
        FrameError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except (OSError, ValueError) as error:
        raise unreadable(path, why(error, path)) from error
    kind = kind_of(head)
    if kind == "TIFF":
        return _tiff(path)
    found = timing(path, kind) if kind else None
    if found is None:
        return Pictures(path, "", 1)
    if not found.durations:
        raise unreadable(path, found.cut or "it holds no picture")
    return Pictures(path, kind, len(found.durations), found.durations, cut=found.cut)


def kind_of(head: bytes) -> str:
    """Return which kind of file that may hold several pictures begins with these 12 bytes; "" for none of them."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    return "AVIF" if head[4:12] in (b"ftypavis", b"ftypavif") else _MARKS.get(head[:4], "")


def _tiff(path: Path) -> Pictures:
    try:
        pages, cut = tiff.read_pages(path)
    except OSError as error:
        raise unreadable(path, why(error, path)) from error
    # A file whose every page calls itself a copy has nothing else to offer.
    chosen = [page for page in pages if page.is_picture] or pages
    if not chosen:
        raise unreadable(path, cut or "it holds no page")
    told = chosen[0].images_told
    if told > len(pages):
        raise unreadable(
            path,
            f"ImageJ wrote {told} images behind the header of {len(pages)}: save it as a TIFF with a page an image",
        )
    return Pictures(path, "TIFF", len(chosen), None, tuple(chosen), len(pages) - len(chosen), cut)


def _still(path: Path) -> Picture:
    """Return the picture of a file that holds one."""
    with open_image(path) as image:
        if image.format == "PNG" and _png_depth(path) == 16:
            check_size(path, *image.size, MAX_DEEP_BYTES // 8)
            orientation = image.getexif().get(tiff.ORIENTATION, 1)
            values = decode_alone(path, path.read_bytes(), "png")
            return Picture(turned(values, orientation), _png_stated(path, values))
        # These two are scaled to 16 bits by the file's own statement as they are read.
        stated = (0.0, 65535.0) if image.format in ("PPM", "JPEG2000") and image.mode != "F" else None
        values = to_rgb(ImageOps.exif_transpose(image))
    return Picture(values, stated)


def _png_depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(25)[24]


def _png_stated(path: Path, values: Values) -> tuple[float, float] | None:
    """Return what sBIT says of a PNG's values.

    The standard has fewer bits stretched to 16, their upper ones repeated below; many programs store them as they are.
    Values that are not stretched, and need no more bits than sBIT says, are such.
    """
    bits = significant_bits(path)
    if bits is None or not 1 <= bits < 16:
        return None
    most = 2**bits - 1
    taken = colours(values)
    highest = int(taken.max())
    if not highest:
        return None  # black in any way
    stretched = bits >= 8 and bool(((taken & (2 ** (16 - bits) - 1)) == (taken >> bits)).all())
    return (0.0, float(most)) if highest <= most and not stretched else (0.0, 65535.0)
