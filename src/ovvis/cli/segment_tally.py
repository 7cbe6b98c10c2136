"""What became of many videos: counted, and those shown that have something to tell."""

from __future__ import annotations

from collections import Counter

from rich.markup import escape

from ovvis.cli.console import count, listing, out
from ovvis.cluster.segmenting import Row

LONGEST = 30
"""Rows of the table; those with something to tell come first."""


class Tally:
    """Counts videos by what became of them, and keeps as many rows as are shown: there may be a million."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self._rows: dict[str, list[Row]] = {"broken": [], "part": [], "done": [], "there": []}

    def add(self, row: Row) -> None:
        """Count a video."""
        self.states[row.state] += 1
        kept = self._rows[row.state]
        if len(kept) < LONGEST:
            kept.append(row)

    @property
    def total(self) -> int:
        """How many videos there were."""
        return self.states.total()

    @property
    def done(self) -> int:
        """How many have results."""
        return self.total - self.states["broken"]

    def show(self) -> None:
        """Print the table."""
        table = listing(count(self.total, "video"))
        table.add_column("video", overflow="fold")
        for name in ("frames", "instances", "seconds"):
            table.add_column(name, justify="right")
        table.add_column("", overflow="fold")
        kinds = ("broken", "part", "done", "there") if self.total <= LONGEST else ("broken", "part", "done")
        shown = [row for kind in kinds for row in self._rows[kind]][:LONGEST]
        for row in shown:
            figures = ["" if value is None else str(value) for value in (row.frames, row.instances)]
            seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
            said = {"broken": "left out: ", "part": "in part: "}.get(row.state, "") + row.said
            table.add_row(escape(row.name), *figures, seconds, escape(said))
        out.print(table)
        if self.total > len(shown):
            out.print(f"... and {self.total - len(shown):,} more.")
        if there := self.states["there"]:
            out.print(f"{count(there, 'video')} had results already: --overwrite makes them anew.")
