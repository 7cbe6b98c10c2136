"""How the painted video looks: options of every verb that paints one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from ovvis.cli.options import completing
from ovvis.outputs.style import STYLES, Style, find_style

PAINT = "What is painted"


@dataclass(frozen=True, slots=True)
class PaintOptions:
    """What a person may change of the painted pictures."""

    style: Annotated[
        str,
        typer.Option(
            "--style",
            help=f"{', '.join(STYLES)}.",
            autocompletion=completing(lambda: STYLES),
            rich_help_panel=PAINT,
        ),
    ] = "masks"
    opacity: Annotated[
        float | None,
        typer.Option("--opacity", help="Of the colour inside masks, 0 to 1; the style's.", rich_help_panel=PAINT),
    ] = None
    boxes: Annotated[
        bool | None,
        typer.Option("--boxes/--no-boxes", help="Around each instance; the style's.", rich_help_panel=PAINT),
    ] = None
    names: Annotated[
        bool, typer.Option("--names/--no-names", help="Tags with label, score and id.", rich_help_panel=PAINT)
    ] = True

    def find(self) -> Style:
        """Return the style that they make.

        Raises:
            InputError: there is no such name, or the opacity is out of range.
        """
        return find_style(self.style, opacity=self.opacity, boxes=self.boxes, tags=self.names)
