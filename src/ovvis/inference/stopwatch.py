"""Where the time goes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:  # a command starts its watch before PyTorch is imported
    import torch

Item = TypeVar("Item")


class Beside(Protocol):
    """Something else that is to know when a stage begins and ends."""

    def begin(self, stage: str) -> None:
        """Enter a stage."""

    def end(self) -> None:
        """Leave the stage that was entered last."""


class Stopwatch:
    """Adds up seconds by stage.

    An accelerator is waited for at the end of each stage, so that its work counts where it was asked for. Where it may
    not be waited for, a stage is what lies between two marks among the accelerator's own work: what the CPU does counts
    only as far as the accelerator waits for it.

    Args:
        device: the device of the work; None where no accelerator takes part.
        beside: is told of each stage.
        wait: whether it may be waited for.
        mark: makes a mark; None takes CUDA's events.
    """

    def __init__(
        self,
        device: torch.device | None = None,
        beside: Beside | None = None,
        *,
        wait: bool = True,
        mark: Callable[[], torch.cuda.Event] | None = None,
    ) -> None:
        self._seconds: dict[str, float] = {}
        self.beside = beside
        self._device = device if device is not None and device.type == "cuda" else None
        self._mark = mark or (None if wait or self._device is None else self._event)
        self._marked: deque[tuple[str, torch.cuda.Event, torch.cuda.Event]] = deque()

    @property
    def seconds(self) -> dict[str, float]:
        """The seconds of each stage so far; work that was asked for is waited for."""
        while self._marked:
            self._marked[0][2].synchronize()
            self._count()
        return self._seconds

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        if self.beside is not None:
            self.beside.begin(stage)
        begun = None if self._mark is None else self._mark()
        start = time.perf_counter()
        try:
            yield
        finally:
            if self.beside is not None:
                self.beside.end()
            if self._mark is not None and begun is not None:
                self._marked.append((stage, begun, self._mark()))
                while self._marked and self._marked[0][2].query():
                    self._count()
            else:
                self._wait()
                self._add(stage, time.perf_counter() - start)

    def _wait(self) -> None:
        if self._device is not None:
            import torch

            torch.cuda.synchronize(self._device)

    def _event(self) -> torch.cuda.Event:
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

    def _count(self) -> None:
        """Count the oldest stage whose end has come."""
        stage, begun, ended = self._marked.popleft()
        self._add(stage, begun.elapsed_time(ended) / 1000)

    def _add(self, stage: str, seconds: float) -> None:
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def each(self, stage: str, items: Iterable[Item]) -> Iterator[Item]:
        """Pass items on and add the time of making them to a stage."""
        return made_within(lambda: self(stage), items)


def made_within(context: Callable[[], AbstractContextManager[object]], items: Iterable[Item]) -> Iterator[Item]:
    """Yield items, none of them None, each of which is made within a context of its own, and used outside of it."""
    iterator = iter(items)
    while True:
        with context():
            item = next(iterator, None)
        if item is None:
            return
        yield item
