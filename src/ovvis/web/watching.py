"""A camera's frames, the browser's or the server's own, each painted as soon as its instances are known."""

from __future__ import annotations

import io
import queue
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovvis.errors import InputError
from ovvis.inference.live import Live
from ovvis.sources.video import open_source
from ovvis.vocabulary import Vocabulary
from ovvis.web.segmenting import painted_jpeg, segmenter_for
from ovvis.web.work import Models, Task, Told

MOST_PIXELS = 1920 * 1080  # of a frame
PATIENCE = 60.0  # seconds without a frame
_GLANCE = 0.2  # seconds between two looks whether the task is still wanted


def watch(task: Task, models: Models, told: Told) -> dict[str, Any]:
    """Paint the frames that come until there are enough; return how many there were.

    Raises:
        InputError: a frame or the words cannot be used, no frame comes, or the server's camera is not there.
        ResourceError: the model cannot be had.
        Cancelled: the task is wanted no more.
    """
    segmenter, orders = segmenter_for(task, models, told), _Orders(told)
    if task.camera is not None:
        live = Live(segmenter, open_source(task.camera), patience=PATIENCE)
        told.tell("stage", "camera", None)
        with orders.heard_beside(live):
            return _show(live, told)
    told.tell("stage", "camera", None)
    first = next(orders.frames(), None)
    if first is None:
        told.check()
        return {"frames": 0}
    live = Live(segmenter, open_source(orders.frames(first)), paced=False, patience=PATIENCE)
    orders.live = live
    return _show(live, told)


def _show(live: Live, told: Told) -> dict[str, Any]:
    """Tell of each frame that is painted; return how many there were."""
    for seen in live:
        counts = dict(Counter(one.label for one in seen.instances))
        picture = painted_jpeg(seen.frame.image, seen.instances)
        latency = live.meter.picture(seen)
        told.tell("painted", picture, {"counts": counts, "latency": latency, "left_out": live.meter.left_out})
    told.check()
    if live.problem is not None:
        raise InputError(live.problem)
    return {"frames": live.meter.frames}


class _Orders:
    """What the browser says: frames, and other words to look for."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.live: Live | None = None

    def frames(self, first: NDArray[np.uint8] | None = None) -> Iterator[NDArray[np.uint8]]:
        """Yield a frame that is there, then those that come (H, W, 3), until there are enough."""
        if first is not None:
            yield first
        while not self._told.cancelled:
            what, *rest = self._next()
            if what == "enough":
                return
            if what == "frame":
                yield _read(rest[0])
            elif what == "words" and self.live is not None:
                self._change(self.live, rest[0])

    @contextmanager
    def heard_beside(self, live: Live) -> Iterator[None]:
        """Follow what the browser says in a thread of its own for the block; frames come from elsewhere."""
        over = Event()
        thread = Thread(target=self._follow, args=(live, over), name="ovvis-web-orders", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()  # what is told from then on is another task's

    def _follow(self, live: Live, over: Event) -> None:
        while not over.is_set():
            what, *rest = self._next()
            if what == "words":
                self._change(live, rest[0])
            if what == "enough" or self._told.cancelled:
                live.stop()
                return

    def _next(self) -> tuple[Any, ...]:
        try:
            return self._told.inbox.get(timeout=_GLANCE)
        except queue.Empty:
            return ("nothing",)

    def _change(self, live: Live, words: str) -> None:
        try:
            live.change_labels(Vocabulary.parse(words, files=False))
        except InputError as error:
            self._told.tell("refused", str(error))


def _read(content: bytes) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise InputError(
                    f"the camera's frames have {picture.width}x{picture.height} pixels: at most 1920x1080 are taken"
                )
            return np.asarray(picture.convert("RGB"))
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"the camera sent a frame that is no JPEG ({error}); start it again") from error
