"""`ovvis datasets`: which there are, whether they are whole, and how to make one."""

from __future__ import annotations

import json
import shlex
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ovvis.cli.console import count, listing, out, progress, warn
from ovvis.cli.lazy import several
from ovvis.cli.options import DataRoot, DatasetName, Frames, Overwrite
from ovvis.datasets.check import MISSING_FRAME, NO_FRAMES, CheckReport
from ovvis.datasets.check import check as check_dataset
from ovvis.datasets.mask_folder import MaskFolder, convert_masks, read_names
from ovvis.datasets.open import find_dataset
from ovvis.datasets.presence import Presence, look
from ovvis.paths import data_folder

WRONG = 2  # exit code: a dataset is not whole
_SHOWN = 3

app = several(
    "List the datasets and where they lie; check one; make one from frames and masks.", invoke_without_command=True
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def datasets(context: typer.Context, data_root: DataRoot = None, as_json: AsJson = False) -> None:
    """List the datasets of the two papers: where each is looked for, what is here, how to get it."""
    if context.invoked_subcommand is not None:
        return
    found = look(data_root)
    if as_json:
        typer.echo(json.dumps([_as_json(presence) for presence in found], indent=1))
        return
    for _, family in groupby(found, key=lambda presence: (presence.entry.page, presence.entry.licence)):
        _tell(list(family))
    out.print(_table(found, data_folder(data_root)))  # last: it is what a terminal of few lines shows
    out.print(
        "Your own: every command takes the path of a YouTube-VIS, COCO, BURST, CocoVID or TAO JSON in place of a name; "
        "ovvis datasets convert makes one from frames and masks.",
        soft_wrap=True,
    )


@app.command()
def check(
    dataset: DatasetName,
    frames: Frames = None,
    data_root: DataRoot = None,
    no_frames: Annotated[bool, typer.Option("--no-frames", help="Look at the annotations only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Verify a dataset's annotations, masks and files; exit code 2 where something is wrong."""
    place = find_dataset(dataset, data_root, frames)
    with progress(f"checking {place.name}", "videos") as advance:
        report = check_dataset(place, not no_frames, advance)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=1))
    else:
        _print(report, place.frames)
    if not report.sound:
        raise typer.Exit(WRONG)


@app.command()
def convert(
    folder: Annotated[
        Path, typer.Argument(help="A folder with frames and masks, such as DAVIS' (JPEGImages, Annotations).")
    ],
    target: Annotated[Path, typer.Argument(help="The JSON to write.", metavar="OUT.json")],
    frames: Annotated[
        Path | None, typer.Option(help="The folder of frames, where it is not found.", metavar="DIR")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="The folder of PNG masks, where it is not found.", metavar="DIR")
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            help='JSON of names by id, {"1": "dog"}, or by sequence and id; none: all are "object".',
            metavar="FILE",
        ),
    ] = None,
    void: Annotated[
        int | None,
        typer.Option(
            help="The value of pixels to leave out; 0 for none. Without it 255 beside small ids, and that is said."
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            help="What values are: ids; class-id (class * 1000 + instance); colours; step (KITTI STEP). Found out, or "
            "asked for.",
            metavar="KIND",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a YouTube-VIS JSON from frames and masks whose values, colours, files or folders are the instances."""
    source = MaskFolder.find(folder, frames, masks)
    with progress("converting", "frames") as advance:
        named = read_names(names) if names else None
        done = convert_masks(source, target, named, void, advance, encoding, overwrite=overwrite)
    for warning in done.warnings:
        warn(warning)
    out.print(
        f"{escape(str(target))}: {count(done.videos, 'video')}, {count(done.frames, 'frame')}, "
        f"{count(done.tracks, 'instance')} of {count(len(done.names), 'category', 'categories')}; see that it is whole "
        f"with ovvis datasets check {escape(shlex.quote(str(target)))} --frames "
        f"{escape(shlex.quote(str(source.frames)))}",
        soft_wrap=True,
    )


def _as_json(presence: Presence) -> dict[str, object]:
    entry = presence.entry
    return {
        "name": entry.name,
        "state": presence.state,
        "videos": entry.videos,
        "truth": entry.truth,
        "annotations": str(presence.dataset.annotations),
        "frames": str(presence.dataset.frames),
        "vocabulary": entry.vocabulary,
        "page": entry.page,
        "server": entry.server,
        "licence": entry.licence,
        "note": entry.note,
    }


def _tell(family: list[Presence]) -> None:
    """Print where splits that come together are looked for, and how to get them."""
    out.print(f"[bold]{', '.join(presence.entry.name for presence in family)}[/bold]", soft_wrap=True)
    entry = family[0].entry
    lines = [("get it", entry.page), ("server", entry.server), ("licence", entry.licence)]
    for presence in family:
        lines += [
            (presence.entry.name, str(presence.dataset.annotations)),
            ("  frames", str(presence.dataset.frames)),
            ("  note", presence.entry.note),
        ]
    for name, value in lines:
        if value:
            out.print(f"  {name}: {escape(value)}", soft_wrap=True)


def _table(found: list[Presence], root: Path) -> Table:
    table = listing(f"datasets, looked for in {escape(str(root))}")
    table.add_column("name", no_wrap=True)
    table.add_column("videos", justify="right")
    table.add_column("truth")
    table.add_column("words")
    table.add_column("here", no_wrap=True)
    for presence in found:
        entry, state = presence.entry, presence.state
        colour = {"complete": "green", "not here": "dim"}.get(state, "yellow")
        table.add_row(entry.name, f"{entry.videos:,}", entry.truth, entry.vocabulary, f"[{colour}]{state}[/{colour}]")
    return table


def _print(report: CheckReport, frames: Path) -> None:
    annotations = report.annotations
    held = ", ".join(
        (
            count(len(annotations.categories), "category", "categories"),
            count(len(annotations.videos), "video"),
            count(report.frames, "frame"),
            count(report.tracks, "track"),
            count(report.masks, "mask"),
        )
    )
    out.print(f"[bold]{escape(report.annotations.name)}[/bold]: {held}", soft_wrap=True)
    for note in report.notes:
        warn(note)
    if report.sound:
        out.print("[green]nothing is wrong[/green]")
        return
    table = listing("what is wrong")
    table.add_column("kind", no_wrap=True)
    table.add_column("count", justify="right")
    table.add_column("the first", overflow="fold")
    counts = report.problems.counts()
    for kind, times in counts.items():
        first = [str(problem) for problem in report.problems.examples[kind][:_SHOWN]]
        table.add_row(kind, f"{times:,}", escape("\n".join(first)))
    out.print(table)
    if counts.keys() & {MISSING_FRAME, NO_FRAMES}:
        out.print(f"Frames were looked for below {escape(str(frames))}: --frames says where else.", soft_wrap=True)
