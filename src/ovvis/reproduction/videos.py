"""The videos that rows are measured on: the world's, as they are drawn, or a dataset's, as they lie in files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ovvis.datasets.annotations import Annotations, Video
from ovvis.datasets.frames import open_video
from ovvis.errors import InputError
from ovvis.evaluation.evaluator import Evaluator
from ovvis.evaluation.records import Category, ResultTrack
from ovvis.predictions.folder import PredictionFolder, Shard
from ovvis.predictions.run_settings import SETTINGS, dataset_settings, keep_settings
from ovvis.predictions.submission import pack
from ovvis.reproduction.rows import Way
from ovvis.sources.source import Source

SHOWN = 3  # missing frames that are listed by name


class Shown(Protocol):
    """One video."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""

    @property
    def owners(self) -> NDArray[np.uint8] | None:
        """T, H, W; 0: the background, n: the object in place n - 1. None where no way may ask for it."""

    @property
    def categories(self) -> tuple[int, ...]:
        """Of each object: its category's id."""

    def source(self) -> Source:
        """Return its frames."""


class Videos(Protocol):
    """A set of videos with one list of categories."""

    @property
    def name(self) -> str:
        """What it is called while it is measured."""

    @property
    def own_seed(self) -> int:
        """What it was drawn with; 0 where it lies in files."""

    @property
    def frames(self) -> int:
        """The number of frames of a video; of the longest where they differ."""

    @property
    def categories(self) -> tuple[Category, ...]:
        """All categories that may be shown."""

    def __len__(self) -> int:
        """Return the number of videos."""

    def __hash__(self) -> int:
        """Return what tells it apart from other sets."""

    def length(self, number: int, /) -> int:
        """Return the number of frames of a video, counted from 0."""

    def id(self, number: int) -> int:
        """Return a video's id."""

    def video(self, number: int) -> Shown:
        """Return a video."""

    def describe(self) -> dict[str, Any]:
        """Return what decides the videos, but for their number."""

    def evaluator(self) -> Evaluator:
        """Return what compares results with the truth."""


class Archives(Protocol):
    """Keeps the tracks of ways, beside the numbers that are made of them."""

    def has(self, way: Way, number: int) -> bool:
        """Return whether a video's tracks are kept."""

    def write(self, way: Way, number: int, tracks: Sequence[ResultTrack]) -> None:
        """Keep a video's tracks; their masks can be read until the next way's are made."""


class DatasetVideo:
    """A video of a dataset.

    Args:
        dataset: which.
        video: as its dataset lists it.
    """

    owners: NDArray[np.uint8] | None = None
    categories: tuple[int, ...] = ()

    def __init__(self, dataset: Annotations, video: Video) -> None:
        self._paths, self._video = dataset.paths(video), video

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self._video.height, self._video.width

    def source(self) -> Source:
        """Return its frames.

        Raises:
            FrameError: the first cannot be read, or has not the size that the dataset says.
        """
        return open_video(self._paths, self._video)


class DatasetVideos:
    """The videos of a split of a dataset, in its order.

    Args:
        dataset: the split.

    Raises:
        InputError: a frame is missing: figures of a part of a split are not the split's.
    """

    own_seed = 0

    def __init__(self, dataset: Annotations) -> None:
        self.dataset = dataset
        gone = [path for video in dataset.videos for path in dataset.paths(video) if not path.is_file()]
        if gone:
            listed = ", ".join(str(path) for path in gone[:SHOWN]) + (", ..." if len(gone) > SHOWN else "")
            raise InputError(
                f"dataset {dataset.name} lacks {len(gone):,} frames ({listed}): its figures would not be the split's; "
                "fetch them, or leave the dataset's tables out"
            )

    def __len__(self) -> int:
        return len(self.dataset.videos)

    @property
    def name(self) -> str:
        """What it is called while it is measured."""
        return self.dataset.name

    @property
    def frames(self) -> int:
        """The number of frames of the longest video."""
        return max((len(video.files) for video in self.dataset.videos), default=0)

    @property
    def categories(self) -> tuple[Category, ...]:
        """All categories that may be shown."""
        return self.dataset.asked

    def length(self, number: int, /) -> int:
        """Return the number of frames of a video, counted from 0."""
        return len(self.dataset.videos[number].files)

    def id(self, number: int) -> int:
        """Return a video's id."""
        return self.dataset.videos[number].id

    def video(self, number: int) -> DatasetVideo:
        """Return a video."""
        return DatasetVideo(self.dataset, self.dataset.videos[number])

    def describe(self) -> dict[str, Any]:
        """Return what decides the videos."""
        return {"dataset": dataset_settings(self.dataset)}

    def evaluator(self) -> Evaluator:
        """Return what compares results with the truth, by the dataset's own rules; where a server has it, with none."""
        one = self.dataset
        ids = [video.id for video in one.videos]
        return Evaluator(one.categories, one.truths, one.rules, ids, one.absent, one.not_exhaustive)


class SubmissionArchives:
    """Prediction folders for a server, one for each way that is submitted.

    Args:
        dataset: the split.
        folders: by way; the tracks of other ways are dropped.
    """

    def __init__(self, dataset: Annotations, folders: Mapping[Way, PredictionFolder]) -> None:
        self._dataset, self._folders = dataset, folders

    def has(self, way: Way, number: int) -> bool:
        """Return whether a video's tracks are kept, or need not be."""
        folder = self._folders.get(way)
        return folder is None or folder.done(self._dataset.videos[number])

    def write(self, way: Way, number: int, tracks: Sequence[ResultTrack]) -> None:
        """Keep a video's tracks."""
        if way in self._folders:
            self._folders[way].write(self._dataset.videos[number], tracks)

    def pack(self) -> list[Path]:
        """Write the archives of the folders that are whole, and return what a server takes."""
        out = []
        for folder in self._folders.values():
            if not folder.missing():
                files = [folder.file(video) for video in self._dataset.videos]
                written = pack(folder.path, self._dataset, files, folder.shard.suffix)
                out += [path for path in written if path.suffix == ".zip"]
        return out


@contextmanager
def submission_archives(
    dataset: Annotations, places: Mapping[Way, tuple[Path, Mapping[str, Any]]], shard: Shard
) -> Iterator[SubmissionArchives]:
    """Open prediction folders.

    Args:
        dataset: the split.
        places: of each way its folder, and what makes its results.
        shard: the share of the videos that this process works on.

    Raises:
        InputError: a folder cannot be used, or holds the results of other settings.
    """
    with ExitStack() as stack:
        folders = {}
        for way, (path, settings) in places.items():
            folders[way] = stack.enter_context(PredictionFolder(path, dataset, shard=shard))
            keep_settings(folders[way].path / SETTINGS, settings, shard.suffix, f"remove {folders[way].path}")
        yield SubmissionArchives(dataset, folders)
