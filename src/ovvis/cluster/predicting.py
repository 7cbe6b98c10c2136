"""Predicting a dataset as work that can be handed out: a video of it in, the file of its results out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovvis.cluster.spreading import FOLLOWING, SPREAD, Footage, Spreading, clear, stretches_name
from ovvis.cluster.work import Begun, begun
from ovvis.datasets.annotations import Video
from ovvis.datasets.frames import open_video
from ovvis.evaluation.records import ResultTrack
from ovvis.places import Place
from ovvis.predictions.video_file import RESULTS, is_done, results_name, write_video
from ovvis.progress import Bars
from ovvis.sources.source import FrameError
from ovvis.structures import VideoResult

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter
    from ovvis.models.text import EmbeddedWords


@dataclass(frozen=True, slots=True)
class DatasetVideo:
    """A video of a dataset, and where its frames are."""

    video: Video
    paths: list[Path]


@dataclass(frozen=True, slots=True)
class Predicted:
    """What became of a video."""

    frames: int = 0  # seen now
    results: int = 0  # written now
    notes: tuple[str, ...] = ()  # what was said of its frames
    problem: str | None = None  # why it has no results: its frames cannot be used


@dataclass(frozen=True, kw_only=True)
class PredictJob:
    """What is done with each video. It can be sent to another process."""

    place: Place  # of the predictions
    images: bool  # whether results are COCO's, of images
    suffix: str  # of hidden files
    ids: tuple[int, ...]  # the category of each label
    levels: str | None
    load: Callable[[EmbeddedWords | None], VideoSegmenter]
    made: Callable[[VideoSegmenter], dict[str, Any]]  # what makes its results
    spread: int = SPREAD  # frames of a stretch of a long video, where several workers share it


class Predicting:
    """Predicts one video after another with one model.

    Args:
        job: what is done.
        segmenter: the model, where it is loaded already.
    """

    def __init__(self, job: PredictJob, segmenter: VideoSegmenter | None = None) -> None:
        self._job, self._segmenter = job, segmenter
        self._made: dict[str, Any] = {}
        self._spreading = Spreading(self, job.spread)

    def begin(self, shared: EmbeddedWords | None) -> Begun:
        """Load the model, and embed the words if nobody else has."""
        self._segmenter = self._job.load(shared)
        self._made = self._job.made(self._segmenter)
        return begun(self._segmenter, self._made)

    def work(self, task: Any, bars: Bars) -> Any:
        """Do what is asked of one video: see `Spreading.work`. Of a whole one the answer is `Predicted`."""
        return self._spreading.work(task, bars)

    def is_done(self, task: DatasetVideo) -> bool:
        """Return whether there is nothing to do."""
        return is_done(self._job.place, task.video)

    def footage(self, task: DatasetVideo) -> Footage:
        """See `spreading.Whole`."""
        open, files = partial(open_video, task.paths, task.video, self._job.levels), self.stretches(task)
        return Footage(str(task.video.id), task.video.name, open, self._loaded, self._made, files)

    @property
    def _loaded(self) -> VideoSegmenter:
        assert self._segmenter is not None, "a workman begins before it works"
        return self._segmenter

    def stretches(self, task: DatasetVideo) -> Place:
        """See `spreading.Whole`."""
        return self._job.place.below(RESULTS).below(stretches_name(str(task.video.id)))

    def whole(self, task: DatasetVideo, bars: Bars, make: Callable[..., VideoResult] | None = None) -> Predicted:
        """See `spreading.Whole`."""
        job, video = self._job, task.video
        if self.is_done(task):  # another process may have been faster
            clear(self.stretches(task))
            return Predicted()
        try:
            source = open_video(task.paths, video, job.levels)
            what, maker = (FOLLOWING, make) if make else ("predicting", self._loaded)
            with bars(what, "frames", len(video.files)) as done, maker(source, on_frame=done) as result:
                count = write_video(job.place, video, self._tracks(video, result), job.images, job.suffix)
                clear(self.stretches(task))
                return Predicted(len(video.files), count, tuple(result.notes))
        except FrameError as error:
            return Predicted(problem=str(error))

    def _tracks(self, video: Video, result: VideoResult) -> Iterator[ResultTrack]:
        for track in result.tracks:
            yield ResultTrack(video.id, self._job.ids[track.label_index], track.score, track.masks)

    def tidy(self, task: Any) -> None:
        """Remove what killed workmen left of a video, or of a part of it."""
        self._spreading.tidy(task)

    def clean(self, task: DatasetVideo) -> None:
        """See `spreading.Whole`."""
        with suppress(OSError):
            self._job.place.tidy(results_name(task.video))
