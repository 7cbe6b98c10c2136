"""The options of every verb that takes a dataset, and what a shell completes values from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from ovvis.datasets.catalog import entries


def completing(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return what gives a shell the names that begin as what is typed; where none does, it completes files."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


DatasetName = Annotated[
    str,
    typer.Argument(
        help="A name from `ovvis datasets`, or the path of your own JSON.",
        autocompletion=completing(lambda: (entry.name for entry in entries())),
    ),
]
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
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace results that are there already; they are refused otherwise.")
]
IgnoreUnused = Annotated[
    bool,
    typer.Option("--ignore-unused", help="Go on without tensors of the file that the model has not, if nothing else."),
]
Mirror = Annotated[
    str | None,
    typer.Option(
        "--mirror",
        help="A folder of weights, or the address of one, that is looked into first; OVVIS_MIRROR if not given.",
        metavar="PLACE",
    ),
]
