"""A camera's frames, one after another, each painted as soon as its instances are known."""

from __future__ import annotations

import io
import queue
from collections import Counter
from collections.abc import Iterator
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
        InputError: a frame or the words cannot be used, or no frame comes.
        ResourceError: the model cannot be had.
        Cancelled: the task is wanted no more.
    """
    segmenter = segmenter_for(task, models, told)
    told.tell("stage", "camera", None)
    camera = _Camera(told)
    first = next(camera.frames(), None)
    shown = 0
    if first is not None:
        live = Live(segmenter, open_source(camera.frames(first)), paced=False, patience=PATIENCE)
        camera.live = live
        for seen in live:
            counts = Counter(one.label for one in seen.instances)
            told.tell("painted", painted_jpeg(seen.frame.image, seen.instances), dict(counts))
            shown += 1
        if live.problem is not None:
            raise InputError(live.problem)
    told.check()
    return {"frames": shown}


class _Camera:
    """What the browser says: frames, and other words to look for."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.live: Live | None = None

    def frames(self, first: NDArray[np.uint8] | None = None) -> Iterator[NDArray[np.uint8]]:
        """Yield a frame that is there, then those that come (H, W, 3), until there are enough."""
        if first is not None:
            yield first
        while not self._told.cancelled:
            try:
                what, *rest = self._told.inbox.get(timeout=_GLANCE)
            except queue.Empty:
                continue
            if what == "enough":
                return
            if what == "frame":
                yield _read(rest[0])
            elif what == "words" and self.live is not None:
                self._change(self.live, rest[0])

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
