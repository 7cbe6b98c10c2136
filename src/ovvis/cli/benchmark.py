"""`ovvis benchmark`: what a model costs on this machine, and whether that has changed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.markup import escape

from ovvis.benchmark.plan import AXES, MOST, STEPS, Row, grid, parse_counts, parse_names, parse_sizes
from ovvis.cli import segmenter as shared
from ovvis.cli.console import listing, note, out, progress, warn
from ovvis.cli.options import Overwrite, completing, grouped
from ovvis.cli.process import IN_PART, Interrupted, quiet_libraries
from ovvis.errors import InputError, nearest
from ovvis.files.output import OutputFolder
from ovvis.models.accelerations import ACCELERATIONS, accelerations
from ovvis.models.export.names import exported_path, is_exported
from ovvis.models.settings import LONG_EDGE, TRACKERS, Precision
from ovvis.models.zoo import SMALL_MODEL, ZOO, find_model

if TYPE_CHECKING:
    from ovvis.benchmark.records import Machine, Record
    from ovvis.benchmark.tables import Table

OUTPUT = "ovvis-benchmark"
JSON, PAGE, PICTURE, DRAWING = "benchmark.json", "benchmark.md", "benchmark.png", "benchmark.svg"
FILES = (JSON, PAGE, PICTURE, DRAWING)
_what = grouped("What is measured (lists with commas; the first of each is the base)")
_against = grouped("Against an earlier run")


def benchmark(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"Names from `ovvis models`, or files of `ovvis models export`; {SMALL_MODEL} if none is given.",
            metavar="MODEL",
            autocompletion=completing(ZOO),
            show_default=False,
        ),
    ] = None,
    size: Annotated[str | None, _what(help="480x853,720x1280: of the frames; 16:9 at the model's own edge.")] = None,
    words: Annotated[str, _what(help="80,1196,10000: labels to look for.")] = "1196",
    frames: Annotated[str, _what(help="20,400: of the video.")] = "20",
    precision: Annotated[str, _what(help="float32, bfloat16, float16, auto.")] = "float32,auto",
    device: Annotated[str, _what(help="auto, cpu, cuda, cuda:N, mps.")] = "auto",
    sweep: Annotated[str | None, _what(help=f"Standard steps of some of {', '.join(STEPS)}, or of all.")] = None,
    combine: Annotated[bool, _what("--combine", help="Measure every combination, not one list at a time.")] = False,
    batch: Annotated[int, _what(min=0, help="Windows at once; 0: the model's own number.")] = 0,
    short_edge: Annotated[int, _what(min=0, help="Pixels of the short edge in the network; 0: the frame's own.")] = 0,
    tracker: Annotated[str | None, _what(help=f"The model's own, or {', '.join(TRACKERS)}.")] = None,
    accelerate: Annotated[
        str, _what(help=f"Ways to be faster, with commas between: {', '.join(ACCELERATIONS)}; or all.")
    ] = "",
    text: Annotated[bool, _what("--text", help="The texts of so many new words, too.")] = False,
    own_weights: Annotated[
        bool,
        typer.Option("--own-weights", help="Published weights in place of random ones, which are as fast."),
    ] = False,
    costs: Annotated[bool, typer.Option(help="Count parameters and operations by part.")] = True,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each row, in turn.")] = 5,
    against: Annotated[
        Path | None,
        _against(
            "--compare",
            help=f"The {JSON} of an earlier run on this machine; without models its rows are measured again.",
            metavar="FILE",
        ),
    ] = None,
    read: Annotated[Path | None, _against("--read", help="Show that run; nothing is measured.", metavar="FILE")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help=f"Folder for {', '.join(FILES)}; {OUTPUT} or {OUTPUT}-2, ...", metavar="DIR"
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """What models cost here: seconds a frame and memory by stage, size, words, length; and whether that has changed."""
    names = list(dict.fromkeys(models or ()))
    for name in names:
        if is_exported(name):
            exported_path(name)
        else:
            find_model(name)
    ways = ",".join(accelerations(accelerate))
    asked = _axes(size, words, frames, precision, device, sweep)
    if tracker is not None and tracker not in TRACKERS:
        raise InputError(f"--tracker {tracker!r}: {nearest(tracker, TRACKERS)}")
    from ovvis.benchmark.records import read_record

    before = None if against is None else read_record(against)
    if read is not None:
        if names:
            raise InputError("--read shows a run that was made: leave the models out")
        _show_earlier(read_record(read), before)
        return
    quiet_libraries()
    rows = [result.row for result in before.results] if before is not None and not names else None
    if rows is None:
        more = {"batch": batch, "short_edge": short_edge, "tracker": tracker or "", "accelerate": ways}
        rows = grid(names or [SMALL_MODEL], asked, combine, **more, **({"weights": "own"} if own_weights else {}))
        rows = _resolved(rows)
        if text:
            rows += _texts(rows)
    _fetch(rows)
    job = _Job(rows, repeats, costs, before)
    with OutputFolder(output or OUTPUT, FILES, overwrite=overwrite, another=output is None) as folder:
        record, stopped = job.run()
        changes = job.changes(record)
        _write(record, changes, folder)
    _keep_seconds(record)
    _show(record, changes)
    out.print(f"Results: {escape(str(folder.path))} ({', '.join(FILES)})", soft_wrap=True)
    if stopped:
        raise Interrupted(f"stopped; what was measured until then is in {folder.path}")
    if any(result.problem for result in record.results):
        raise typer.Exit(IN_PART)


def _axes(
    size: str | None, words: str, frames: str, precision: str, device: str, sweep: str | None
) -> dict[str, tuple[Any, ...]]:
    """Return the values of each axis; a swept one has those that were given first, then the standard steps."""
    chosen: dict[str, tuple[Any, ...]] = {
        "size": parse_sizes(size) if size else (),
        "words": parse_counts(words, "words", 1, MOST),
        "frames": parse_counts(frames, "frames", 1, MOST),
        "precision": parse_names(precision, "precision", get_args(Precision)),
        "device": parse_names(device, "device"),
    }
    for axis in parse_names(sweep, "sweep", [*STEPS, "all"]) if sweep else ():
        for name in STEPS if axis == "all" else (axis,):
            chosen[name] = tuple(dict.fromkeys((*chosen[name], *STEPS[name])))
    assert set(chosen) == set(AXES)
    return chosen


def _resolved(rows: Sequence[Row]) -> list[Row]:
    """Return rows with what `auto` means here, each once."""
    from msgspec.structs import replace

    from ovvis.models.devices import pick_device, pick_precision
    from ovvis.models.export.providers import providers_for

    known = []
    for row in rows:
        if is_exported(row.model):
            known.append(replace(row, device=providers_for(row.device)[0].device))
            continue
        where = pick_device(row.device)
        kind = str(pick_precision(row.precision, where)).removeprefix("torch.")
        known.append(replace(row, device=str(where), precision=kind))
    return list(dict.fromkeys(known))


def _texts(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the texts of as many words as the videos' rows have."""
    from msgspec.structs import replace

    still = {
        "task": "text",
        "height": 0,
        "width": 0,
        "frames": 0,
        "batch": 0,
        "short_edge": 0,
        "tracker": "",
        "accelerate": "",
    }
    return list(dict.fromkeys(replace(row, **still) for row in rows))


