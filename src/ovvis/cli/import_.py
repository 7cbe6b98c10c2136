"""`ovvis import`: an export, perhaps corrected since, as a dataset or as tracks again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ovvis.cli.console import listing, note, out, progress, warn
from ovvis.cli.options import Overwrite, completing
from ovvis.datasets.exported import ANNOTATIONS, READ, TARGETS, Imported, read_exported, write_imported
from ovvis.outputs.read_back import UNSCORED
from ovvis.paths import user_path


def import_(
    path: Annotated[
        Path, typer.Argument(help="What `ovvis export` or an annotation tool wrote: a file or folder.", metavar="PATH")
    ],
    format: Annotated[
        str,
        typer.Option(
            "--from",
            help=f"Its format: {', '.join(READ)}.",
            metavar="FORMAT",
            autocompletion=completing(READ),
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="youtube-vis: a dataset, to score against and to train on; tracks: as `ovvis segment` writes them.",
            autocompletion=completing(TARGETS),
        ),
    ] = "youtube-vis",
    output: Annotated[
        Path | None, typer.Option(help="The folder to make; PATH-imported if not given.", metavar="DIR")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="The video: its frames are written beside the dataset, to train on.", metavar="VIDEO"),
    ] = None,
    frames: Annotated[
        Path | None, typer.Option(help="Folder of the frames, for masks whose frames lie elsewhere.", metavar="DIR")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Read a corrected export back: as a dataset to score against and to train on, or as tracks."""
    place = output or _beside(user_path(path))
    with progress("reading", "videos") as advance:
        videos = read_exported(path, format, frames)
        advance(len(videos), len(videos))
    pictures = None
    if source is not None:
        from ovvis.sources.video import open_source

        pictures = open_source(source)
    with progress("writing", "frames") as advance:
        done = write_imported(
            videos,
            place,
            to,
            source=pictures,
            overwrite=overwrite,
            advance=lambda so_far, in_all: advance(so_far, in_all),
        )
    for what, number in done.notes.items():
        (note if what == UNSCORED else warn)(f"{what}: {number:,}")
    out.print(_table(done))
    out.print(_next(done, to, source), soft_wrap=True)


def _beside(path: Path) -> Path:
    return path.absolute().with_name(f"{path.absolute().stem}-imported")


def _table(done: Imported) -> Table:
    table = listing()
    for name in ("videos", "frames", "tracks", "labels"):
        table.add_column(name, justify="right")
    table.add_column("written", overflow="fold")
    numbers = (done.videos, done.frames, done.tracks, len(done.labels))
    table.add_row(*(f"{number:,}" for number in numbers), escape(str(done.path)))
    return table


def _next(done: Imported, to: str, source: str | None) -> str:
    if to == "tracks":
        return f"Score them: ovvis evaluate DATASET {escape(shlex.quote(str(done.path)))}"
    place = escape(shlex.quote(str(done.path / ANNOTATIONS)))
    frames = "" if source else " --frames FOLDER (the folder of the frames)"
    train = f"ovvis train finetune-own --data {place}{frames}"
    return f"Score results against it: ovvis evaluate {place} RESULTS\nTrain on it: {train}"
