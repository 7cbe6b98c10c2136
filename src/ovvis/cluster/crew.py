"""Tasks for workers that may die: each is done once, or named as failed; never more under way than there are workers.

Whoever runs the workers (`Hands`) is not known here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from ovvis.cluster.waiting import InParts, Job, Queue
from ovvis.cluster.work import Begun, Fare, Lost, Outcome, Part, Raised, Spread, Spreadable, WholeOnly
from ovvis.errors import InputError, ResourceError

TRIES = 3
"""Workers that a task may kill before it is given up."""

NODES = 20
"""Machines that may go with a task before it is given up: machines that are lent are taken back at any time."""

FAILED_STARTS = 5  # in a row, after which something is wrong with all of them
PATIENCE = 900.0  # seconds without a worker: a cluster that grows takes minutes
SAID = 30.0  # seconds without a worker after which a line says so
LOOKED = 3.0  # seconds between looks at how large the cluster is
CUTTING = 60.0  # seconds in which a task is cut up, for whose parts workers stay


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
        spread: whether a task may be done in parts where workers would stand idle otherwise.
    """

    hands: Hands
    agree: Callable[[Begun, Hand], None]
    say: Callable[[str], None]
    workers: int | None = None
    tick: Callable[[], None] = lambda: None
    tidy: Callable[[Any], None] = lambda _: None
    spread: bool = False
    fares: dict[str, Fare] = field(default_factory=dict)  # by node
    model: str = ""
    loading: set[Any] = field(default_factory=set)
    idle: list[Any] = field(default_factory=list)
    busy: dict[Any, Job] = field(default_factory=dict)
    lost: int = 0  # workers that died
    _wholes: list[InParts] = field(default_factory=list)
    _said: set[str] = field(default_factory=set)  # why tasks are not done in parts
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
        queue = Queue(tasks)
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

    @property
    def in_parts(self) -> int:
        """How many frames are done of tasks that are not done yet, in parts that are."""
        return sum(whole.frames for whole in self._wholes)

    @property
    def _most(self) -> int:
        """How many workers there can be."""
        return max(1, self._room if self.workers is None else self.workers)

    def _hire(self, queue: Queue) -> None:
        """Have as many workers as there are tasks and room for; the first alone, so that it can share what it makes."""
        if time.monotonic() - self._looked > LOOKED:
            self._room, self._looked = self.hands.room(), time.monotonic()
        most = self._most if self._begun else 1
        here = len(self.busy) + len(self.idle) + len(self.loading)
        wanted = min(most, len(self.busy) + queue.up_to(most))
        for _ in range(here, wanted):
            self.loading.add(self.hands.hire(self._shared))
        now = time.monotonic()
        if any(job.asked and now - job.began < CUTTING for job in self.busy.values()):
            return  # there may be work for all of them in a moment
        while self.idle and len(self.busy) + len(self.idle) > wanted and not queue.up_to(1):
            self._leave(self.idle.pop())  # others may need the place

    def _assign(self, queue: Queue) -> None:
        while self.idle and queue.up_to(1):
            hand, job = self.idle.pop(), queue.next()
            job.began = time.monotonic()
            others = self._most > 1 and queue.up_to(self._most) < self._most  # would stand idle
            job.asked = self.spread and job.may_spread and job.whole is None and others
            self.busy[hand] = job
            self.hands.give(hand, Spreadable(job.task) if job.asked else job.task)

    def _take(self, hand: Any, answer: Any, queue: Queue) -> Iterator[Outcome]:
        if hand in self.loading:
            self._start(hand, answer)
            return
        job = self.busy.pop(hand)
        seconds = time.monotonic() - job.began
        if isinstance(answer, Lost):
            yield from self._lose(hand, job, answer, queue)
            return
        self.idle.append(hand)
        if isinstance(answer, Raised) and answer.kind == "resource":
            raise ResourceError(f"{hand.node}: {answer.message}")
        if job.whole is not None and job.whole.over:
            return
        fare = self.fares[hand.node]
        fare.seconds += 0 if isinstance(answer, Raised) else seconds
        if isinstance(answer, Spread):
            self._cut_up(job, answer, queue)
        elif isinstance(answer, WholeOnly):
            self._as_a_whole(job, answer, queue)
        elif isinstance(answer, Part) and job.whole is not None:
            self._count(job.whole, answer, queue)
        else:
            self._forget(job.whole, queue)
            problem = answer.message if isinstance(answer, Raised) else None
            fare.tasks += problem is None
            yield Outcome(job.answered, answer if problem is None else None, problem, hand.node, seconds)

    def _cut_up(self, job: Job, answer: Spread, queue: Queue) -> None:
        whole = InParts(job.task, answer.then, len(answer.parts))
        self._wholes.append(whole)
        queue.again(*(Job(part, whole=whole) for part in answer.parts or [whole.then]))

    def _count(self, whole: InParts, part: Part, queue: Queue) -> None:
        """Count a part; when it was the last, its task's end is next."""
        whole.left, whole.frames = whole.left - 1, whole.frames + part.frames
        if not whole.left:
            queue.again(Job(whole.then, whole=whole))

    def _as_a_whole(self, job: Job, answer: WholeOnly, queue: Queue) -> None:
        if answer.why not in self._said:
            self._said.add(answer.why)
            self.say(answer.why)
        self._forget(job.whole, queue)
        queue.again(Job(job.answered, job.killed, job.nodes, may_spread=False))

    def _forget(self, whole: InParts | None, queue: Queue) -> None:
        """Drop what is left of a task that was done in parts."""
        if whole is not None:
            whole.over = True
            self._wholes.remove(whole)
            queue.drop(whole)

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

    def _lose(self, hand: Any, job: Job, lost: Lost, queue: Queue) -> Iterator[Outcome]:
        """Take up again what a dead worker had at hand, or give it up."""
        self._leave(hand)
        self.fares[hand.node].lost += 1
        self.lost += 1
        self._looked = -1e9
        if job.whole is not None and job.whole.over:
            return
        job.killed, job.nodes = job.killed + (not lost.with_node), job.nodes + lost.with_node
        if job.killed < TRIES and job.nodes < NODES:
            queue.again(job)
            return
        self.tidy(job.task)
        self._forget(job.whole, queue)
        how = f"{job.killed} workers died at it" if job.killed >= TRIES else f"{job.nodes} machines went with it"
        yield Outcome(job.answered, None, f"{how} ({lost.reason})", hand.node)

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
