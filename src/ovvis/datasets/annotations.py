"""What is annotated in a dataset, whatever its file's format: categories, videos, true tracks. No pixels.

An image is a video of one frame. Categories and true tracks are the records of the evaluation room.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ovvis.datasets.problems import LeftOut
from ovvis.evaluation.records import Category, TruthTrack
from ovvis.evaluation.rules import YOUTUBE_VIS, Rules

LOST_TRUTH = (
    "an annotation has the id 0, and the released evaluators, which are followed here, never find that one: perfect "
    "results score less than 100; number annotations from 1, or evaluate with --renumber"
)


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
    heads: frozenset[int] = frozenset()  # ids of categories that only stand above others and are used by no truth
    notes: tuple[LeftOut, ...] = field(default=(), repr=False, compare=False)  # what its reader left out or changed
    # By a truth's id the number that its file calls its score: what was exported of results has one. No part of truth.
    scores: Mapping[int, float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def asked(self) -> tuple[Category, ...]:
        """The categories that a model is asked for: all but the heads."""
        return tuple(category for category in self.categories if category.id not in self.heads)

    @property
    def boxes_alone(self) -> bool:
        """Whether there are true tracks, and not one of them has a mask."""
        return bool(self.truths) and not any(_has_mask(truth) for truth in self.truths)

    def headed(self) -> str:
        """Return a line on the heads; empty if there are none."""
        names = [repr(category.name) for category in self.categories if category.id in self.heads]
        if not names:
            return ""
        return (
            f"not asked for: {', '.join(names)}, which in {self.name} only stands above other categories, as exporters "
            "write it, and no annotation has; to ask for it, name it with --labels"
        )

    def loses_truth(self, rules: Rules | None = None) -> bool:
        """Return whether the released evaluator (the dataset's, if no rules are given) never finds a true track."""
        return (rules or self.rules).loses_id_zero and any(truth.id == 0 for truth in self.truths)

    def renumbered(self) -> Annotations:
        """Return the dataset with another id for the true track of id 0, so that every evaluator can find it."""
        new = max((truth.id for truth in self.truths), default=0) + 1
        truths = [replace(truth, id=new) if truth.id == 0 else truth for truth in self.truths]
        return replace(self, truths=truths)

    @cached_property
    def _truths_by_video(self) -> dict[int, list[TruthTrack]]:
        by_video: dict[int, list[TruthTrack]] = defaultdict(list)
        for truth in self.truths:
            by_video[truth.video_id].append(truth)
        return dict(by_video)

    @property
    def absent(self) -> dict[int, tuple[int, ...]]:
        """The categories that each video (id) surely does not hold, where a dataset says so."""
        return {video.id: video.absent for video in self.videos}

    @property
    def not_exhaustive(self) -> dict[int, tuple[int, ...]]:
        """The categories of which each video (id) has instances that are not annotated, where a dataset says so."""
        return {video.id: video.not_exhaustive for video in self.videos}

    def truths_of(self, video: Video) -> Sequence[TruthTrack]:
        """Return the true tracks of a video, in the file's order."""
        return self._truths_by_video.get(video.id, ())

    def paths(self, video: Video) -> list[Path]:
        """Return the files of a video's frames (T)."""
        return [self.frames / file for file in video.files]


def _has_mask(truth: TruthTrack) -> bool:
    """Return whether a track is said to have a mask, without a look at it where that goes."""
    present = getattr(truth.masks, "present", None)
    if present is None:
        return any(mask is not None for mask in truth.masks)
    return any(present(i) for i in range(len(truth.masks)))
