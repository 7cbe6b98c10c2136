"""Segmenting as work that can be handed out: a video in, a folder of results out."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovvis.bucket import is_bucket
from ovvis.cluster.homes import Home
from ovvis.cluster.spreading import FOLLOWING, SPREAD, Footage, Spreading, clear
from ovvis.cluster.work import Begun, begun
from ovvis.errors import InputError
from ovvis.inference.lost import LostWindowsError
from ovvis.inference.stopwatch import Stopwatch
from ovvis.paths import user_path
from ovvis.places import Place
from ovvis.progress import Bars
from ovvis.results.video_folder import Making, Painting, Reading, as_it_is, write_results
from ovvis.sources.place import is_address
from ovvis.sources.source import Source
from ovvis.structures import VideoResult

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter
    from ovvis.models.text import EmbeddedWords

PATIENCE = 60.0
"""Seconds to wait for a folder that another process writes, which may be one that is just being killed."""


@dataclass(frozen=True, slots=True)
class VideoTask:
    """A video, and the name of the folder of its results."""

    source: str
    name: str
    what: str = "segmenting"  # the bar's text


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a video."""

    name: str
    frames: int | None = None
    instances: int | None = None
    seconds: float | None = None
    said: str = ""
    state: str = "done"  # or "there": already; "part": used in part; "broken"
    notes: tuple[str, ...] = ()  # what of the video was left out, guessed or converted


@dataclass(frozen=True, kw_only=True)
class SegmentJob:
    """What is done with each video. It can be sent to another process."""

    home: Home  # where the folders of results lie
    load: Callable[[EmbeddedWords | None], VideoSegmenter]
    made: Callable[[VideoSegmenter], dict[str, Any]]  # what makes its results
    open: Callable[[str], Source]
    bounded: bool  # whether `open` ends what does not end by itself
    painting: Painting
    overwrite: bool = False
    patience: float = 0.0  # seconds to wait for a folder that another process writes
    keep: Callable[[VideoResult], None] = lambda _: None  # called with each result
    spread: int = SPREAD  # frames of a stretch of a long video, where several workers share it
    facts: Any = None  # what makes the results, as JSON knows it, beside what the model says of itself


class Segmenting:
    """Segments one video after another with one model, which is loaded when the first one needs it.

    Args:
        job: what is done.
        reading: how frames are read that come once, or have no end.
    """

    def __init__(self, job: SegmentJob, reading: Reading = as_it_is) -> None:
        self._job, self._reading = job, reading
        self._segmenter: VideoSegmenter | None = None
        self._made: dict[str, Any] = {}
        self._spreading = Spreading(self, job.spread, job.facts)

    def begin(self, shared: EmbeddedWords | None) -> Begun:
        """Load the model, and embed the words if nobody else has."""
        self._segmenter = self._job.load(shared)
        self._made = self._job.made(self._segmenter)
        return begun(self._segmenter, self._made)

    @property
    def model(self) -> str | None:
        """The name of the model, if one was needed."""
        return None if self._segmenter is None else self._segmenter.model.name

    def is_done(self, task: VideoTask) -> bool:
        """Return whether there is nothing to do."""
        return not self._job.overwrite and self._job.home.is_done(task.name, task.source, self._job.painting.video)

    def work(self, task: Any, bars: Bars) -> Any:
        """Do what is asked of one video: see `Spreading.work`. Of a whole one the answer is its `Row`."""
        return self._spreading.work(task, bars)

    def footage(self, task: VideoTask) -> Footage:
        """See `spreading.Whole`."""
        open, files = partial(self._job.open, task.source), self.stretches(task)
        return Footage(task.source, task.name, open, self._loaded(), self._made, files)

    def stretches(self, task: VideoTask) -> Place:
        """See `spreading.Whole`."""
        return self._job.home.stretches(task.name)

    def _loaded(self) -> VideoSegmenter:
        if self._segmenter is None:  # what is wrong with the model ends everything
            self._segmenter = self._job.load(None)
        return self._segmenter

    def whole(self, task: VideoTask, bars: Bars, make: Callable[..., VideoResult] | None = None) -> Row:
        """See `spreading.Whole`."""
        job, name = self._job, task.name
        if self.is_done(task):
            clear(self.stretches(task))
            return Row(name, said="there already", state="there")
        began = time.monotonic()
        try:
            frames = job.open(task.source)
            if frames.endless and not job.bounded:
                raise InputError(f"{frames.info.name} does not end: give it alone, or with --duration or --max-frames")
        except InputError as error:
            return Row(name, said=str(error), state="broken")
        maker = make or self._loaded()
        said = list(frames.notes)
        try:
            with ExitStack() as held:
                with job.home.writing(name, job.patience) as folder:
                    making = Making(frames, lambda: maker, Stopwatch(), FOLLOWING if make else task.what)
                    result, unpainted = write_results(
                        held, folder, making, job.painting, bars=bars, reading=self._reading
                    )
                clear(self.stretches(task))
                job.keep(result)
                said += [note for note in result.notes if note not in said]
                problems = [*([result.problem] if result.problem else []), *unpainted]
                return Row(
                    name,
                    len(result.frame_indices),
                    len(result.best_tracks(job.painting.least)),
                    sum(result.seconds.values()) if make else time.monotonic() - began,  # of all workers
                    "; ".join(problems),
                    "part" if problems else "done",
                    tuple(said),
                )
        except LostWindowsError:
            raise
        except InputError as error:
            return Row(name, said=str(error), state="broken", notes=tuple(said))

    def tidy(self, task: Any) -> None:
        """Remove what killed workmen left of a video, or of a part of it."""
        self._spreading.tidy(task)

    def clean(self, task: VideoTask) -> None:
        """See `spreading.Whole`."""
        self._job.home.tidy(task.name)


def folder_of(source: str) -> list[Path]:
    """Return the folder that a video lies in, where it lies on a disk: who works on it must see it."""
    if is_bucket(source) or is_address(source):
        return []
    return [folder for folder in [user_path(source).absolute().parent] if folder.is_dir()]
