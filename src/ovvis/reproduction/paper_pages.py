"""The papers' tables with ours beside, as Markdown, CSV and HTML."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from ovvis.plain import cell as plain_cell
from ovvis.plain import markdown_table
from ovvis.report.page import figures, page, section, table
from ovvis.reproduction.comparison import Cell, ComparedRow, ComparedTable

WITHIN, OUTSIDE = "✓", "✗"
FIGURE_NAMES = {"AP": "AP", "base": "APb", "novel": "APn", "uncommon": "APu", "params": "params", "flops": "FLOPs"}
DATASET_NAMES = {
    "lvvis_val": "LV-VIS val",
    "lvvis_test": "LV-VIS test",
    "ovis_val": "OVIS",
    "ytvis_2019_val": "YTVIS19",
    "ytvis_2021_val": "YTVIS21",
    "burst_val": "BURST",
}
CSV_HEAD = (
    "table",
    "place",
    "source",
    "row",
    "method",
    "training",
    "backbone",
    "made_by",
    "dataset",
    "figure",
    "published",
    "ours",
    "difference",
    "tolerance",
    "mark",
    "why_none",
    "note",
)


def head(compared: ComparedTable) -> list[str]:
    """Return the names of a table's columns."""
    names = [f"{DATASET_NAMES.get(c.dataset, c.dataset)} {FIGURE_NAMES[c.figure]}" for c in compared.table.columns]
    return ["row", "training", *names]


def cells(compared: ComparedTable, row: ComparedRow) -> list[str]:
    """Return a row's cells: published → ours (difference), with a mark."""
    tolerance = compared.table.source.tolerance
    # Rows of an ablation are called as ours are; the paper's own words stand behind.
    title = f"{row.row.name} ({row.row.method})" if compared.table.ablation else row.row.name
    return [title, row.row.training or "-", *(told(cell, tolerance) for cell in row.cells)]


def told(cell: Cell, tolerance: float) -> str:
    """Return a cell.

    >>> from ovvis.reproduction.papers import Column
    >>> told(Cell(Column("lvvis_val", "AP"), "18.8", 18.8, 19.46, ""), 2.0)
    '18.8 → 19.5 (+0.7 ✓)'
    >>> told(Cell(Column("lvvis_val", "AP"), "18.8", 18.8, None, "no data"), 2.0)
    '18.8'
    """
    printed = cell.printed or "-"
    if cell.ours is None:
        return printed
    if cell.difference is None:
        return f"{printed} → {cell.ours:.1f}"
    mark = WITHIN if cell.mark(tolerance) == "within" else OUTSIDE
    return f"{printed} → {cell.ours:.1f} ({cell.difference:+.1f} {mark})"


def lead(compared: ComparedTable) -> str:
    """Return what a table is, and when a figure of ours counts as near."""
    source = compared.table.source
    note = f" {compared.table.note}" if compared.table.note else ""
    return (
        f"{source.title}, {compared.table.place}.{note} Published → ours (difference); "
        f"✓ within {source.tolerance:g}, ✗ outside: {source.why_tolerance}."
    )


def notes(compared: ComparedTable) -> list[str]:
    """Return why rows have no figure of ours, and what is odd about printed ones, a line each."""
    reasons: dict[str, dict[str, None]] = {}
    for row in compared.rows:
        for cell in row.cells:
            if cell.ours is None and cell.state:
                where = DATASET_NAMES.get(cell.column.dataset, cell.column.dataset)
                told = row.row.name if row.row.why else f"{row.row.name} on {where}"
                reasons.setdefault(cell.state, {})[told] = None
    out = [f"{', '.join(names)}: {reason}." for reason, names in reasons.items()]
    return out + [f"{row.row.name}: {row.row.note}." for row in compared.rows if row.row.note]


def markdown(tables: Sequence[ComparedTable], title: str, foot: str) -> str:
    """Return all tables as one page."""
    parts = [f"# {title}\n", f"{summary(tables)}\n"]
    for one in tables:
        made = markdown_table(head(one), [cells(one, row) for row in one.rows], words=2)
        told = "".join(f"- {note}\n" for note in notes(one))
        parts.append(f"## {one.table.name}: {one.table.title}\n\n{lead(one)}\n\n{made}\n" + (told and f"\n{told}"))
    return "\n".join(parts) + f"\n{foot}\n"


def html(tables: Sequence[ComparedTable], title: str, foot: str) -> str:
    """Return all tables as one page that needs nothing from elsewhere."""
    sections = [section("In all", "", figures(_counts(tables)))]
    for one in tables:
        body = table(head(one), (cells(one, row) for row in one.rows), words=2)
        because = table(["why there is none of ours, and what is odd"], ([note] for note in notes(one)))
        sections.append(section(f"{one.table.name}: {one.table.title}", lead(one), body, because if notes(one) else ""))
    return page(title, summary(tables), sections, foot)


def as_csv(tables: Sequence[ComparedTable]) -> str:
    """Return a line for every number, with its place."""
    file = io.StringIO()
    write = csv.writer(file, lineterminator="\n")
    write.writerow(CSV_HEAD)
    for one in tables:
        for row in one.rows:
            for cell in row.cells:
                write.writerow(map(plain_cell, _csv_line(one, row, cell)))
    return file.getvalue()


def _csv_line(one: ComparedTable, row: ComparedRow, cell: Cell) -> Iterable[str]:
    tolerance = one.table.source.tolerance
    yield from (one.table.name, one.table.place, one.table.source.name, row.row.name, row.row.method)
    yield from (row.row.training, row.row.backbone, row.made_by, cell.column.dataset, cell.column.figure)
    yield from (cell.printed, "" if cell.ours is None else repr(cell.ours))
    yield "" if cell.difference is None else f"{cell.difference:.3f}"
    yield from (f"{tolerance:g}", cell.mark(tolerance), cell.state if cell.ours is None else "", row.row.note)


def summary(tables: Sequence[ComparedTable]) -> str:
    """Return how many figures are made, in a sentence."""
    counts = dict(_counts(tables))
    return "; ".join(f"{name} {value}" for name, value in counts.items()) + "."


def _counts(tables: Sequence[ComparedTable]) -> list[tuple[str, str]]:
    every = [(cell, one.table.source.tolerance) for one in tables for row in one.rows for cell in row.cells]
    marks = [cell.mark(tolerance) for cell, tolerance in every]
    return [
        ("published", f"{sum(cell.published is not None for cell, _ in every):,}"),
        ("made", f"{sum(cell.ours is not None for cell, _ in every):,}"),
        ("within the tolerance", f"{marks.count('within'):,}"),
        ("outside", f"{marks.count('outside'):,}"),
    ]
