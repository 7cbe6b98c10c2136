"""Tags beside instances: label, score and id; none leaves the picture, nor covers another where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ovvis.plain import visible

Box = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom lie outside
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Tag:
    """What one tag says, and of which box."""

    label: str
    rest: str  # score and id, which are never cut off for a long label
    colour: Colour
    box: Box


def paint_tags(image: NDArray[np.uint8], tags: Sequence[Tag], scale: float) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3; RGB) with tags painted over it; the first ones choose their places first.

    Args:
        image: the picture.
        tags: their order is that of their importance.
        scale: of the text; 1 is 26 pixels high.
    """
    height, width = image.shape[:2]
    drawn = [_drawn(_fitting(tag, width, scale), tag.colour, scale) for tag in tags]
    places = place_tags([tag.box for tag in tags], [picture.size for picture in drawn], (width, height))
    painted = Image.fromarray(image)
    for picture, place in zip(reversed(drawn), reversed(places), strict=True):  # the first lie on top
        painted.paste(picture, place, picture)
    return np.array(painted)


def place_tags(
    boxes: Sequence[Box], sizes: Sequence[tuple[int, int]], picture: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return the left upper corner of each tag, one after another.

    It is the first of some places at its box that covers no tag before it; else the nearest free place of the picture;
    else the first of all.

    Args:
        boxes: what the tags are of.
        sizes: width and height of the tags, pixels.
        picture: width and height of the picture.

    >>> place_tags([(10, 20, 40, 60), (12, 20, 50, 50)], [(20, 8), (20, 8)], (100, 80))
    [(10, 12), (30, 12)]
    """
    taken = np.zeros((0, 4), dtype=np.int64)
    places = []
    for box, (width, height) in zip(boxes, sizes, strict=True):
        most = np.maximum((picture[0] - width, picture[1] - height), 0)
        wanted = np.clip(_wanted(box, width, height), 0, most)
        free = _free(wanted, width, height, taken)
        if not free.any() and len(taken):
            wanted = np.concatenate([wanted, _everywhere(box, width, height, most)])
            free = _free(wanted, width, height, taken)
        left, top = wanted[int(free.argmax())].tolist()
        places.append((left, top))
        taken = np.concatenate([taken, [[left, top, left + width, top + height]]])
    return places


def _wanted(box: Box, width: int, height: int) -> NDArray[np.int64]:
    """Return places at a box (N, 2), the best first: above it, inside its top, below it, beside it."""
    left, top, right, bottom = box
    above, beside = top - height, right - width
    return np.array(
        [
            *[(left, above), (beside, above), (left, top), (beside, top), (left, bottom), (beside, bottom)],
            *[(left, bottom - height), (beside, bottom - height), (right, top), (left - width, top)],
        ]
    )


def _everywhere(box: Box, width: int, height: int, most: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return places all over the picture (N, 2), those nearest to a box first."""
    columns = np.arange(0, most[0] + 1, max(width // 4, 4))
    rows = np.arange(0, most[1] + 1, max(height // 2, 2))
    places = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)
    left, top, right, bottom = box
    away = np.abs(places - np.array([left + right - width, top + bottom - height]) / 2).sum(1)
    ordered: NDArray[np.int64] = places[np.argsort(away, kind="stable")]
    return ordered


def _free(places: NDArray[np.int64], width: int, height: int, taken: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return at which places (N) a tag covers none that is there."""
    left, top = places[:, :1], places[:, 1:]
    apart = (left + width <= taken[:, 0]) | (left >= taken[:, 2]) | (top + height <= taken[:, 1]) | (top >= taken[:, 3])
    return np.asarray(apart.all(1))


def _fitting(tag: Tag, width: int, scale: float) -> str:
    """Return a tag's text, its label cut where it would be wider than the picture."""
    room = width - 2 * _padding(scale)
    label = visible(" ".join(tag.label.split()))
    text = f"{label} {tag.rest}" if label else tag.rest
    while label and font(scale).getlength(text) > room:
        label = label[:-1]
        text = f"{label}… {tag.rest}" if label else tag.rest
    return text


@lru_cache(maxsize=1024)
def _drawn(text: str, colour: Colour, scale: float) -> Image.Image:
    """Return a tag (RGBA), as tall as every other."""
    letters, padding = font(scale), _padding(scale)
    above, below = letters.getmetrics()
    size = (round(letters.getlength(text)) + 2 * padding, above + below + 2 * (padding // 2))
    picture = Image.new("RGBA", size)
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), round(5 * scale), fill=colour)
    bright = np.dot(colour, (0.299, 0.587, 0.114)) >= 140
    draw.text((padding, padding // 2), text, font=letters, fill="#000000" if bright else "#ffffff")
    return picture


@lru_cache(maxsize=8)
def font(scale: float) -> ImageFont.FreeTypeFont:
    """Return DejaVu at a scale; 1 is 26 pixels high.

    It comes with supervision's matplotlib and, unlike Pillow's own, knows more than ASCII.
    """
    from matplotlib import get_data_path

    return ImageFont.truetype(
        str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), max(round(26 * scale), 10)
    )


def _padding(scale: float) -> int:
    return max(round(7 * scale), 2)
