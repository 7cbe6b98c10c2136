"""`ovvis demo`: the packaged video, segmented by the packaged model; nothing is fetched."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from ovvis.cli.segment import segment

VIDEO = Path(str(resources.files("ovvis"))) / "demo" / "stickers.mp4"
THERE = ("elephant", "owl", "octopus", "fire truck|fire engine", "penguin", "airplane|plane")
ABSENT = ("tiger", "violin", "umbrella", "hot dog", "bicycle", "cactus")


def demo(
    output: Annotated[Path, typer.Option(help="Folder for the results.", metavar="DIR")] = Path("ovvis-demo"),
) -> None:
    """Segment the packaged video with the packaged model: nothing is fetched."""
    labels = ", ".join(sorted((*THERE, *ABSENT)))
    segment(str(VIDEO), labels, output=output, precision="auto")
