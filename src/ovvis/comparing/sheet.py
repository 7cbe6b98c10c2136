"""A contact sheet of the moments in which results differ most: a row each, a picture for each result, what differs."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageDraw

from ovvis.comparing.compare import Comparison
from ovvis.comparing.panels import BACKGROUND, GAP, MARK, SOFT, TEXT, Layout, Panels, Pixels, write_line

WIDEST = 1800  # pixels
LINE = 26  # pixels of a line of words
MOST = 4  # lines of what differs, a moment


def make_sheet(comparison: Comparison, panels: Panels, images: Mapping[int, Pixels | None]) -> Image.Image:
    """Return the sheet.

    Args:
        comparison: whose.
        panels: what paints its frames.
        images: by position the frames of the moments (H, W, 3; RGB); None where one is not here.
    """
    layout = Layout.of(len(comparison.sides), panels.shape, WIDEST)
    lines = [_lines(comparison, place) for place in range(len(comparison.moments))]
    width, height = layout.size
    whole = Image.new("RGB", (width, sum(height + LINE * len(one) + 2 * GAP for one in lines)), BACKGROUND)
    draw = ImageDraw.Draw(whole)
    top = 0
    for moment, said in zip(comparison.moments, lines, strict=True):
        for i, text in enumerate(said):
            fill = MARK if i == 0 else TEXT if i < MOST else SOFT
            write_line(draw, (4, top + GAP), text, width - 8, LINE, fill)
            top += LINE
        whole.paste(panels.picture(moment.position, images[moment.position], layout), (0, top + GAP))
        top += height + 2 * GAP
    return whole


def _lines(comparison: Comparison, place: int) -> list[str]:
    moment = comparison.moments[place]
    head = f"{place + 1}. frame {moment.frame}, {moment.time:.2f} s: difference {moment.value:.2f}"
    said = [one.text for one in moment.said]
    if len(said) > MOST:
        said = [*said[: MOST - 1], f"and {len(said) - MOST + 1} more"]
    return [head, *said]
