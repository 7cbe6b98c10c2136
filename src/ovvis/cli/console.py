"""What the verbs print with: one line for an error, a bar for long work, short words for numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

out = Console(highlight=False)
notes = Console(stderr=True, highlight=False)


class Advance(Protocol):
    """What moves a bar."""

    def __call__(self, done: int, in_all: int | None = None, /) -> None:
        """Set how much is done, and how much there is in all where that was not known."""


def complain(message: str) -> None:
    """Print an error as one line on standard error."""
    # Rich would wrap it; a line is easier to search for and to copy.
    print(f"ovvis: {' '.join(message.split())}", file=sys.stderr)


def warn(message: str) -> None:
    """Print a warning as one line on standard error."""
    notes.print(f"[yellow]{escape(message)}[/yellow]", soft_wrap=True)


@contextmanager
def progress(what: str, unit: str, total: int | None = None) -> Iterator[Advance]:
    """Show long work with its rate and an estimate of the rest; yields what to call with (done, in all)."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=notes,
        transient=True,
    ) as bar:
        task: list[TaskID] = []

        def advance(done: int, in_all: int | None = None, /) -> None:
            # The bar appears with the first step: work that has nothing to do shows none.
            if not task:
                task.append(bar.add_task(what, total=in_all or total))
            bar.update(task[0], completed=done, total=in_all or total)

        yield advance


class _Rate(ProgressColumn):
    """Units a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Return the rate as text."""
        speed = task.finished_speed or task.speed
        return Text(
            "" if not speed else f"{speed:.2f} {self._unit}/s" if speed < 100 else f"{speed:.0f} {self._unit}/s"
        )
