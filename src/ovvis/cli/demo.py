"""`ovvis demo`: the packaged video, segmented by the packaged model; nothing is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovvis.cli import segmenter as shared
from ovvis.cli.console import note
from ovvis.cli.options import Overwrite, sharing
from ovvis.cli.painting import PaintOptions
from ovvis.cli.segment import segment_into
from ovvis.files.output import OutputFolder
from ovvis.models.zoo import SMALL_MODEL
from ovvis.paths import DEMO_VIDEO
from ovvis.results.video_folder import WRITTEN, Painting
from ovvis.sources.video import open_source
from ovvis.vocabulary import Vocabulary
from ovvis.world.categories import categories

OUTPUT = "ovvis-demo"
THERE = ("elephant", "owl", "octopus", "fire truck|fire engine", "penguin", "airplane|plane")
ABSENT = ("tiger", "violin", "umbrella", "hot dog", "bicycle", "cactus")


@sharing(PaintOptions)
def demo(
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the results; ovvis-demo, ovvis-demo-2, ... if not given.", metavar="DIR"),
    ] = None,
    overwrite: Overwrite = False,
    *,
    paint: PaintOptions,
) -> None:
    """Segment the packaged video with the packaged model: nothing is fetched."""
    labels = ", ".join(sorted((*THERE, *ABSENT)))
    shared.prepare_process()
    painting = Painting(style=paint.find())
    options = shared.SegmenterOptions(model=SMALL_MODEL, weights=None, precision="auto")
    folder = OutputFolder(output or OUTPUT, WRITTEN, overwrite=overwrite, another=output is None)
    segment_into(folder, open_source(DEMO_VIDEO), Vocabulary.parse(labels), options, painting)
    note(
        f"The demo's model knows {len(categories())} kinds of illustrated objects and nothing else. Your own video: "
        'ovvis segment VIDEO --labels "dog, frisbee" (fetches a published model once)'
    )
