"""`ovvis export`: saved results in the formats that other programs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ovvis.cli.console import count, listing, out, progress, warn
from ovvis.cli.options import Overwrite, completing
from ovvis.errors import InputError
from ovvis.outputs.export import Exported, default_place, open_result
from ovvis.outputs.export import export as export_result
from ovvis.outputs.formats.table import FORMATS, Format, find_format
from ovvis.paths import user_path
from ovvis.structures import VideoResult
from ovvis.vocabulary import Vocabulary


def export(
    result: Annotated[
        str | None,
        typer.Argument(help="A folder that `ovvis segment` wrote, or its tracks.json.", metavar="RESULT"),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="The format; --list names them. Several: coco,csv.",
            metavar="FORMAT",
            autocompletion=completing(FORMATS),
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The file or folder to write; RESULT-FORMAT if not given.", metavar="PATH")
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(help="Leave tracks below it out; 0.3 if not given, and 0 for results that scorers read."),
    ] = None,
    labels: Annotated[str | None, typer.Option(help="These labels alone, as `ovvis segment` takes them.")] = None,
    best: Annotated[
        bool | None,
        typer.Option(
            "--best/--all-labels",
            help="Each instance once, under its best label, or under every label that scores enough. --best if not "
            "given, but for results that scorers read.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="The video that was segmented: its frames go in. Crops and cut-outs need it.", metavar="VIDEO"
        ),
    ] = None,
    overwrite: Overwrite = False,
    listed: Annotated[bool, typer.Option("--list", help="List the formats and leave.")] = False,
) -> None:
    """Take results away: PNG masks, COCO, YouTube-VIS, MOTS, CSV, YOLO, CVAT, cut-outs and more.

    What a format cannot hold is said, with a count.
    """
    if listed:
        out.print(_formats())
        return
    if result is None or to is None:
        raise InputError(
            "give a result and a format: ovvis export ovvis-dog --to coco (ovvis export --list names them)"
        )
    rows = [find_format(name.strip()) for name in to.split(",")]
    if output is not None and len(rows) > 1:
        raise InputError("--output is for one format; leave it out, or export one at a time")
    needs = [row for row in rows if row.frames == "must"]
    if needs and source is None:
        raise InputError(f"{needs[0].name} needs the video's frames: add --source VIDEO, the video that was segmented")
    unused = [row for row in rows if row.frames == "no"]
    if source is not None and len(unused) == len(rows):
        raise InputError(f"{unused[0].name} holds no frames: leave --source out")
    names = None if labels is None else Vocabulary.parse(labels).names
    loaded = open_result(result)
    done = []
    for row in rows:
        place = output or default_place(user_path(result), row)
        frames = None if source is None or row.frames == "no" else source
        done.append(_export(loaded, row, place, min_score, names, best, frames, overwrite))
    out.print(_written(loaded, done))


def _export(
    result: VideoResult,
    row: Format,
    place: Path,
    min_score: float | None,
    labels: tuple[str, ...] | None,
    best: bool | None,
    source: str | None,
    overwrite: bool,
) -> Exported:
    frames = None
    if source is not None:
        from ovvis.sources.video import open_source

        frames = open_source(source)
    with progress(f"exporting {row.name}", "steps" if source and row.unit != "frames" else row.unit) as advance:
        done = export_result(
            result,
            row.name,
            place,
            min_score=min_score,
            labels=labels,
            best=best,
            source=frames,
            overwrite=overwrite,
            advance=lambda so_far, in_all: advance(so_far, in_all),
        )
    for note in done.notes:
        warn(f"{row.name}: {note}")
    return done


def _written(result: VideoResult, done: list[Exported]) -> Table:
    title = f"{escape(result.source)}: {count(len(result.frame_indices), 'frame')}"
    table = listing(title)
    table.add_column("format")
    for name in ("instances", "masks", "files"):
        table.add_column(name, justify="right")
    table.add_column("written", overflow="fold")
    for one in done:
        table.add_row(one.format, f"{one.tracks:,}", f"{one.masks:,}", f"{one.files:,}", escape(str(one.path)))
    return table


def _formats() -> Table:
    table = listing()
    table.add_column("--to", no_wrap=True)
    table.add_column("makes")
    table.add_column("--source")
    table.add_column("what it is")
    words = {"no": "", "may": "if wanted", "must": "needed"}
    for row in FORMATS.values():
        made = "a folder" if row.is_folder else row.suffix
        needs = f" (pip install {row.extra})" if row.extra else ""
        table.add_row(row.name, made, words[row.frames], escape(row.summary + needs))
    return table
