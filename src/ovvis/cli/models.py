"""`ovvis models`: the zoo."""

from __future__ import annotations

import re

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ovvis.cli.console import out
from ovvis.models.places import weights_path
from ovvis.models.zoo import DEFAULT_MODEL, ModelEntry, list_models


def models() -> None:
    """List the models: size, training data, published AP, licences, where the weights come from."""
    entries = list_models()
    out.print(_table(entries))
    for entry in entries:
        out.print(f"[bold]{entry.name}[/bold]")
        on_images = ", ".join(f"{name} AP {ap:.1f}" for name, ap in entry.image_ap.items())
        for name, value in (
            ("trained on", entry.training_data),
            *((("single images", on_images),) if on_images else ()),
            ("weights", _place(entry)),
            ("licences", f"code {entry.code_licence}; weights {entry.weights_licence}; data {entry.data_licence}"),
        ):
            out.print(f"  {name}: {escape(value)}", soft_wrap=True)
    example = weights_path(next(entry for entry in entries if entry.published and not entry.packaged))
    out.print(f"\nFetched by hand: ovvis convert FILE {escape(str(example))}", soft_wrap=True)


def _place(entry: ModelEntry) -> str:
    here = weights_path(entry)
    if entry.packaged:
        return f"in the package: {here}" if here.is_file() else f"missing from this installation ({here})"
    if not entry.published and not here.is_file():
        return "none are published: train it (`ovvis train --list`)"
    return f"here: {here}" if here.is_file() else f"not here yet; fetched on first use from {entry.url}"


def _table(entries: list[ModelEntry]) -> Table:
    """Return the numbers that people compare."""
    table = Table(
        title="AP as published (percent); * runs where no model is named",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("model", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    columns = list(dict.fromkeys(column for entry in entries for column in entry.published_ap))
    for column in columns:
        table.add_column(re.sub(r"[ ]|(?<=S)(?=[0-9])", "\n", column), justify="right", no_wrap=True)
    for entry in entries:
        table.add_row(
            f"{entry.name} *" if entry.name == DEFAULT_MODEL else entry.name,
            f"{entry.parameters} M",
            *(f"{entry.published_ap[column]:.1f}" if column in entry.published_ap else "" for column in columns),
        )
    return table