def _fetch(rows: Sequence[Row]) -> None:
    """Have published weights here before anything is measured."""
    from ovvis.models.own_weights import fetch_weights

    for name in dict.fromkeys(row.model for row in rows if row.weights == "own" and not is_exported(row.model)):
        entry = find_model(name)
        if not entry.packaged:
            with progress(f"fetching {name}", "B") as fetched:
                fetch_weights(entry, fetched)


@dataclass
class _Job:
    """What is measured, and against what."""

    rows: Sequence[Row]
    repeats: int
    costs: bool
    before: Record | None

    def run(self) -> tuple[Record, bool]:
        """Measure, and return what was found and whether Ctrl-C ended it; what there is then is kept."""
        from ovvis.benchmark.crew import Crew, measure
        from ovvis.benchmark.machine import told
        from ovvis.benchmark.records import Record

        machine = self.machine()
        note(told(machine))
        record = Record(
            date=date.today().isoformat(), command=shlex.join(["ovvis", *sys.argv[1:]]), machine=machine, results=[]
        )
        with Crew() as crew:
            try:
                with progress("measuring", "runs") as bar:
                    for results, yardstick in measure(self.rows, self.repeats, crew, bar):
                        record.results, record.yardstick = results, yardstick
                if self.costs:
                    for model, sizes in _sizes(self.rows).items():
                        record.costs += crew.costs(model, sizes)
            except KeyboardInterrupt:
                if not record.measured:
                    raise
                return record, True
        if not record.measured:
            raise InputError(next(result.problem for result in record.results))
        return record, False

    def machine(self) -> Machine:
        """Return this machine; refuse to compare with another's run."""
        from ovvis.benchmark.compare import same_machine
        from ovvis.benchmark.machine import this_machine

        used = next((row.device for row in self.rows if row.device != "cpu"), "cpu")
        machine = this_machine("" if used == "cpu" else shared.device_title(used))
        if self.before is not None:
            for line in same_machine(self.before.machine, machine):
                warn(line)
        return machine

    def changes(self, record: Record) -> Table | None:
        """Return what has changed, as a table."""
        return None if self.before is None else _compared(self.before, record)


