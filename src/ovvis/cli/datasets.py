"""`ovvis datasets`: which there are, whether they are whole, and how to make one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ovvis.cli.console import out, progress, warn
from ovvis.cli.lazy import SETTINGS
from ovvis.data.check import CheckReport
from ovvis.data.check import check as check_dataset
from ovvis.data.mask_folder import MaskFolder, convert_masks, read_names
from ovvis.data.open import find_dataset
from ovvis.data.presence import Presence, look
from ovvis.paths import data_folder

WRONG = 2
_SHOWN = 3

app = typer.Typer(
    help="List the datasets and where they lie; check one; make one from frames and masks.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
)

Root = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        help="Where the datasets lie; without it OVVIS_DATA, else ./datasets.",
        metavar="DIR",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def datasets(context: typer.Context, data_root: Root = None, as_json: AsJson = False) -> None:
    """List the datasets of the two papers: where each is looked for, what is here, how to get it."""
    if context.invoked_subcommand is not None:
        return
    found = look(data_root)
    if as_json:
        typer.echo(json.dumps([_as_json(presence) for presence in found], indent=1))
        return
    out.print(_listing(found, data_folder(data_root)))
    for presence in found:
        entry, dataset = presence.entry, presence.dataset
        out.print(f"[bold]{entry.name}[/bold]")
        lines = {"annotations": dataset.annotations, "frames": dataset.frames, "get it": entry.page}
        for name, value in (lines | {"licence": entry.licence, "note": entry.note}).items():
            if value:
                out.print(f"  {name}: {escape(str(value))}", soft_wrap=True)
    out.print("\nYour own: every command takes the path of a YouTube-VIS or COCO JSON in place of a name.")


@app.command()
def check(
    dataset: Annotated[str, typer.Argument(help="A name that ovvis datasets lists, or the path of a JSON.")],
    frames: Annotated[
        Path | None, typer.Option(help="The folder of frames, where it is not the usual one.", metavar="DIR")
    ] = None,
    data_root: Root = None,
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
        _print(report)
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
        typer.Option(help="The value of pixels to leave out; without it 255, unless 255 is all that there is."),
    ] = None,
) -> None:
    """Make a YouTube-VIS JSON from frames and PNG masks whose pixel values are the instances' ids."""
    source = MaskFolder.find(folder, frames, masks)
    with progress("converting", "frames") as advance:
        done = convert_masks(source, target, read_names(names) if names else None, void, advance)
    for warning in done.warnings:
        warn(warning)
    out.print(
        f"{target}: {done.videos} videos, {done.frames} frames, {done.tracks} instances of {len(done.names)} "
        f"categories; see that it is whole with ovvis datasets check {target} --frames {source.frames}",
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
        "licence": entry.licence,
        "note": entry.note,
    }


def _listing(found: list[Presence], root: Path) -> Table:
    table = Table(
        title=f"datasets, looked for in {escape(str(root))}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
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


def _print(report: CheckReport) -> None:
    numbers = report.as_json()
    held = ", ".join(f"{numbers[name]:,} {name}" for name in ("categories", "videos", "frames", "tracks", "masks"))
    out.print(f"[bold]{escape(report.annotations.name)}[/bold]: {held}", soft_wrap=True)
    if report.sound:
        out.print("[green]nothing is wrong[/green]")
        return
    table = Table(title="what is wrong", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("kind", no_wrap=True)
    table.add_column("count", justify="right")
    table.add_column("the first", overflow="fold")
    for kind, count in report.problems.counts().items():
        first = [str(problem) for problem in report.problems.examples[kind][:_SHOWN]]
        table.add_row(kind, f"{count:,}", escape("\n".join(first)))
    out.print(table)
