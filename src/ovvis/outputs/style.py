"""How instances are painted over a picture: a name for what people mostly want, and what can be changed of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ovvis.errors import InputError, nearest


@dataclass(frozen=True, slots=True)
class Style:
    """What is painted of an instance.

    Raises:
        InputError: the opacity is out of range.
    """

    opacity: float = 0.45  # of the colour inside a mask, in [0, 1]; 0 leaves the picture as it is
    outlines: bool = True  # around masks
    boxes: bool = False  # around boxes
    tags: bool = True  # label, score and id

    def __post_init__(self) -> None:
        if isinstance(self.opacity, bool) or not 0 <= self.opacity <= 1:
            raise InputError(
                f"opacity {self.opacity!r} must lie in [0, 1]: 0 leaves what is inside as it is, 1 hides it"
            )


STYLES = {
    "masks": Style(),
    "outlines": Style(opacity=0),
    "fills": Style(outlines=False),
    "boxes": Style(opacity=0, outlines=False, boxes=True),
}
"""Styles by name."""


def find_style(
    style: str | Style | None = None,
    *,
    opacity: float | None = None,
    boxes: bool | None = None,
    tags: bool | None = None,
) -> Style:
    """Return a style by its name, with what is to be otherwise; None is "masks".

    Raises:
        InputError: there is no such name, or the opacity is out of range.

    >>> find_style("outlines", boxes=True)
    Style(opacity=0, outlines=True, boxes=True, tags=True)
    """
    if isinstance(style, str):
        if style not in STYLES:
            raise InputError(f"style {style!r}: {nearest(style, STYLES)}")
        style = STYLES[style]
    chosen = style or STYLES["masks"]
    opacity = chosen.opacity if opacity is None else opacity
    boxes = chosen.boxes if boxes is None else boxes
    return replace(chosen, opacity=opacity, boxes=boxes, tags=chosen.tags if tags is None else tags)
