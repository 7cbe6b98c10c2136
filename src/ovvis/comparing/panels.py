"""A frame of the video once for each side, painted, with the sides' names above: a picture, or one of a video."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ovvis import masks
from ovvis.comparing.compare import Comparison
from ovvis.outputs.painting import Painted, paint
from ovvis.outputs.style import Style
from ovvis.outputs.tags import font
from ovvis.plain import visible

Pixels = NDArray[np.uint8]

BACKGROUND, TEXT, SOFT, MARK = "#14161b", "#e8eaf0", "#a2a9b8", "#ff5f6d"
PLAIN = 128  # grey of a frame that is not here
GAP = 6  # pixels between panels
_DIFFERS = Style(opacity=0, outlines=False, boxes=True, tags=False)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where panels lie in a picture of all of them."""

    panel: tuple[int, int]  # width and height of each, pixels
    columns: int
    rows: int
    head: int  # pixels of the line of names above each row

    @classmethod
    def of(cls, count: int, shape: tuple[int, int], widest: int, most_columns: int = 3) -> Layout:
        """Return how so many panels are laid out.

        Args:
            count: how many.
            shape: width and height of a frame as it is shown, pixels.
            widest: pixels that the whole may be wide.
            most_columns: panels side by side, at most.
        """
        rows = -(-count // most_columns)
        columns = -(-count // rows)
        scale = min(1.0, (widest - GAP * (columns - 1)) / (columns * shape[0]))
        panel = max(round(shape[0] * scale), 1), max(round(shape[1] * scale), 1)
        return cls(panel, columns, rows, max(round(panel[0] / 14), 20))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole, even, as video codecs want them."""
        width = self.columns * self.panel[0] + (self.columns - 1) * GAP
        height = self.rows * (self.panel[1] + self.head) + (self.rows - 1) * GAP
        return width + width % 2, height + height % 2

    def corner(self, place: int) -> tuple[int, int]:
        """Return the left upper corner of a panel's picture."""
        row, column = divmod(place, self.columns)
        return column * (self.panel[0] + GAP), row * (self.panel[1] + self.head + GAP) + self.head


@dataclass
class Panels:
    """Paints frames of a comparison.

    Args:
        comparison: whose.
        style: how instances are painted.
        boxes: whether what differs has a box around it.
    """

    comparison: Comparison
    style: Style | str | None = None
    boxes: bool = False

    def __post_init__(self) -> None:
        self._numbers = self.comparison.numbers()
        first = self.comparison.aligned.first.result
        self.size = first.height, first.width
        aspect = float(first.pixel_aspect)
        self.shape = max(round(first.width * aspect), 1), first.height
        """Width and height of a frame as it is shown, pixels."""

    def picture(self, position: int, image: Pixels | None, layout: Layout) -> Image.Image:
        """Return all panels of a frame.

        Args:
            position: the frame, among those compared.
            image: it (H, W, 3; RGB); None: it is not here, and masks are shown on grey.
            layout: where they go.
        """
        ground = np.full((*self.size, 3), PLAIN, dtype=np.uint8) if image is None else image
        whole = Image.new("RGB", layout.size, BACKGROUND)
        draw = ImageDraw.Draw(whole)
        for place, side in enumerate(self.comparison.sides):
            left, top = layout.corner(place)
            panel = Image.fromarray(self._painted(place, position, ground))
            whole.paste(panel.resize(layout.panel, Image.Resampling.BICUBIC), (left, top))
            write_line(draw, (left + 4, top - layout.head), side.name, layout.panel[0] - 8, layout.head, TEXT)
        return whole

    def _painted(self, place: int, position: int, image: Pixels) -> Pixels:
        side, numbers = self.comparison.sides[place], self._numbers[place]
        seen = {
            i: Painted(track.id, track.label, track.score, masks.decode(code), numbers[i])
            for i, track in enumerate(side.tracks)
            if (code := track.seen(position)) is not None
        }
        painted = paint(image, list(seen.values()), self.style)
        if not self.boxes:
            return painted
        differs = self._differing(place, position)
        return paint(painted, [one for i, one in seen.items() if i in differs], _DIFFERS)

    def _differing(self, place: int, position: int) -> set[int]:
        """Return which of a side's tracks differ from another side's in a frame."""
        out: set[int] = set()
        for pair in self.comparison.pairs:
            frame = pair.differences.frames[position]
            other = [one for one in frame.pairs if not (one.followed and one.same_name and one.same_object)]
            if pair.first == place:
                out |= {*frame.only_first, *(one.first for one in other)}
            if pair.second == place:
                out |= {*frame.only_second, *(one.second for one in other)}
        return out


def write_line(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, room: float, height: int, fill: str
) -> None:
    """Write a line of text, cut where it would be wider than its room, in a line of some height."""
    letters = font(0.62 * height / 26)
    shown = cut = visible(text)
    while cut and letters.getlength(shown) > room:
        cut = cut[:-1]
        shown = cut + "…"
    draw.text((place[0], place[1] + height / 2), shown, font=letters, fill=fill, anchor="lm")


def curve(values: Sequence[float], size: tuple[int, int], marks: Sequence[int]) -> Image.Image:
    """Return a strip (width and height, pixels) with the difference of each frame, 0 to 1, and the moments marked."""
    width, height = size
    strip = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(strip)
    count = len(values)
    for mark in marks:
        at = (mark + 0.5) * width / count
        draw.line([(at, 0), (at, height)], fill=MARK)
    highest = [0.0] * width
    for i, value in enumerate(values):
        for x in range(math.floor(i * width / count), max(math.ceil((i + 1) * width / count), 1)):
            highest[min(x, width - 1)] = max(highest[min(x, width - 1)], value)
    points = [(x, (height - 2) * (1 - value) + 1) for x, value in enumerate(highest)]
    draw.line(points, fill=SOFT, width=1)
    return strip
