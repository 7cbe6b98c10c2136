"""How the painted video looks: options of every verb that paints one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ovvis.cli.options import completing, grouped
from ovvis.outputs.style import STYLES, Style, find_style

_option = grouped("What is painted")


@dataclass(frozen=True, slots=True)
class PaintOptions:
    """What a person may change of the painted pictures."""

    style: Annotated[str, _option(help=f"{', '.join(STYLES)}.", autocompletion=completing(STYLES))] = "masks"
    opacity: Annotated[float | None, _option(help="Of the colour inside masks, 0 to 1; the style's.")] = None
    boxes: Annotated[bool | None, _option("--boxes/--no-boxes", help="Around each instance; the style's.")] = None
    names: Annotated[bool, _option("--names/--no-names", help="Tags with label, score and id.")] = True

    def find(self) -> Style:
        """Return the style that they make.

        Raises:
            InputError: there is no such name, or the opacity is out of range.
        """
        return find_style(self.style, opacity=self.opacity, boxes=self.boxes, tags=self.names)
