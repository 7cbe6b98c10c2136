"""The process that has the model: it takes one task after another, and nothing that befalls it ends the server.

What it is told: ("task", Task), ("frame", bytes), ("words", text), ("enough",). What it tells: ("stage", name, total),
("step", done, total), ("preview", jpeg, frame), ("painted", jpeg, facts), ("refused", line), ("done", outcome),
("failed", line).
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ovvis.errors import OvvisError
from ovvis.files.signals import ENDING
from ovvis.models.settings import Precision
from ovvis.plain import visible
from ovvis.web.unforeseen import told_unforeseen

if TYPE_CHECKING:
    from ovvis.models.export.exported import AnyModel

KEPT_MODELS = 2  # in memory; the one that was used longest ago goes first


@dataclass(frozen=True, slots=True)
class Task:
    """What the process is to do."""

    name: str
    words: str
    model: str
    every: int
    video: Path | None  # None: a camera
    camera: str | None  # a source of the server's; None: the browser's, whose frames are told
    folder: Path
    most_seconds: float  # of the video


class Cancelled(Exception):  # noqa: N818  it is no error
    """The task is wanted no more."""


class Told:
    """What the process is told and tells, and whether its task is still wanted."""

    def __init__(self, line: Connection, cancelled: Event) -> None:
        self._line, self._cancelled = line, cancelled
        self.inbox: queue.Queue[tuple[Any, ...]] = queue.Queue()
        threading.Thread(target=self._listen, name="ovvis-web-inbox", daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                self.inbox.put(self._line.recv())
            except (EOFError, OSError):  # the server is gone, in whatever way
                os._exit(0)

    def tell(self, *what: Any) -> None:
        """Tell the server something."""
        try:
            self._line.send(what)
        except OSError:
            os._exit(0)

    @property
    def cancelled(self) -> bool:
        """Whether the task is wanted no more."""
        return self._cancelled.is_set()

    def check(self) -> None:
        """Raise `Cancelled` if the task is wanted no more."""
        if self.cancelled:
            raise Cancelled

    def step(self, done: int, total: int | None = None) -> None:
        """Tell how much of a stage is done, if the task is still wanted."""
        self.check()
        self.tell("step", done, total)


class Models:
    """The models in memory."""

    def __init__(self, device: str, precision: str) -> None:
        self._device, self._precision = device, precision
        self._kept: OrderedDict[str, AnyModel] = OrderedDict()

    def get(self, name: str, told: Told) -> AnyModel:
        """Return a model, loaded if it is not there.

        Raises:
            OvvisError: it cannot be had.
        """
        if name not in self._kept:
            from ovvis.models.load import load_model

            told.tell("stage", "loading", None)
            while len(self._kept) >= KEPT_MODELS:
                self._kept.popitem(last=False)
            begun = False

            def fetched(done: int, total: int | None = None) -> None:
                nonlocal begun
                if not begun:
                    begun = True
                    told.tell("stage", "fetching", total)
                told.step(done, total)

            self._kept[name] = load_model(
                name,
                device=self._device,
                precision=cast(Precision, self._precision),
                on_progress=fetched,
            )
        self._kept.move_to_end(name)
        return self._kept[name]


def run(
    line: Connection, cancelled: Event, device: str, precision: str, prepare: Callable[[], object] | None = None
) -> None:
    """Do tasks until the server is gone.

    Args:
        line: to the server.
        cancelled: set while the task is wanted no more.
        device: for the models.
        precision: likewise.
        prepare: sets up the process.
    """
    if prepare is not None:
        prepare()
    for number in ENDING:  # a terminal's Ctrl-C reaches it, too: the server says when it is over
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    told, models = Told(line, cancelled), Models(device, precision)
    from ovvis.web import segmenting, watching  # noqa: F401  PyTorch, before the first task waits for it

    while True:
        what, *rest = told.inbox.get()
        if what == "task":
            _do(rest[0], models, told)


def _do(task: Task, models: Models, told: Told) -> None:
    from ovvis.web.segmenting import segment
    from ovvis.web.watching import watch

    try:
        told.check()
        outcome = segment(task, models, told) if task.video is not None else watch(task, models, told)
    except Cancelled:
        told.tell("failed", None)
    except OvvisError as error:
        told.tell("failed", told_line(error, task))
    except MemoryError:
        told.tell("failed", "there is not enough memory for this: give a smaller or shorter video, or a smaller model")
    except Exception as error:  # nothing that a video does may end the process
        told.tell("failed", None if told.cancelled else told_unforeseen(error))
    else:
        told.tell("done", outcome)


def told_line(error: Exception | str, task: Task) -> str:
    """Return an error or a note as one line that calls the upload by its name and no folder of the server."""
    line = " ".join(str(error).split())
    if task.video is not None:
        line = line.replace(str(task.video), task.name).replace(task.video.name, task.name)
    line = line.replace(task.model, Path(task.model).name)  # a file, of which visitors know the name alone
    return visible(line.replace(str(task.folder), "the job's folder"))
