"""`ovvis models`: the zoo, and its weights on this machine or in a mirror."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ovvis.cli.console import complain, count, listing, out, paste, progress
from ovvis.cli.lazy import several
from ovvis.cli.model_export import export
from ovvis.cli.options import IgnoreUnused, Mirror, completing
from ovvis.cli.process import quiet_libraries
from ovvis.cli.publish import publish
from ovvis.errors import InputError, OvvisError
from ovvis.models.default import default_model
from ovvis.models.download import pinned, record_checksum
from ovvis.models.measured import Measured, measured
from ovvis.models.places import lacking, weights_files, weights_path
from ovvis.models.sources import MIRROR, OFFLINE, use_mirror
from ovvis.models.zoo import ZOO, ModelEntry, find_model, list_models
from ovvis.paths import user_path
from ovvis.reproduction.papers import AP, BASE, NOVEL, figures_of_model

RUNS = 4  # of a model that the table shows, the latest
NOT_ALL = 2  # exit code: some weights could not be had

app = several(
    "List the models: size, training data, published AP, licences, where the weights come from.",
    invoke_without_command=True,
)


@app.callback()
def models(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List the models: size, training data, published AP, licences, where the weights come from."""
    if context.invoked_subcommand is not None:
        return
    entries = list_models()
    if as_json:
        runs = default_model(ask=False).name
        typer.echo(json.dumps([_as_json(entry, entry.name == runs, measured()) for entry in entries], indent=1))
        return
    out.print(_here(entries))
    choice = default_model(ask=False)
    fetched = "" if choice.to_fetch_bytes is None else f" (to be fetched, about {choice.to_fetch_bytes / 1e6:,.0f} MB)"
    out.print(f"Where no model is named, {choice.name} runs{fetched}: {escape(choice.why)}\n", soft_wrap=True)
    out.print(_table(entries, choice.name))
    for entry in entries:
        out.print(f"[bold]{entry.name}[/bold]")
        on_images = ", ".join(f"{name} AP {ap:.1f}" for name, ap in entry.image_ap.items())
        for name, value in (
            ("trained on", entry.training_data),
            *((("single images", on_images),) if on_images else ()),
            *_base_and_novel(entry.name),
            ("weights", _place(entry)),
            ("licences", f"code {entry.code_licence}; weights {entry.weights_licence}; data {entry.data_licence}"),
        ):
            out.print(f"  {name}: {escape(value)}", soft_wrap=True)
    example = weights_path(next(entry for entry in entries if entry.published and not entry.packaged))
    out.print(f"\nFetched by hand: ovvis convert FILE {escape(str(example))}", soft_wrap=True)


app.command()(publish)
app.command()(export)


@app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names from `ovvis models`.", autocompletion=completing(ZOO), metavar="NAME..."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every model whose weights are published.")] = False,
    to: Annotated[
        Path | None,
        typer.Option(help="Make a mirror of this folder, to be carried to a machine without a network.", metavar="DIR"),
    ] = None,
    mirror: Mirror = None,
    ignore_unused: IgnoreUnused = False,
) -> None:
    """Fetch weights, with the CLIP in them: all that a run needs. What is here is only verified."""
    if bool(names) == every:
        raise InputError("ovvis models fetch: give names from `ovvis models`, or --all")
    entries = list_models() if every else [find_model(name) for name in dict.fromkeys(names or ())]
    packaged = [entry.name for entry in entries if entry.packaged]
    if packaged and not every:
        raise InputError(f"{', '.join(packaged)}: the weights lie in the package, there is nothing to fetch")
    use_mirror(mirror)
    quiet_libraries()
    folder = None if to is None else user_path(to).absolute()
    failed = 0
    for entry in entries:
        if entry.packaged or (every and not entry.published):
            continue
        try:
            path = _fetched(entry, folder, ignore_unused)
        except OvvisError as error:  # the others may be had
            failed += 1
            complain(str(error))
            if error.report:
                paste(error.report)
            continue
        out.print(f"{entry.name}: {escape(str(path))}, {path.stat().st_size / 2**20:,.0f} MiB", soft_wrap=True)
        known = pinned(path)
        if known is not None and known.sha256 and not any(source.sha256 for source in entry.sources):
            out.print(f"  to pin it: {escape(repr(known))}", soft_wrap=True)
    if folder is not None and any(folder.glob("*.safetensors")):
        use = f"{MIRROR}={shlex.quote(str(folder))} {OFFLINE[0]}=1"
        out.print(f"There, in front of a command: {escape(use)}", soft_wrap=True)
    if failed:
        complain(f"{count(failed, 'model')} could not be had")
        raise typer.Exit(NOT_ALL)


