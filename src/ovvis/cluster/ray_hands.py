"""Workers as actors of Ray, on a cluster that is there or one that is started here. The only file that imports Ray."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError

from ovvis.cluster.facts import versions
from ovvis.cluster.spreading import FOLLOWING
from ovvis.cluster.work import Begun, Lost, MakeWorkman, Raised
from ovvis.errors import InputError, OvvisError, ResourceError
from ovvis.files.signals import ENDING
from ovvis.progress import Advance

LOCAL = "local"
"""The address that stands for a cluster started here, of this machine alone."""

STORE = 100 << 20
"""Bytes of shared memory of a cluster that is started here: nothing large travels."""

CORES = 2.0
"""Cores of a worker without a GPU."""

APPEARS = 15.0  # seconds
ASKED = 2.0  # seconds between questions how far a worker is


UNCOUNTED = ("painting", FOLLOWING)
"""What is done with frames that were counted already."""


class _Actor:
    """A worker's process: does what it is told, and returns errors instead of raising them."""

    def __init__(self, make: MakeWorkman, home: str, sees: tuple[str, ...], appears: float) -> None:
        self._make, self._home, self._sees, self._appears = make, home, sees, appears
        self._frames = 0

    def where(self) -> tuple[str, dict[str, str]]:
        """Return this machine's name, for people, and what runs on it."""
        node = str(ray.get_runtime_context().get_node_id())
        return f"{platform.node()} ({node[:6]})", versions()

    def begin(self, shared: Any | None) -> Any:
        """Load what is needed; return a `Begun` or `Raised`."""
        if Path(self._home).is_dir():
            os.chdir(self._home)  # paths as they were typed
        return self._safely(lambda: self._load(shared))

    def _load(self, shared: Any | None) -> Begun:
        end = time.monotonic() + self._appears
        while missing := [path for path in self._sees if not Path(path).exists()]:
            if time.monotonic() > end:
                place = Path(missing[0])
                shown = place.parent if ".partial" in place.name else place
                raise InputError(
                    f"this machine does not see {shown}: videos and results must lie under the same path on every "
                    "machine, or in a bucket"
                )
            time.sleep(0.2)
        self._workman = self._make()
        return self._workman.begin(shared)

    def work(self, task: Any) -> Any:
        """Do a task; return the workman's answer or `Raised`."""
        self._frames = 0
        return self._safely(lambda: self._workman.work(task, self._count))

    def frames(self) -> int:
        """Return how many frames of the task at hand are done."""
        return self._frames

    def _safely(self, act: Any) -> Any:
        try:
            return act()
        except OvvisError as error:
            return Raised(str(error), "resource" if isinstance(error, ResourceError) else "input")
        except Exception as error:
            kind = type(error).__name__
            return Raised(f"{kind}: {error}"[:500], kind, traceback.format_exc())

    @contextlib.contextmanager
    def _count(self, what: str, unit: str, total: int | None = None) -> Iterator[Advance]:
        del total

        def advance(done: int, in_all: int | None = None, now: str | None = None, /) -> None:
            del in_all, now
            if unit == "frames" and what not in UNCOUNTED:
                self._frames = done

        yield advance


@dataclass(eq=False, slots=True)
class _RayHand:
    actor: Any
    pending: Any  # the reference of the one answer that is waited for
    place: Any = None  # of what says where it is, until it is known
    node: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    asked: Any = None  # of how many frames are done
    frames: int = 0


