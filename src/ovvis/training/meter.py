"""How fast a run goes and where its loss stands."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor

from ovvis.training.logbook import Record


class Meter:
    """Means over the steps since the last record.

    Args:
        steps: of the whole run.
        batch: windows in a step.
    """

    def __init__(self, steps: int, batch: int) -> None:
        self._steps, self._batch = steps, batch
        self._restart()

    def _restart(self) -> None:
        self._losses: dict[str, Tensor] = {}
        self._count, self._gradient, self._waited = 0, 0.0, 0.0
        self._began = time.perf_counter()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Take the block's time for waiting for data."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave the block's time out: a validation is no part of a step."""
        began = time.perf_counter()
        yield
        self._began += time.perf_counter() - began

    def add(self, losses: Mapping[str, Tensor], gradient: float) -> None:
        """Take one step's losses (scalars) and the norm of its gradients."""
        for name, loss in losses.items():
            self._losses[name] = self._losses[name] + loss if name in self._losses else loss
        self._gradient += gradient
        self._count += 1

    def record(self, step: int, rate: float, memory: int) -> Record:
        """Return the means up to a step, and begin anew."""
        seconds = (time.perf_counter() - self._began) / self._count
        losses = {name: float(loss) / self._count for name, loss in self._losses.items()}
        record = Record(
            step=step,
            steps=self._steps,
            loss=sum(losses.values()),
            losses=losses,
            rate=rate,
            gradient=self._gradient / self._count,
            seconds=seconds,
            waiting=self._waited / self._count,
            windows=self._batch / seconds,
            memory=memory,
        )
        self._restart()
        return record
