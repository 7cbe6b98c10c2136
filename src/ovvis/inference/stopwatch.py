"""Where the time goes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
    """Adds up seconds by stage. An accelerator is waited for, so that its work counts where it was asked for.

    Args:
        device: the device of the work; None where no accelerator takes part.
        beside: is told of each stage.
    """

    def __init__(self, device: torch.device | None = None, beside: Beside | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._device, self.beside = device, beside

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        if self.beside is not None:
            self.beside.begin(stage)
        start = time.perf_counter()
        try:
            yield
        finally:
            if self.beside is not None:
                self.beside.end()
            if self._device is not None and self._device.type == "cuda":
                import torch

                torch.cuda.synchronize(self._device)
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def each(self, stage: str, items: Iterable[Item]) -> Iterator[Item]:
        """Pass items on and add the time of making them to a stage."""
        iterator = iter(items)
        while True:
            with self(stage):
                item = next(iterator, None)
            if item is None:
                return
            yield item
