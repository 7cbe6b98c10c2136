"""`ovvis reproduce`: the papers' tables on real data, and their ablations on the project's own world."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from ovvis.cli import segmenter as shared
from ovvis.cli.console import count, out, progress, warn
from ovvis.cli.kept import kept
from ovvis.cli.lazy import several
from ovvis.cli.options import Overwrite
from ovvis.cli.reproduce_figures import STICKERS, figures
from ovvis.cli.reproduce_papers import papers
from ovvis.cli.shards import names_in, share_folder
from ovvis.datasets.words import dataset_vocabulary
from ovvis.errors import InputError, nearest
from ovvis.files.output import OutputFolder, whole_file
from ovvis.inference.stopwatch import Stopwatch
from ovvis.models.export.names import is_exported
from ovvis.models.settings import UNTRAINED
from ovvis.models.zoo import ZOO
from ovvis.paths import user_path
from ovvis.predictions.folder import Shard
from ovvis.reproduction.earlier import refuse_others
from ovvis.reproduction.experiments import EXPERIMENTS, choose
from ovvis.reproduction.figures import Outcome
from ovvis.reproduction.rows import LONG, MODEL, OV2SEG, OVFORMER, OVFORMER_VIDEO, Experiment, Row
from ovvis.reproduction.tables import as_json, fill, page, rich_table
from ovvis.version import __version__
from ovvis.world.sprites import load_sprites

if TYPE_CHECKING:
    from ovvis.datasets.drawn import DrawnSplit
    from ovvis.reproduction.measure import Job, Measurement, Network

WAIT = 600.0  # seconds for another shard that writes the tables
PARTS, TABLES_MD, FIGURES_JSON = "parts", "tables.md", "figures.json"
PACKAGED = {  # where --network does not say otherwise
    OVFORMER: "ovformer-stickers",
    OVFORMER_VIDEO: "ovformer-stickers",
    OV2SEG: "ov2seg-stickers",
}
app = several("The papers' tables on real data, and their ablations on the project's own world.", no_args_is_help=True)
app.command()(papers)
app.command()(figures)

NETWORKS = sorted({row.network for experiment in EXPERIMENTS for row in experiment.rows} - {MODEL})


@app.command()
def stickers(
    output: Annotated[
        Path, typer.Option(help=f"Folder for {TABLES_MD}, {FIGURES_JSON} and what is measured.", metavar="DIR")
    ] = Path("reproduction"),
    tables: Annotated[
        str | None, typer.Option(help=f"Some of {', '.join(e.name for e in EXPERIMENTS)}; all if not given.")
    ] = None,
    splits: Annotated[
        str | None, typer.Option(help="Some of val, val-hard, val-long; all that a table is on if not given.")
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(help="A Markdown page whose lines <!-- table NAME --> and <!-- end --> hold the tables."),
    ] = None,
    videos: Annotated[
        int, typer.Option(min=1, help="Videos of each split and seed; at most what the split has.")
    ] = 100,
    long_videos: Annotated[int, typer.Option(min=1, help=f"The same for {LONG}, whose videos are long.")] = 20,
    seeds: Annotated[
        str, typer.Option(help="Added to the splits' own seeds; 0 is the videos that `ovvis world write` writes.")
    ] = "0,100,200",
    network: Annotated[
        list[str] | None,
        typer.Option(
            help=f"NAME=CHECKPOINT, or MODEL, of a network that some rows want: {', '.join(NETWORKS)}. "
            f"Beside {STICKERS} the package's own, where it has one."
        ),
    ] = None,
    shard: Annotated[
        str, typer.Option(help="i/n: measure each n-th video from the i-th on; n processes share one folder.")
    ] = "1/1",
    restart: Annotated[bool, typer.Option("--restart", help="Drop what is measured and begin anew.")] = False,
    overwrite: Overwrite = False,
    model: Annotated[
        str | None, typer.Option(help=f"A name from `ovvis models`; {STICKERS}, or that of --weights, if not given.")
    ] = None,
    weights: shared.Weights = None,
    mirror: shared.Mirror = None,
    device: shared.Device = "auto",
    precision: shared.PrecisionName = "float32",
    short_edge: shared.ShortEdge = None,
    max_tracks: shared.MaxTracks = None,
    batch: shared.Batch = 1,
) -> None:
    """The papers' ablations on the project's own world, each with a spread over seeds of the data."""
    shared.prepare_process()
    options = shared.SegmenterOptions(
        model=model or (STICKERS if weights in (None, UNTRAINED) else None),
        weights=weights,
        mirror=mirror,
        device=device,
        precision=precision,
        short_edge=short_edge,
        max_tracks=max_tracks,
        batch=batch,
    )
    options.check()
    output = user_path(output)
    part, chosen, numbers = Shard.parse(shard), choose(names_in(tables), names_in(splits)), _seeds(seeds)
    if restart and part.count > 1:
        raise InputError(f"--restart with --shard {part} would drop the other shards' videos: remove {output} by hand")
    if into is not None:
        into = user_path(into)
        fill(_read(into), [Outcome(e, "", (0,), 0, 0, ()) for e in chosen], "")  # refuses a page without a place
    wanted = [row for experiment in chosen for row in experiment.rows]
    needed = {MODEL: options, **_others(network or [], options, {row.network for row in wanted})}
    needed |= _in_precisions(wanted, needed)
    drawn = _drawn(chosen, numbers, {LONG: long_videos}, videos)
    vocabulary = dataset_vocabulary(next(iter(drawn.values()))[0].categories)[0]
    from ovvis.reproduction.measure import Measurement, Network

    with share_folder(output, part, restart):
        networks = {}
        for name, asked in needed.items():
            segmenter = asked.load(vocabulary, Stopwatch())
            networks[name] = Network(segmenter, asked.weights_digest(segmenter.model.name))
        about = _about(networks)
        if not (overwrite or restart):
            plan = {(e.name, s): ([d.split.seed for d in drawn[s]], len(drawn[s][0])) for e in chosen for s in e.splits}
            refuse_others((output / TABLES_MD, output / FIGURES_JSON), about, plan)
        if restart:
            shutil.rmtree(output / PARTS, ignore_errors=True)
        measurement = Measurement(chosen, networks, drawn, output / PARTS)
        if measurement.left_out:
            rows = "; ".join(measurement.left_out)
            warn(f"left out, for --network gives no network, or none of the kind that it wants: {rows}")
        _measure(measurement, measurement.jobs((part.index - 1, part.count)), output)
        if missing := len(measurement.jobs()):
            again = "the same command with the other shards, or without --shard, goes on from there"
            out.print(f"{count(missing, 'video')} left to other shards; {again}.", soft_wrap=True)
            return
        with progress("counting", "rows") as done:
            outcomes = measurement.outcomes(done)
        _write(outcomes, output, into, about)


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise InputError(
            f"seeds {text!r}: they must be whole numbers with commas between, such as 0,100,200"
        ) from error
    from ovvis.datasets.stickers import SPLITS

    own = {split.seed for split in SPLITS.values()}
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise InputError(f"seeds {text!r}: each must be 0 or more and stand once")
    # A seed that leads from one split's to another's would show, for val, the objects' ways of training videos.
    if any(abs(a - b) in seeds and a != b for a in own for b in own):
        raise InputError(f"seeds {text!r}: give 0 or numbers of 10 and more; the splits' own seeds lie close together")
    return seeds


def _others(
    given: Sequence[str], options: shared.SegmenterOptions, wanted: Collection[str]
) -> dict[str, shared.SegmenterOptions]:
    """Return how the networks that only some rows want are loaded: a checkpoint, or a model of the zoo."""
    out = {}
    if options.model == STICKERS and options.weights is None:
        out = {name: replace(options, model=model) for name, model in PACKAGED.items() if name in wanted}
    for pair in given:
        name, found, what = pair.partition("=")
        if not found or not what:
            raise InputError(f"--network {pair!r}: it must be NAME=CHECKPOINT, or NAME=MODEL")
        if name not in NETWORKS:
            raise InputError(f"--network {pair!r}: no row wants a network of that name; {nearest(name, NETWORKS)}")
        if what in ZOO:
            out[name] = replace(options, model=what, weights=None)
        else:
            out[name] = replace(options, model=options.model if what == UNTRAINED else None, weights=what)
    return out


def _in_precisions(
    rows: Sequence[Row], known: Mapping[str, shared.SegmenterOptions]
) -> dict[str, shared.SegmenterOptions]:
    """Return how the networks of rows that name a floating type are loaded; an exported file has its own."""
    return {
        row.loaded: replace(known[row.network], precision=row.precision)
        for row in rows
        if row.precision and row.network in known and not is_exported(known[row.network].model)
    }


def _drawn(
    chosen: Sequence[Experiment], seeds: Sequence[int], counts: dict[str, int], videos: int
) -> dict[str, list[DrawnSplit]]:
    from ovvis.datasets.drawn import DrawnSplit
    from ovvis.datasets.stickers import SPLITS

    sprites = load_sprites()
    names = dict.fromkeys(split for experiment in chosen for split in experiment.splits)
    return {
        name: [
            DrawnSplit(SPLITS[name], sprites, min(counts.get(name, videos), SPLITS[name].videos), seed)
            for seed in seeds
        ]
        for name in names
    }


def _measure(measurement: Measurement, jobs: list[Job], output: Path) -> None:
    if not jobs:
        return
    started = time.monotonic()
    with kept(output, lambda: _state(measurement, output)), progress("measuring", "frames") as done:
        measurement.run(jobs, done)
    frames, seconds = sum(job.of.videos.frames for job in jobs), time.monotonic() - started
    out.print(f"{count(len(jobs), 'video')}, {frames:,} frames in {seconds:.0f} s: {frames / seconds:.1f} frames/s")


def _state(measurement: Measurement, output: Path) -> str:
    """Return what is left, and how to go on."""
    left = count(len(measurement.jobs()), "video")
    return f"{left} to go, the others are kept in {output}; the same command goes on from there"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise InputError(f"--into {path} cannot be read ({reason}): give a Markdown page") from error


def _about(networks: Mapping[str, Network]) -> dict[str, Any]:
    """Return what made the figures."""
    return {
        "command": shlex.join(["ovvis", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "weights_sha256": {name: one.weights for name, one in networks.items()},
        "models": {name: one.segmenter.model.name for name, one in networks.items()},
        **networks[MODEL].segmenter.describe(),
    }


def _write(outcomes: Sequence[Outcome], output: Path, into: Path | None, about: Mapping[str, Any]) -> None:
    """Write tables and figures, then show them."""
    told = [
        f"{about['models'][name]} {'untrained' if digest is None else digest[:12]}"
        for name, digest in about["weights_sha256"].items()
    ]
    weights = ", ".join(dict.fromkeys(told))
    made_by = (
        f"`{about['command']}`; weights (SHA-256): {weights}; ovvis {__version__}, torch {about['torch']}, "
        f"{about['date']}."
    )
    # Shards that end at once write the same, one after another.
    with OutputFolder(output, (TABLES_MD, FIGURES_JSON), overwrite=True, patience=WAIT) as folder:
        folder.file(TABLES_MD).write_text(page(outcomes, made_by), encoding="utf-8")
        text = json.dumps(as_json(outcomes, about), indent=1, allow_nan=False) + "\n"
        folder.file(FIGURES_JSON).write_text(text, encoding="utf-8")
    absent: list[str] = []
    if into is not None:
        filled, absent = fill(_read(into), outcomes, made_by)
        with whole_file(into) as partial:
            partial.write_text(filled, encoding="utf-8")
    for outcome in outcomes:
        out.print(rich_table(outcome))
    for name in absent:
        warn(f"{into} has no lines <!-- table {name} --> and <!-- end -->: that table is in {TABLES_MD} alone")
    where = f"{output} ({TABLES_MD}, {FIGURES_JSON})" + (f" and {into}" if into else "")
    out.print(f"Results: {escape(where)}", soft_wrap=True)
