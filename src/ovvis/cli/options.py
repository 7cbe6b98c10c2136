"""The options of every verb that takes a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DatasetName = Annotated[str, typer.Argument(help="A name from `ovvis datasets`, or the path of your own JSON.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        help="Folder that the datasets lie in; without it OVVIS_DATA, else ./datasets.",
        metavar="DIR",
    ),
]
Frames = Annotated[
    Path | None,
    typer.Option(
        "--frames",
        help="Folder that the frames lie in, for your own JSON; without it JPEGImages, frames or images beside it.",
        metavar="DIR",
    ),
]