def _compared(before: Record, after: Record) -> Table:
    from ovvis.benchmark.compare import compare
    from ovvis.benchmark.tables import comparison

    return comparison(compare(before, after), before, after)


def _sizes(rows: Sequence[Row]) -> dict[str, list[tuple[int, int]]]:
    """Return at which sizes each model is counted: its rows', and the published table's."""
    from ovvis.benchmark.published import SIZE, TABLES
    from ovvis.benchmark.tables import COMMONEST

    found: dict[str, list[tuple[int, int]]] = {}
    for row in rows:
        if row.task == "video" and not row.short_edge and not is_exported(row.model):
            found.setdefault(row.model, []).append((row.height, row.width))
    return {
        model: list(dict.fromkeys([*sizes, *((SIZE, COMMONEST) if model in TABLES else ())]))
        for model, sizes in found.items()
    }


def _write(record: Record, changes: Table | None, folder: OutputFolder) -> None:
    from ovvis.benchmark.picture import draw
    from ovvis.benchmark.records import as_json
    from ovvis.benchmark.tables import page

    folder.file(JSON).write_bytes(as_json(record))
    drawn = draw(record, folder.file(PICTURE))
    draw(record, folder.file(DRAWING))
    folder.file(PAGE).write_text(page(record, changes, PICTURE if drawn else ""), encoding="utf-8")


def _keep_seconds(record: Record) -> None:
    """Keep what a frame took, for `ovvis models`: of what people run, not of other trackers or batches."""
    from ovvis.models.measured import Measured, keep_measured
    from ovvis.pixels import network_size

    for result in record.measured:
        row = result.row
        usual = not (row.batch or row.tracker or row.accelerate or is_exported(row.model))
        if row.task == "video" and usual:
            size = network_size(row.height, row.width, row.short_edge or None, LONG_EDGE)
            frames = row.frames * len(result.samples)
            device = shared.device_title(row.device)
            keep_measured(Measured(row.model, *size, device, row.precision, result.median, frames))


def _show_earlier(record: Record, before: Record | None) -> None:
    from ovvis.benchmark.compare import same_machine
    from ovvis.benchmark.machine import told

    note(f"{record.date}: {told(record.machine)}")
    if before is not None:
        for line in same_machine(before.machine, record.machine):
            warn(line)
    _show(record, None if before is None else _compared(before, record))


def _show(record: Record, changes: Table | None) -> None:
    from ovvis.benchmark.tables import caveat, tables, title

    for table in (*tables(record), *([changes] if changes else [])):
        shown = listing(escape(table.title), narrow=True)
        for number, column in enumerate(table.columns):
            words = number < table.left
            shown.add_column(column, justify="left" if words else "right", overflow="fold", no_wrap=False)
        for cells in table.rows:
            shown.add_row(*map(escape, cells))
        out.print(shown)
        for line in table.notes:
            out.print(escape(line))
    out.print(escape(caveat(record)))
    for result in record.results:
        if result.problem:
            warn(f"{title(result.row)}: not measured{' to the end' if result.samples else ''}: {result.problem}")