class RayHands:
    """Starts actors, gives them tasks, and sees when they die.

    Use it as a context manager: what it started ends with it.

    Args:
        address: of a cluster: "auto", "HOST:PORT", "ray://HOST:PORT"; `LOCAL` starts one here.
        make: makes the workman in each actor.
        cores: of a worker; None: a pair, or what the smallest machine has.
        gpus: of a worker, 1 or a part; None: one if the cluster has any, and 0 asks for none.
        sees: files and folders that each worker must see under these paths.
        appears: seconds in which what one machine has written is seen by the others of a shared disk.
        quiet: whether what workers print stays in Ray's own files.
    """

    def __init__(
        self,
        address: str,
        make: MakeWorkman,
        cores: float | None = None,
        gpus: float | None = None,
        sees: Sequence[Path] = (),
        appears: float = APPEARS,
        quiet: bool = True,
    ) -> None:
        self._address, self._make, self._quiet = address, make, quiet
        self._sees, self._appears = tuple(str(path.absolute()) for path in sees), appears
        self._asked_cores, self._asked_gpus = cores, gpus
        self._hands: list[_RayHand] = []
        self._started = False
        self._asked = 0.0

    def __enter__(self) -> RayHands:
        if not ray.is_initialized():
            self._started = True
            with _own_signals():
                self._connect()
        self._needs()
        return self

    def __exit__(self, *_: object) -> None:
        for hand in list(self._hands):
            self.dismiss(hand)
        if self._started:
            ray.shutdown()

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": not self._quiet, "logging_level": "ERROR"}
        try:
            if self._address == LOCAL:
                ray.init("local", include_dashboard=False, object_store_memory=STORE, **quiet)
            else:
                ray.init(self._address, **quiet)
        except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
            said = " ".join(str(error).split())[:300]
            raise InputError(
                f"--ray {self._address}: no cluster can be joined there ({said}); start one with `ray start --head`, "
                "give the address that it prints, or --ray alone for one on this machine"
            ) from error

    def _needs(self) -> None:
        """Settle what a worker asks of its machine."""
        nodes = self._nodes()
        some = any(node.get("GPU", 0) > 0 for node in nodes)
        self.gpus = (1.0 if some else 0.0) if self._asked_gpus is None else self._asked_gpus
        fitting = [node.get("CPU", 0) for node in nodes if node.get("CPU", 0) and (not self.gpus or node.get("GPU", 0))]
        cores = min([CORES, *fitting]) if self._asked_cores is None else self._asked_cores
        self.cores = max(cores, 0.01)
        cls = ray.remote(_Actor)
        self._class = cls.options(
            num_cpus=self.cores, num_gpus=self.gpus, max_restarts=0, max_task_retries=0, max_concurrency=2
        )

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def nodes(self) -> int:
        """Return how many machines there are."""
        return len(self._nodes())

    def room(self) -> int:
        """Return how many workers fit on the machines that are there."""
        fits = 0
        for node in self._nodes():
            of_cores = node.get("CPU", 0) / self.cores
            fits += int(min(of_cores, node.get("GPU", 0) / self.gpus) if self.gpus else of_cores)
        return fits

    def hire(self, shared: Any | None) -> _RayHand:
        """Start an actor."""
        actor = self._class.remote(self._make, str(Path.cwd()), self._sees, self._appears)
        hand = _RayHand(actor, actor.begin.remote(shared), actor.where.remote())
        self._hands.append(hand)
        return hand

    def give(self, hand: _RayHand, task: Any) -> None:
        """Give an actor its task."""
        hand.frames, hand.asked = 0, None
        hand.pending = hand.actor.work.remote(task)

    def dismiss(self, hand: _RayHand) -> None:
        """Kill an actor."""
        if hand in self._hands:
            self._hands.remove(hand)
            with contextlib.suppress(RayError):
                ray.kill(hand.actor, no_restart=True)

    def wait(self, seconds: float) -> list[tuple[Any, Any]]:
        """Return the actors that have answered, died or raised."""
        waiting = {hand.pending: hand for hand in self._hands if hand.pending is not None}
        if not waiting:
            time.sleep(seconds)
            return []
        refs = list(waiting)
        ready, _ = ray.wait(refs, num_returns=1, timeout=seconds, fetch_local=False)
        if ready:
            ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
        found = []
        for ref in ready:
            hand = waiting[ref]
            hand.pending = None
            self._find(hand)
            try:
                found.append((hand, ray.get(ref)))
            except RayError as error:
                found.append((hand, _lost(error)))
        return found

    def _find(self, hand: _RayHand) -> None:
        """Note where an actor is."""
        if hand.place is not None:
            with contextlib.suppress(RayError):
                hand.node, hand.versions = ray.get(hand.place, timeout=10)
            hand.place = None

    def under_way(self) -> int:
        """Return how many frames of the tasks at hand are done, by what the actors last said."""
        busy = [hand for hand in self._hands if hand.pending is not None and hand.versions]
        asked = {hand.asked: hand for hand in busy if hand.asked is not None}
        if asked:
            ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0)
            for ref in ready:
                with contextlib.suppress(RayError):
                    asked[ref].frames = ray.get(ref)
                asked[ref].asked = None
        if time.monotonic() - self._asked > ASKED:
            self._asked = time.monotonic()
            for hand in busy:
                if hand.asked is None:
                    hand.asked = hand.actor.frames.remote()
        return sum(hand.frames for hand in busy)


def _lost(error: RayError) -> Lost:
    text = " ".join(str(error).split())
    with_node = "node" in text and ("node has died" in text or "node died" in text or "node was terminated" in text)
    if isinstance(error, OutOfMemoryError) or "running low on memory" in text:
        return Lost("its machine was out of memory", with_node)
    return Lost("its machine went" if with_node else "its process died", with_node)


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep how the command ends: Ray has a way of its own to leave on SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in heard.items():
            if handler is not None:
                signal.signal(number, handler)
