"""How work tells how far it has come, whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Advance(Protocol):
    """What is told how far work has come."""

    def __call__(self, done: int, in_all: int | None = None, what: str | None = None, /) -> None:
        """Set how much is done, how much there is in all where that was not known, and what is being done now."""


Bars = Callable[[str, str, int | None], AbstractContextManager[Advance]]
"""Shows work: given what it is, its unit and how much there is, the block gets what to tell."""


@contextmanager
def silent(what: str, unit: str, total: int | None = None) -> Iterator[Advance]:
    """Show nothing."""
    del what, unit, total
    yield lambda *_: None
