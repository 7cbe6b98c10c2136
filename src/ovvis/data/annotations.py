"""What is annotated in a dataset, whatever its file's format: categories, videos, true tracks. No pixels.

An image is a video of one frame. Categories and true tracks are the records of the evaluation room.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ovvis.evaluation.records import Category, TruthTrack
from ovvis.evaluation.rules import YOUTUBE_VIS, Rules


@dataclass(frozen=True, slots=True)
class Video:
    """A video as its dataset lists it."""

    id: int
    name: str  # unique within the dataset
    height: int  # pixels
    width: int
    files: tuple[str, ...]  # T; each frame's file, below the dataset's folder of frames
    # Ids of categories, where a dataset names only some in each video: those surely absent, and those of which
    # some instances are not annotated.
    absent: tuple[int, ...] = ()
    not_exhaustive: tuple[int, ...] = ()


@dataclass(frozen=True)
class Annotations:
    """A dataset, or a split of one."""

    name: str
    frames: Path  # the folder that the videos' files lie below
    categories: tuple[Category, ...]
    videos: tuple[Video, ...]
    truths: Sequence[TruthTrack] = field(repr=False)  # none for a split whose truth is kept by a server
    rules: Rules = YOUTUBE_VIS  # how its evaluator counts

    @cached_property
    def _truths_by_video(self) -> dict[int, list[TruthTrack]]:
        by_video: dict[int, list[TruthTrack]] = defaultdict(list)
        for truth in self.truths:
            by_video[truth.video_id].append(truth)
        return dict(by_video)

    def truths_of(self, video: Video) -> Sequence[TruthTrack]:
        """Return the true tracks of a video, in the file's order."""
        return self._truths_by_video.get(video.id, ())

    def paths(self, video: Video) -> list[Path]:
        """Return the files of a video's frames (T)."""
        return [self.frames / file for file in video.files]
