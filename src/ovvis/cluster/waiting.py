"""Tasks that wait for a worker: read when they are needed; those in parts, and what waits for their parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(eq=False, slots=True)
class InParts:
    """A task that is done in parts."""

    task: Any
    then: Any
    left: int  # parts that are not done
    frames: int = 0  # of those that are
    over: bool = False  # it was given up, or goes on as a whole: what still comes of its parts is nobody's


@dataclass(slots=True)
class Job:
    """A task on its way: who died at it, and what it belongs to."""

    task: Any
    killed: int = 0  # workers that died at it
    nodes: int = 0  # machines that went with it
    began: float = 0.0
    whole: InParts | None = None  # that it is a part of, or that it ends
    may_spread: bool = True
    asked: bool = False  # whether its workman may cut it up now

    @property
    def answered(self) -> Any:
        """The task that its outcome is of."""
        return self.task if self.whole is None else self.whole.task


class Queue:
    """Tasks that are read when they are needed, those that come back first."""

    def __init__(self, tasks: Iterable[Any]) -> None:
        self._tasks, self._over = iter(tasks), False
        self._waiting: deque[Job] = deque()

    def up_to(self, number: int) -> int:
        """Return how many tasks wait, at most so many; more than that are not read."""
        while len(self._waiting) < number and not self._over:
            for task in self._tasks:
                self._waiting.append(Job(task))
                break
            else:
                self._over = True
        return min(len(self._waiting), number)

    def next(self) -> Job:
        """Take the first out."""
        return self._waiting.popleft()

    def again(self, *jobs: Job) -> None:
        """Put jobs in front of all others."""
        self._waiting.extendleft(reversed(jobs))

    def drop(self, whole: InParts) -> None:
        """Forget the parts of a task that wait."""
        self._waiting = deque(job for job in self._waiting if job.whole is not whole)