def _fetched(entry: ModelEntry, folder: Path | None, ignore_unused: bool) -> Path:
    """Return the weights in a folder, or in the cache; a copy of the cache's where they are there."""
    from ovvis.files.output import whole_file
    from ovvis.models.own_weights import fetch_weights

    here = weights_path(entry)
    if folder is not None and here.is_file() and not (folder / entry.file).is_file():
        fetch_weights(entry)  # verifies it
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / entry.file) as partial:
            shutil.copyfile(here, partial)
        record_checksum(folder / entry.file)
        return folder / entry.file
    with progress(f"fetching {entry.name}", "B") as fetched:
        return fetch_weights(entry, fetched, folder, ignore_unused=ignore_unused)


def _as_json(entry: ModelEntry, runs: bool, runs_here: list[Measured]) -> dict[str, Any]:
    here = weights_path(entry)
    return {
        "name": entry.name,
        "family": entry.family,
        "default": runs,
        "parameters_millions": entry.parameters,
        "trained_on": entry.training_data,
        "published_ap": entry.published_ap,
        "published": [asdict(one) for one in figures_of_model(entry.name)],
        "weights": str(here) if here.is_file() else None,
        "weights_bytes": _bytes(entry) or None,
        "measured": [
            {
                "network_size": [one.height, one.width],
                "device": one.device,
                "precision": one.precision,
                "seconds_a_frame": round(one.seconds, 4),
                "frames": one.frames,
            }
            for one in runs_here
            if one.model == entry.name
        ],
        "sources": [source.address for source in entry.sources],
        "licences": {"code": entry.code_licence, "weights": entry.weights_licence, "data": entry.data_licence},
    }


def _place(entry: ModelEntry) -> str:
    here = weights_path(entry)
    if entry.packaged:
        return f"in the package: {here}" if here.is_file() else f"not installed: {lacking(entry.name)}"
    if not entry.published and not here.is_file():
        return "none are published: train it (`ovvis train --list`)"
    if here.is_file():
        return f"here: {here} ({here.stat().st_size / 2**20:,.0f} MiB)"
    return f"not here yet; fetched on first use from {entry.url}"


def _bytes(entry: ModelEntry) -> int:
    """Return what a model's weights take on the disk, with those that it shares with others; 0 where none are here."""
    files = weights_files(entry)
    return sum(file.stat().st_size for file in files if file.is_file()) if files[0].is_file() else 0


def _here(entries: list[ModelEntry]) -> Table:
    """Return the models whose weights are here, with what they take on the disk and what a frame took."""
    table = listing("On this machine", narrow=True)
    table.add_column("model", no_wrap=True)
    table.add_column("on disk", justify="right", no_wrap=True)
    table.add_column("s a frame", justify="right", no_wrap=True)
    table.add_column("measured at")
    runs_here = measured()
    for entry in entries:
        if not (size := _bytes(entry)):
            continue
        rows = [
            (f"{one.seconds:.3g}", f"{one.height}x{one.width}, {one.precision}, {one.device}")
            for one in reversed(runs_here)
            if one.model == entry.name
        ]
        for number, (seconds, where) in enumerate(rows[:RUNS] or [("-", "")]):
            first = (entry.name, f"{size / 2**20:,.0f} MiB") if number == 0 else ("", "")
            table.add_row(*first, seconds, escape(where))
    return table


def _table(entries: list[ModelEntry], runs: str) -> Table:
    """Return the numbers that people compare."""
    table = listing("AP as published (percent); * runs where no model is named", narrow=True)
    table.add_column("model", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    columns = list(dict.fromkeys(column for entry in entries for column in entry.published_ap))
    for column in columns:
        table.add_column(re.sub(r"[ ]|(?<=S)(?=[0-9])", "\n", column), justify="right", no_wrap=True)
    for entry in entries:
        table.add_row(
            f"{entry.name} *" if entry.name == runs else entry.name,
            f"{entry.parameters} M",
            *(f"{entry.published_ap[column]:.1f}" if column in entry.published_ap else "" for column in columns),
        )
    return table


DATASET_NAMES = {
    "lvvis_val": "LV-VIS val",
    "lvvis_test": "LV-VIS test",
    "ytvis_2019_val": "YTVIS19",
    "ytvis_2021_val": "YTVIS21",
    "burst_val": "BURST",
}
SOURCE_NAMES = {"clip-vis-v1": "paper, first version", "clip-vis-v2": "abstract, June 2024", "ovformer": "paper"}


def _base_and_novel(model: str) -> list[tuple[str, str]]:
    """Return AP, base and novel where a source tells them apart: a heading and a line for each source."""
    figures, lines = figures_of_model(model), []
    for source in dict.fromkeys(one.source for one in figures):
        found = {(one.dataset, one.figure): one.value for one in figures if one.source == source}
        parts = []
        for dataset, title in DATASET_NAMES.items():
            values = [f"{name} {found[dataset, name]:.1f}" for name in (AP, BASE, NOVEL) if (dataset, name) in found]
            if len(values) > 1:
                parts.append(f"{title} {', '.join(values)}")
        if parts:
            lines.append((f"base and novel ({SOURCE_NAMES[source]})", "; ".join(parts)))
    return lines
