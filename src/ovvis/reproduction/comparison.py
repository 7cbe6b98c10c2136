"""The papers' tables with ours beside: published, ours, the difference, and whether it is within the tolerance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ovvis.reproduction.papers import Column, PublishedRow, PublishedTable

Mark = Literal["within", "outside", ""]
MADE = ""  # the state of a cell that has a figure of ours


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of a table, and ours."""

    column: Column
    printed: str  # "" where nothing is
    published: float | None
    ours: float | None  # percent
    state: str  # why there is none of ours; MADE where there is one

    @property
    def difference(self) -> float | None:
        """Ours less the published number; None where one is missing."""
        return None if self.published is None or self.ours is None else self.ours - self.published

    def mark(self, tolerance: float) -> Mark:
        """Return whether ours is as near as stated, rounded to the digit that is printed."""
        if self.published is None or self.ours is None:
            return ""
        return "within" if abs(round(self.ours, 1) - self.published) <= tolerance + 1e-9 else "outside"


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """A row with ours beside."""

    row: PublishedRow
    cells: tuple[Cell, ...]
    made_by: str  # the model, or ""


@dataclass(frozen=True, slots=True)
class ComparedTable:
    """A table with ours beside."""

    table: PublishedTable
    rows: tuple[ComparedRow, ...]

    def count(self, mark: Mark) -> int:
        """Return how many of our figures have a mark."""
        return sum(cell.mark(self.table.source.tolerance) == mark for row in self.rows for cell in row.cells)


Found = Mapping[tuple[str, str], Mapping[str, float]]  # "TABLE: ROW", dataset -> figures, percent


def compare(
    tables: Sequence[PublishedTable],
    found: Found,
    states: Mapping[tuple[str, str], str],
    makers: Mapping[str, str],
) -> tuple[ComparedTable, ...]:
    """Put our figures beside the published ones.

    Args:
        tables: which.
        found: our figures.
        states: why a row ("TABLE: ROW") of a dataset has none.
        makers: the model of each row.
    """
    out = []
    for table in tables:
        rows = []
        for row in table.rows:
            place = f"{table.name}: {row.name}"
            cells = tuple(_cell(place, row, column, found, states) for column in table.columns)
            rows.append(ComparedRow(row, cells, makers.get(place, "")))
        out.append(ComparedTable(table, tuple(rows)))
    return tuple(out)


def _cell(place: str, row: PublishedRow, column: Column, found: Found, states: Mapping[tuple[str, str], str]) -> Cell:
    number = row.number(column) or next(
        (other for other in row.numbers if other.column.dataset == column.dataset and other.printed.endswith("*")), None
    )
    # A number with an asterisk stands in the column of another figure than its own.
    if number is not None and number.column != column and column.figure != "novel":
        number = None
    of = number.column if number else column
    ours = found.get((place, of.dataset), {}).get(of.figure)
    printed, published = (number.printed, number.value) if number else ("", None)
    state = MADE if ours is not None else states.get((place, of.dataset), row.why)
    return Cell(of, printed, published, ours, state)
