"""Predicting a dataset as work that can be handed out: a video of it in, the file of its results out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovvis.cluster.work import Begun, begun
from ovvis.datasets.annotations import Video
from ovvis.datasets.frames import open_video
from ovvis.evaluation.records import ResultTrack
from ovvis.files.hidden import clear_leftovers
from ovvis.predictions.video_file import is_done, results_file, write_video
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

    folder: Path  # of the predictions
    images: bool  # whether results are COCO's, of images
    suffix: str  # of hidden files
    ids: tuple[int, ...]  # the category of each label
    levels: str | None
    load: Callable[[EmbeddedWords | None], VideoSegmenter]
    made: Callable[[VideoSegmenter], dict[str, Any]]  # what makes its results


class Predicting:
    """Predicts one video after another with one model.

    Args:
        job: what is done.
        segmenter: the model, where it is loaded already.
    """

    def __init__(self, job: PredictJob, segmenter: VideoSegmenter | None = None) -> None:
        self._job, self._segmenter = job, segmenter

    def begin(self, shared: EmbeddedWords | None) -> Begun:
        """Load the model, and embed the words if nobody else has."""
        self._segmenter = self._job.load(shared)
        return begun(self._segmenter, self._job.made(self._segmenter))

    def work(self, task: DatasetVideo, bars: Bars) -> Predicted:
        """Predict one video, unless its results are there."""
        job, video, segmenter = self._job, task.video, self._segmenter
        assert segmenter is not None, "a workman begins before it works"
        if is_done(job.folder, video):  # another process may have been faster
            return Predicted()
        try:
            source = open_video(task.paths, video, job.levels)
            with (
                bars("predicting", "frames", len(video.files)) as done,
                segmenter(source, on_frame=done) as result,
            ):
                count = write_video(job.folder, video, self._tracks(video, result), job.images, job.suffix)
                return Predicted(len(video.files), count, tuple(result.notes))
        except FrameError as error:
            return Predicted(problem=str(error))

    def _tracks(self, video: Video, result: VideoResult) -> Iterator[ResultTrack]:
        for track in result.tracks:
            yield ResultTrack(video.id, self._job.ids[track.label_index], track.score, track.masks)

    def tidy(self, task: DatasetVideo) -> None:
        """Remove what killed workmen left of a video."""
        target = results_file(self._job.folder, task.video)
        with suppress(OSError):
            clear_leftovers(target.parent, target.name)
