"""`ovvis compare`: results of one video side by side, and where they differ most."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ovvis.cli.console import listing, note, out, progress, warn
from ovvis.cli.options import DataRoot, Frames, Overwrite, completing, sharing
from ovvis.cli.painting import PaintOptions
from ovvis.comparing.measure import BY
from ovvis.comparing.opening import Given
from ovvis.errors import InputError, nearest
from ovvis.paths import user_path
from ovvis.plain import told_apart
from ovvis.structures import SHOWN_SCORE

if TYPE_CHECKING:
    from ovvis.comparing.compare import Comparison
    from ovvis.comparing.writing import Written

MOST_SAID = 3  # things that differ, in a row of the table


@sharing(PaintOptions)
def compare(
    results: Annotated[
        list[str],
        typer.Argument(
            help="Two or more: folders of `ovvis segment`, tracks.json files, results of a dataset, or what `ovvis "
            "import` reads (FORMAT:PLACE where the format cannot be told). NAME=PLACE gives one a name.",
            metavar="RESULT...",
        ),
    ],
    truth: Annotated[
        str | None,
        typer.Option(
            help="A dataset's annotation of the video, its JSON or its name in `ovvis datasets`; or anything that "
            "RESULT may be. With it one result is enough.",
            metavar="FILE",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for what is written; ovvis-compare if not given.", metavar="DIR")
    ] = None,
    source: Annotated[str | None, typer.Option(help="The video, if it lies elsewhere by now.", metavar="VIDEO")] = None,
    by: Annotated[
        str,
        typer.Option(
            help=f"What moments are chosen by: {', '.join(BY)}.", autocompletion=completing(BY), metavar="WHAT"
        ),
    ] = "all",
    moments: Annotated[int, typer.Option(min=1, help="How many moments to show.")] = 6,
    min_score: Annotated[
        float, typer.Option(min=0, max=1, help="Tracks that score less are not compared.")
    ] = SHOWN_SCORE,
    video: Annotated[
        str | None,
        typer.Option(help="Which video of a dataset, or of a file that holds several.", metavar="ID_OR_NAME"),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Of results of a dataset: its name or annotations; its truth is shown too.", metavar="DATASET"
        ),
    ] = None,
    frames: Frames = None,
    data_root: DataRoot = None,
    same_video: Annotated[
        bool, typer.Option("--same-video", help="Results of sources of other names are of one video.")
    ] = False,
    write_video: Annotated[bool, typer.Option("--paint/--no-paint", help="Write the painted video.")] = True,
    write_page: Annotated[bool, typer.Option("--page/--no-page", help="Write the viewer's page.")] = True,
    overwrite: Overwrite = False,
    *,
    paint: PaintOptions,
) -> None:
    """Put results of one video side by side, and the truth if there is one; find where they differ most."""
    style = paint.find()
    if by not in BY:
        raise InputError(f"--by {by}: {nearest(by, BY)}")
    named = _named(results)
    if len(named) < 2 and truth is None and dataset is None:
        raise InputError("give two results or more, or one with the truth (--truth FILE)")
    folder = user_path(output or "ovvis-compare")
    from ovvis.comparing.compare import compare as measured
    from ovvis.comparing.writing import write

    with progress("comparing", "pairs") as step:
        found = measured(
            named,
            truth,
            dataset=dataset,
            video=video,
            data_root=data_root,
            frames=frames,
            min_score=min_score,
            by=by,
            moments=moments,
            same_video=same_video,
            on_pair=step,
        )
    for line in found.notes:
        warn(line)
    with progress("painting", "frames") as step:
        written = write(
            found,
            folder,
            source=source,
            style=style,
            video=write_video,
            page=write_page,
            overwrite=overwrite,
            another=output is None,
            on_step=step,
        )
    for line in written.says:
        note(line)
    _tell(found, written)


def _named(results: list[str]) -> dict[str, Given]:
    """Return results by name: NAME=PLACE, or the names that `ovvis.comparing` gives them."""
    from ovvis.comparing.opening import called

    out: dict[str, Given] = {}
    for text in results:
        found = None if user_path(text).exists() else re.fullmatch(r"([^=/\\:]+)=(.+)", text)
        name, place = (found[1], found[2]) if found else (called(text), text)
        if found and name in out:
            raise InputError(f"{text}: another result has the name {name}; give each its own")
        out[told_apart(name, out)] = place
    return out


def _tell(found: Comparison, written: Written) -> None:
    names = [side.name for side in found.sides]
    table = listing("Difference, mean over frames")
    table.add_column("first", overflow="fold")
    table.add_column("second", overflow="fold")
    for name in BY:
        table.add_column(name, justify="right")
    for pair in found.pairs:
        cells = (f"{found.mean(pair, name):.3f}" for name in BY)
        table.add_row(escape(names[pair.first]), escape(names[pair.second]), *cells)
    out.print(table)
    if found.moments:
        out.print(_moments(found))
    else:
        what = "" if found.by == "all" else f" by {found.by}"
        alike = "are alike" if not found.has_truth else "lie equally far from the truth"
        out.print(f"No moment: the results {alike}{what} in every frame.", soft_wrap=True)
    out.print(f"Results: {escape(str(written.path))} ({', '.join(written.files)})", soft_wrap=True)
    if "viewer.html" in written.files:
        out.print(f"Look: open {escape(shlex.quote(str(written.path / 'viewer.html')))} in a browser", soft_wrap=True)


def _moments(found: Comparison) -> Table:
    title = "Moments in which they differ most"
    table = listing(title)
    table.add_column("frame", justify="right")
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("difference", justify="right")
    table.add_column("what", overflow="fold")
    for moment in found.moments:
        said = [one.text for one in moment.said]
        rest = [f"and {len(said) - MOST_SAID} more"] if len(said) > MOST_SAID else []
        what = escape("\n".join([*said[:MOST_SAID], *rest]))
        table.add_row(str(moment.frame), f"{moment.time:.2f} s", f"{moment.value:.2f}", what)
    return table
