"""One upload from its file to its results, with what can be shown on the way."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovvis import masks
from ovvis.errors import InputError
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.outputs.formats.tracks_json import TRACKS, save_tracks
from ovvis.outputs.render import Painted, paint
from ovvis.sources.video import Source, open_source
from ovvis.structures import FrameResult, Instance
from ovvis.vocabulary import Vocabulary, builtin_names
from ovvis.web.accepted import check_upload
from ovvis.web.limits import time_in_words
from ovvis.web.places import SUMMARY
from ovvis.web.showing import lay_out
from ovvis.web.summary import summary
from ovvis.web.work import Models, Task, Told, told_line

PREVIEW_EDGE = 640  # pixels of a preview's long edge
PREVIEW_PAUSE = 0.5  # seconds between two previews


def segment(task: Task, models: Models, told: Told) -> dict[str, Any]:
    """Segment an upload; put its results into the task's folder and return what is to be told of them.

    Raises:
        InputError: the upload or the words cannot be used.
        ResourceError: the model cannot be had, or the disk is full.
        Cancelled: the task is wanted no more.
    """
    assert task.video is not None
    check_upload(task.video, task.name)
    source = open_source(task.video, every=task.every)
    _check_length(task, source, source.info.frame_count)
    segmenter = segmenter_for(task, models, told)
    told.tell("stage", "frames", source.info.frame_count)
    previews = _Previews(told)

    def on_frame(done: int) -> None:
        told.step(done, source.info.frame_count)
        _check_length(task, source, done)

    with segmenter(source, on_frame=on_frame, on_seen=previews.show) as result:
        result.source = task.name
        result.notes = [told_line(note, task) for note in result.notes]
        result.problem = result.problem and told_line(result.problem, task)
        result.opened_as |= {"source": task.name}  # where it lies here is nobody's business
        save_tracks(result, task.folder / TRACKS)
        (task.folder / SUMMARY).write_text(json.dumps(summary(result)), encoding="utf-8")
        told.tell("stage", "viewer", len(result.frame_indices))
        said = lay_out(result, task.video, task.folder, _counted(told))
        return {
            "frames": len(result.frame_indices),
            "width": result.width,
            "height": result.height,
            "seconds": sum(result.seconds.values()),
            "problem": result.problem,
            "notes": [*result.notes, *filter(None, [told_line(said, task)])],
            "model": result.settings["model"],
        }


def segmenter_for(task: Task, models: Models, told: Told) -> VideoSegmenter:
    """Return the segmenter of a task's model and words."""
    vocabulary = Vocabulary.parse(task.words, files=False) if task.words else None
    model = models.get(task.model, told)
    told.tell("stage", "words", None)
    # What somebody typed is nobody else's: it does not stay on the disk.
    listed = task.words.strip().lower() in builtin_names()
    return VideoSegmenter(model, vocabulary, batch=model.batch, cache=listed, on_text=told.step)


def painted_jpeg(image: NDArray[np.uint8], instances: Sequence[Instance], edge: int = PREVIEW_EDGE) -> bytes:
    """Return a frame with its instances as a JPEG whose long edge has at most `edge` pixels."""
    seen = [Painted(one.id, one.label, one.score, masks.decode(one.mask)) for one in instances]
    picture = Image.fromarray(paint(image, seen))
    picture.thumbnail((edge, edge))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=82)
    return file.getvalue()


def _counted(told: Told) -> Callable[[], None]:
    """Return what tells of one more frame each time that it is called."""
    frames = count(1)
    return lambda: told.step(next(frames))


class _Previews:
    """Shows a frame now and then: what is not shown is not made."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._last = -PREVIEW_PAUSE

    def show(self, seen: Iterator[FrameResult]) -> None:
        if time.monotonic() - self._last < PREVIEW_PAUSE:
            return
        found = next(seen, None)
        if found is not None:
            self._told.tell("preview", painted_jpeg(found.frame.image, found.instances), found.frame.index)
        self._last = time.monotonic()


def _check_length(task: Task, source: Source, frames: int | None) -> None:
    """Refuse a video that is longer than allowed, as soon as it is known to be."""
    seconds = 0.0 if frames is None else frames / source.info.fps
    if seconds > task.most_seconds + 1:
        raise InputError(
            f"{task.name} is longer than the {time_in_words(task.most_seconds)} that this page takes: cut it, or run "
            "`ovvis segment` on your own machine"
        )
