"""Tasks for workers that may die: each is done once, or named as failed; never more under way than there are workers.

Whoever runs the workers (`Hands`) is not known here.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from ovvis.cluster.work import Begun, Fare, Lost, Outcome, Raised
from ovvis.errors import InputError, ResourceError

TRIES = 3
"""Workers that a task may kill before it is given up."""

NODES = 20
"""Machines that may go with a task before it is given up: machines that are lent are taken back at any time."""

FAILED_STARTS = 5  # in a row, after which something is wrong with all of them
PATIENCE = 900.0  # seconds without a worker: a cluster that grows takes minutes
SAID = 30.0  # seconds without a worker after which a line says so
LOOKED = 3.0  # seconds between looks at how large the cluster is


class Hand(Protocol):
    """One worker."""

    @property
    def node(self) -> str:
        """Its machine, for people; empty until it is known."""

    @property
    def versions(self) -> dict[str, str]:
        """What it runs, by name."""


class Hands(Protocol):
    """Runs workers somewhere. Each does one thing at a time."""

    def room(self) -> int:
        """Return how many workers the machines that are there can have, those that work already among them."""

    def hire(self, shared: Any | None) -> Hand:
        """Start a worker, which loads what it needs: its first answer is a `Begun`."""

    def give(self, hand: Any, task: Any) -> None:
        """Give a task to a worker that has answered."""

    def dismiss(self, hand: Any) -> None:
        """End a worker, whatever it does."""

    def wait(self, seconds: float) -> list[tuple[Any, Any]]:
        """Return workers with their answers, `Lost` or `Raised`; none if there is no answer for so long."""

    def under_way(self) -> int:
        """Return how many frames of the tasks at hand are done, as far as it is known."""


@dataclass(slots=True)
class _Job:
    task: Any
    killed: int = 0  # workers that died at it
    nodes: int = 0  # machines that went with it
    began: float = 0.0


class _Queue:
    """Tasks that are read when they are needed, those that come back first."""

    def __init__(self, tasks: Iterable[Any]) -> None:
        self._tasks, self._over = iter(tasks), False
        self._waiting: deque[_Job] = deque()

    def up_to(self, number: int) -> int:
        """Return how many tasks wait, at most so many; more than that are not read."""
        while len(self._waiting) < number and not self._over:
            for task in self._tasks:
                self._waiting.append(_Job(task))
                break
            else:
                self._over = True
        return min(len(self._waiting), number)

    def next(self) -> _Job:
        return self._waiting.popleft()

    def again(self, job: _Job) -> None:
        self._waiting.appendleft(job)


@dataclass
class Crew:
    """Hands out tasks.

    Args:
        hands: runs the workers.
        agree: called with what each worker says that makes its results, and its node; it raises where that differs.
        say: told what a person should know, a line each.
        workers: how many at most; None: as many as there is room for.
        tick: called several times a second while there is work.
        tidy: called with a task that nobody goes on with, when its last worker was killed.
    """

    hands: Hands
    agree: Callable[[Begun, Hand], None]
    say: Callable[[str], None]
    workers: int | None = None
    tick: Callable[[], None] = lambda: None
    tidy: Callable[[Any], None] = lambda _: None
    fares: dict[str, Fare] = field(default_factory=dict)  # by node
    model: str = ""
    loading: set[Any] = field(default_factory=set)
    idle: list[Any] = field(default_factory=list)
    busy: dict[Any, _Job] = field(default_factory=dict)
    lost: int = 0  # workers that died
    _shared: Any = None
    _begun: bool = False  # whether a worker has ever begun
    _failed: int = 0  # starts in a row
    _room: int = 0
    _looked: float = -1e9
    _alive: float = 0.0  # when there was a worker that had loaded

    def run(self, tasks: Iterable[Any]) -> Generator[Outcome]:
        """Yield what came of each task, in the order in which they are done; tasks are read as they are needed.

        Raises:
            OvvisError: what a worker raised that ends all work, or no worker can be had.
        """
        queue = _Queue(tasks)
        self._alive, said = time.monotonic(), False
        try:
            while self.busy or queue.up_to(1):
                self._hire(queue)
                self._assign(queue)
                for hand, answer in self.hands.wait(0.25):
                    yield from self._take(hand, answer, queue)
                self.tick()
                if self.busy or self.idle:
                    self._alive, said = time.monotonic(), False
                said = self._without_workers(said)
        finally:
            for hand in [*self.busy, *self.idle, *self.loading]:
                self.hands.dismiss(hand)
            for job in self.busy.values():
                self.tidy(job.task)

    def _hire(self, queue: _Queue) -> None:
        """Have as many workers as there are tasks and room for; the first alone, so that it can share what it makes."""
        if time.monotonic() - self._looked > LOOKED:
            self._room, self._looked = self.hands.room(), time.monotonic()
        most = max(1, self._room if self.workers is None else self.workers) if self._begun else 1
        here = len(self.busy) + len(self.idle) + len(self.loading)
        wanted = min(most, len(self.busy) + queue.up_to(most))
        for _ in range(here, wanted):
            self.loading.add(self.hands.hire(self._shared))
        while self.idle and len(self.busy) + len(self.idle) > wanted and not queue.up_to(1):
            self._leave(self.idle.pop())  # others may need the place

    def _assign(self, queue: _Queue) -> None:
        while self.idle and queue.up_to(1):
            hand, job = self.idle.pop(), queue.next()
            job.began = time.monotonic()
            self.busy[hand] = job
            self.hands.give(hand, job.task)

    def _take(self, hand: Any, answer: Any, queue: _Queue) -> Iterator[Outcome]:
        if hand in self.loading:
            self._start(hand, answer)
            return
        job = self.busy.pop(hand)
        seconds = time.monotonic() - job.began
        if isinstance(answer, Lost):
            yield from self._lose(hand, job, answer, queue)
            return
        self.idle.append(hand)
        if not isinstance(answer, Raised):
            fare = self.fares[hand.node]
            fare.tasks, fare.seconds = fare.tasks + 1, fare.seconds + seconds
            yield Outcome(job.task, answer, None, hand.node, seconds)
        elif answer.kind == "resource":
            raise ResourceError(f"{hand.node}: {answer.message}")
        else:
            yield Outcome(job.task, None, answer.message, hand.node, seconds)

    def _start(self, hand: Any, answer: Any) -> None:
        """Take a worker in, or see why there is none."""
        self.loading.remove(hand)
        if isinstance(answer, Raised):
            self.hands.dismiss(hand)
            kind = ResourceError if answer.kind == "resource" else InputError
            raise kind(f"{hand.node}: {answer.message}" if hand.node else answer.message)
        if isinstance(answer, Lost):
            self.hands.dismiss(hand)
            self._failed += 1
            if self._failed >= FAILED_STARTS and not (self.busy or self.idle):
                raise ResourceError(f"no worker starts, {self._failed} died while they loaded ({answer.reason})")
            return
        self.agree(answer, hand)
        fare = self.fares.setdefault(hand.node, Fare())
        fare.workers, fare.versions = fare.workers + 1, hand.versions
        self.model, self._failed, self._begun = answer.model, 0, True
        self._shared = answer.shared if self._shared is None else self._shared
        self.idle.append(hand)
        self._looked = -1e9

    def _lose(self, hand: Any, job: _Job, lost: Lost, queue: _Queue) -> Iterator[Outcome]:
        """Take up again what a dead worker had at hand, or give it up."""
        self._leave(hand)
        self.fares[hand.node].lost += 1
        self.lost += 1
        self._looked = -1e9
        job.killed, job.nodes = job.killed + (not lost.with_node), job.nodes + lost.with_node
        if job.killed < TRIES and job.nodes < NODES:
            queue.again(job)
            return
        self.tidy(job.task)
        how = f"{job.killed} workers died at it" if job.killed >= TRIES else f"{job.nodes} machines went with it"
        yield Outcome(job.task, None, f"{how} ({lost.reason})", hand.node)

    def _leave(self, hand: Any) -> None:
        self.hands.dismiss(hand)
        self.fares[hand.node].workers -= 1

    def _without_workers(self, said: bool) -> bool:
        """Say, and in the end complain, that there is nobody to do the work; return whether it was said."""
        gone = time.monotonic() - self._alive
        if gone > PATIENCE:
            raise ResourceError(
                f"no worker for {gone / 60:.0f} minutes: the cluster has no free place for one; give it machines, or "
                "ask for less with --ray-cpus and --ray-gpus"
            )
        if gone > SAID and not said:
            self.say("Waiting for a worker: the cluster has no free place for one, or it is still loading.")
            return True
        return said
