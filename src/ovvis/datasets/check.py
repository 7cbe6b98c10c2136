"""Verifies a dataset: its annotations, every mask, every frame's file. Pixels of frames are not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ovvis import masks
from ovvis.datasets.annotations import LOST_TRUTH, Annotations, Video
from ovvis.datasets.open import Dataset
from ovvis.datasets.problems import Problem, Problems
from ovvis.datasets.truth_masks import TruthMasks
from ovvis.errors import InputError
from ovvis.evaluation.records import TruthTrack
from ovvis.sources.image_file import open_image, upright_size
from ovvis.sources.source import FrameError

Advance = Callable[[int, int], object]  # what is done, and how much there is
MISSING_FRAME, NO_FRAMES = "missing frame", "no folder of frames"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a dataset holds, and what is wrong with it."""

    annotations: Annotations
    problems: Problems
    frames: int  # as the annotations list them
    masks: int
    tracks: int
    loses_truth: bool = False  # a user's own file has a truth of id 0, which the released evaluators never find

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems.counts()

    def as_json(self) -> dict[str, object]:
        """Return the report as what JSON can hold."""
        return {
            "dataset": self.annotations.name,
            "sound": self.sound,
            "categories": len(self.annotations.categories),
            "videos": len(self.annotations.videos),
            "frames": self.frames,
            "tracks": self.tracks,
            "masks": self.masks,
            "problems": [
                {"kind": kind, "count": count, "examples": [str(p) for p in self.problems.examples[kind]]}
                for kind, count in self.problems.counts().items()
            ],
            "notes": self.notes,
        }

    @property
    def notes(self) -> list[str]:
        """What is not wrong, but should be known."""
        return [*map(str, self.problems.mentioned()), *([LOST_TRUTH] if self.loses_truth else [])]


def check(dataset: Dataset, look_at_frames: bool = True, advance: Advance | None = None) -> CheckReport:
    """Verify a dataset.

    Args:
        dataset: where it lies.
        look_at_frames: look for each frame's file and read its size from its header.
        advance: is told how many videos are done, and how many there are.

    Raises:
        InputError: the annotation file is missing, damaged, or of another shape as a whole.
    """
    problems = Problems(refuse=False)
    annotations = dataset.read(problems)
    file = dataset.annotations
    for name, count in Counter(category.name for category in annotations.categories).items():
        if count > 1:
            problems.tell(Problem("category name twice", file, f"category {name!r}", f"stands {count} times"))
    if look_at_frames and not dataset.frames.is_dir():
        problems.tell(Problem(NO_FRAMES, dataset.frames, "does not exist", ""))
        look_at_frames = False
    seen: set[str] = set()
    frames = found = 0
    for done, video in enumerate(annotations.videos, 1):
        frames += len(video.files)
        found += sum(_masks(truth, video, file, problems) for truth in annotations.truths_of(video))
        _repeated(video, seen, file, problems)
        if look_at_frames:
            for path in annotations.paths(video):
                _frame(path, video, problems)
        if advance:
            advance(done, len(annotations.videos))
    loses = dataset.entry is None and annotations.loses_truth()
    return CheckReport(annotations, problems, frames, found, len(annotations.truths), loses)


def _masks(truth: TruthTrack, video: Video, file: Path, problems: Problems) -> int:
    """Look at the masks of a track; return how many it has."""
    place = f"annotation {truth.id} of video {video.id}"
    present = truth.masks.present if isinstance(truth.masks, TruthMasks) else truth.masks.__getitem__
    given = [i for i in range(len(video.files)) if present(i)]
    if not given:
        problems.tell(Problem("track without a mask", file, place, "has no mask in any frame"))
        return 0
    try:
        codes = list(truth.masks)
    except InputError as error:
        rule = str(error).removeprefix(f"{file}: ").partition(": mend")[0]
        problems.tell(Problem(_kind(rule), file, place, f"cannot be read: {rule}"))
        return len(given)
    for i in given:
        code = codes[i]
        if code is None or not masks.area(code):
            problems.tell(Problem("empty mask", file, place, f"has a mask without a pixel in frame {i}"))
    return len(given)


def _kind(rule: str) -> str:
    return "mask of another size" if "height and width" in rule else "damaged mask"


def _repeated(video: Video, seen: set[str], file: Path, problems: Problems) -> None:
    for name in video.files:
        if name in seen:
            problems.tell(Problem("frame listed twice", file, f"video {video.id}", f"names {name}, and not alone"))
        seen.add(name)


def _frame(path: Path, video: Video, problems: Problems) -> None:
    """Compare a frame's header with its video."""
    if not path.is_file():
        problems.tell(Problem(MISSING_FRAME, path, "does not exist", ""))
        return
    try:
        with open_image(path) as image:
            height, width = upright_size(image)
    except FrameError as error:
        rule = str(error).removeprefix(f"{path} ").partition(": ")[0]
        problems.tell(Problem("damaged frame", path, rule, ""))
        return
    if (height, width) != (video.height, video.width):
        rule = f"is {height} x {width} where its video {video.id} is {video.height} x {video.width}"
        problems.tell(Problem("frame of another size", path, rule, ""))
