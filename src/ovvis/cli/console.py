"""What the verbs print with: one line for an error, a bar for long work, short words for numbers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult
from rich.control import Control
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ovvis.plain import visible
from ovvis.progress import Advance as Advance  # beside what shows it


class _Visible:
    """What is printed, with every character of it shown: names and paths may hold what a terminal obeys."""

    def __init__(self, inside: RenderableType) -> None:
        self._inside = inside

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for piece in console.render(self._inside, options):
            yield piece if piece.control else Segment(visible(piece.text), piece.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._inside)


class _Shown(RenderHook):
    """Makes everything that a console prints visible, whoever prints it."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [item if isinstance(item, Control) else _Visible(item) for item in renderables]


def _console(stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False)
    console.push_render_hook(_Shown())
    return console


out = _console()
notes = _console(stderr=True)


SILENCE = 60.0  # seconds between the lines of long work where there is no terminal


def count(number: int, thing: str, things: str = "") -> str:
    """Return a number and its noun: `1 frame`, `1,203 frames`."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def complain(message: str) -> None:
    """Print an error as one line on standard error."""
    # Rich would wrap it; a line is easier to search for and to copy.
    print(f"ovvis: {visible(' '.join(message.split()))}", file=sys.stderr)


def paste(report: str) -> None:
    """Print lines on standard error that may be pasted where somebody is asked for help."""
    print("", "To paste into an issue:", *map(visible, report.splitlines()), sep="\n", file=sys.stderr)


def warn(message: str) -> None:
    """Print a warning as one line on standard error."""
    notes.print(f"[yellow]{escape(message)}[/yellow]", soft_wrap=True)


def note(message: str) -> None:
    """Print what a person should know, and a program that reads the results should not, as a line on standard error."""
    notes.print(escape(message), soft_wrap=True)


def listing(title: str = "", *, narrow: bool = False) -> Table:
    """Return an empty table as all verbs show them.

    Args:
        title: above it, as rich's markup.
        narrow: whether there is less space between columns, for many of them.
    """
    padding = (0, 1, 0, 0) if narrow else (0, 1, 0, 1)
    return Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, padding=padding, pad_edge=narrow)


@contextmanager
def progress(what: str, unit: str, total: int | None = None) -> Iterator[Advance]:
    """Show long work with its rate and an estimate of the rest; yields what to call with (done, in all).

    A bar on a terminal; in a file, where a bar would be noise, a line every minute.
    """
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        _Rate(unit),
        _Times(),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    )
    task: list[TaskID] = []
    spoken = time.monotonic()

    def advance(done: int, in_all: int | None = None, now: str | None = None, /) -> None:
        nonlocal spoken
        # The bar appears with the first step: work that has nothing to do, or fails before it, shows none.
        if not task:
            bar.start()
            task.append(bar.add_task(visible(what), total=in_all or total))
        bar.update(task[0], completed=done, total=in_all or total, description=visible(now or what))
        if not notes.is_terminal and time.monotonic() - spoken >= SILENCE:
            spoken = time.monotonic()
            notes.print(escape(_line(bar.tasks[0], unit)), soft_wrap=True)

    try:
        yield advance
    finally:
        if task:
            bar.stop()


def _line(task: Task, unit: str) -> str:
    """Return what a bar shows, as text."""
    rate = _Rate(unit).render(task).plain
    of = "" if task.total is None else f" of {task.total:.0f}"
    return f"{task.description}: {task.completed:.0f}{of} {unit}{', ' if rate else ''}{rate}, {_times(task)}"


def _times(task: Task) -> str:
    """Return how long work has taken and will take, each with its word: two bare times are taken for each other."""
    spent = timedelta(seconds=int(task.finished_time or task.elapsed or 0))
    left = "" if task.time_remaining is None else f", {timedelta(seconds=int(task.time_remaining))} left"
    return f"{spent} so far{left}"


class _Times(ProgressColumn):
    """Time spent and time left."""

    def render(self, task: Task) -> Text:
        """Return both as text."""
        return Text(_times(task))


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
