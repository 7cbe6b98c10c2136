"""What the papers and their authors' READMEs print: every number with its place. The numbers lie in papers.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from ovvis.errors import InputError, nearest

AP, BASE, NOVEL, UNCOMMON = "AP", "base", "novel", "uncommon"  # figures; percent
NONE = "-"  # as printed where there is no number
APU = "*"  # behind a number of BURST that is of its uncommon classes


@dataclass(frozen=True, slots=True)
class Source:
    """A version of a paper, or a README."""

    name: str
    title: str
    tolerance: float  # points; how far a figure of ours may be from a printed one
    why_tolerance: str


@dataclass(frozen=True, slots=True)
class Column:
    """What a number of a row is of."""

    dataset: str  # of the catalogue; in a table of costs a part of the network
    figure: str

    @property
    def name(self) -> str:
        """Return the column as the data file names it."""
        return f"{self.dataset}.{self.figure}"


@dataclass(frozen=True, slots=True)
class Number:
    """A printed number."""

    column: Column
    value: float
    printed: str


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """A row as printed."""

    name: str  # unique in its table
    method: str
    training: str
    backbone: str
    numbers: tuple[Number, ...]
    model: str  # of the zoo, that makes it; "": none
    ours: str  # the row of the table's ablation that makes it; "": none
    why: str  # why nothing makes it; "": something does
    note: str

    def number(self, column: Column) -> Number | None:
        """Return the number in a column; None where nothing is printed."""
        return next((number for number in self.numbers if number.column == column), None)


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table, or a figure, as printed."""

    name: str
    source: Source
    place: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[PublishedRow, ...]
    ablation: str  # the experiment that makes its rows; "": models of the zoo do
    note: str

    def row(self, name: str) -> PublishedRow:
        """Return a row by name.

        Raises:
            KeyError: there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"table {self.name} has no row {name!r}")

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets of its columns, in order."""
        return tuple(dict.fromkeys(column.dataset for column in self.columns))


@dataclass(frozen=True, slots=True)
class Stated:
    """Differences that a text states: by how many points one row is above another."""

    source: str
    place: str
    of: str
    against: str
    figures: Mapping[str, float]  # by column
    note: str = ""


@cache
def published_tables() -> Mapping[str, PublishedTable]:
    """Return all tables by name, in the papers' order."""
    read = _data()
    sources = {name: Source(name=name, **values) for name, values in read["sources"].items()}
    return {one["name"]: _table(one, sources, read["why"]) for one in read["tables"]}


def choose_tables(names: list[str]) -> tuple[PublishedTable, ...]:
    """Return tables by name, in the papers' order; all if no name is given.

    Raises:
        InputError: there is none of a name; the message lists the nearest.
    """
    known = published_tables()
    for name in names:
        if name not in known:
            raise InputError(f"table {name!r}: the papers have none of that name; {nearest(name, known)}")
    return tuple(table for table in known.values() if not names or table.name in names)


@cache
def published_row(place: str) -> PublishedRow:
    """Return a row by its place.

    Args:
        place: "TABLE: ROW".

    Raises:
        KeyError: there is none.
    """
    table, _, row = place.partition(": ")
    return published_tables()[table].row(row)


@cache
def stated_differences() -> tuple[Stated, ...]:
    """Return what the texts say beside the tables."""
    return tuple(Stated(**one) for one in _data()["stated"])


@dataclass(frozen=True, slots=True)
class ModelFigure:
    """A published figure of a model's weights."""

    dataset: str
    figure: str
    value: float
    source: str
    place: str


def figures_of_model(model: str) -> tuple[ModelFigure, ...]:
    """Return what is published of a model of the zoo, where sources differ each of them.

    Those that belong to the released weights (the READMEs') come first, then the papers'.
    """
    found = [
        ModelFigure(number.column.dataset, number.column.figure, number.value, table.source.name, table.place)
        for table in published_tables().values()
        for row in table.rows
        if row.model == model and not _of_costs(table)
        for number in row.numbers
    ]
    return tuple(sorted(found, key=lambda one: not one.source.endswith("readme")))


def best_figures(model: str) -> dict[str, dict[str, float]]:
    """Return one figure of each kind, by dataset: of the released weights where they are known, else the paper's."""
    out: dict[str, dict[str, float]] = {}
    for one in figures_of_model(model):
        out.setdefault(one.dataset, {}).setdefault(one.figure, one.value)
    return out


def stated_videos() -> Mapping[str, tuple[Mapping[str, int], str]]:
    """Return how many videos each source says a dataset has, and what is odd about it."""
    return {one["name"]: (one["videos"], one.get("note", "")) for one in _data()["datasets"]}


def _of_costs(table: PublishedTable) -> bool:
    return any(column.figure in ("params", "flops") for column in table.columns)


@cache
def _data() -> dict[str, Any]:
    text = resources.files("ovvis.reproduction").joinpath("papers.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _table(one: Mapping[str, Any], sources: Mapping[str, Source], reasons: Mapping[str, str]) -> PublishedTable:
    columns = tuple(Column(*name.split(".")) for name in one["columns"].split())
    ablation = one.get("ablation", "")
    return PublishedTable(
        name=one["name"],
        source=sources[one["source"]],
        place=one["place"],
        title=one["title"],
        columns=columns,
        rows=tuple(_row(row, columns, bool(ablation), reasons) for row in one["rows"]),
        ablation=ablation,
        note=one.get("note", ""),
    )


def _row(
    one: Mapping[str, str], columns: tuple[Column, ...], ablated: bool, reasons: Mapping[str, str]
) -> PublishedRow:
    numbers = []
    for column, printed in zip(columns, one["cells"].split(), strict=True):
        if printed != NONE:
            of = Column(column.dataset, UNCOMMON) if printed.endswith(APU) else column
            numbers.append(Number(of, float(printed.removesuffix(APU)), printed))
    why = reasons[one["why"]] if "why" in one else ""
    return PublishedRow(
        name=one["row"],
        method=one["method"],
        training=one.get("training", ""),
        backbone=one["backbone"],
        numbers=tuple(numbers),
        model=one.get("model", ""),
        ours=one.get("ours", one["row"]) if ablated and not why else "",
        why=why,
        note=one.get("note", ""),
    )
