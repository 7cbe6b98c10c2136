"""A long video by several workers: who cuts it up, who looks at a stretch, who follows what was seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ovvis.bucket import is_bucket, modified
from ovvis.cluster.work import Part, Spread, Spreadable, WholeOnly
from ovvis.errors import InputError
from ovvis.inference.lost import LostWindowsError
from ovvis.places import Place
from ovvis.predictions.run_settings import MAY_DIFFER
from ovvis.progress import Bars
from ovvis.sources.source import Source, Stretch, WholeOnlyError
from ovvis.structures import VideoResult

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter

SPREAD = 500
"""Frames of a stretch, and of the shortest video that is not cut up: some seconds of a GPU, minutes of a core."""

FEW = 16
"""Files of a video that are looked at anew before each stretch, whether they changed; of more, once by each worker."""

FOLLOWING = "following"
"""What following is called while it is done: its frames were counted when they were looked at."""

_ENDING = ".windows"


def stretches_name(name: str) -> str:
    """Return what the folder is called in which a result's stretches lie until it is there.

    >>> stretches_name("dog")
    '.dog.stretches'
    """
    return f".{name}.stretches"


def clear(files: Place, kept: Collection[str] = ()) -> None:
    """Remove the files of stretches but for some, and what killed processes left of them."""
    for name in files.names():
        if name.endswith(_ENDING) and name not in kept:
            files.remove(name)
    files.leave()


@dataclass(frozen=True, slots=True)
class StretchTask:
    """A stretch of a video, to be looked at."""

    task: Any  # the video's
    stretch: Stretch
    name: str  # of the file


@dataclass(frozen=True, slots=True)
class FollowTask:
    """A video whose stretches were all looked at."""

    task: Any
    names: tuple[str, ...]  # of the files, in order


@dataclass(frozen=True, slots=True)
class Footage:
    """A video as a workman has it who may cut it up."""

    name: str  # or address, which no other video has
    title: str  # for people
    open: Callable[[], Source]
    segmenter: VideoSegmenter
    made: dict[str, Any]  # what makes the results
    files: Place  # of the stretches


class Whole(Protocol):
    """A workman that does whole videos."""

    def is_done(self, task: Any) -> bool:
        """Return whether a video's results are there."""

    def footage(self, task: Any) -> Footage:
        """Return a task's video."""

    def stretches(self, task: Any) -> Place:
        """Return where what is said of a video's stretches lies until its results are there."""

    def whole(self, task: Any, bars: Bars, make: Callable[..., VideoResult] | None = None) -> Any:
        """Write a video's results, unless they are there, and return what is to be told of it.

        Args:
            task: the video.
            bars: shows the work.
            make: makes the result of its frames, of which those that were counted are followed; None: the network does.

        Raises:
            LostWindowsError: `make` does.
        """

    def clean(self, task: Any) -> None:
        """Remove what killed workmen left of a video's results."""


class Spreading:
    """What a workman does for videos that may be cut up, beside whole ones.

    Args:
        workman: does whole videos.
        frames: of a stretch, at most, but for a few that fill up a batch.
        facts: what makes the results, as JSON knows it, beside what the model says of itself.
    """

    def __init__(self, workman: Whole, frames: int, facts: Any = None) -> None:
        self._workman, self._frames, self._facts = workman, frames, facts
        self._last: tuple[str, Source, tuple[str, ...], str] | None = None  # video, frames, what was said, digest

    def work(self, task: Any, bars: Bars) -> Any:
        """Do all of a video, unless its results are there; or cut it up; or what is asked of one that is."""
        workman = self._workman
        if isinstance(task, Spreadable):
            return self._cut_up(task.task) or workman.whole(task.task, bars)
        if isinstance(task, StretchTask):
            return self._look(task, workman.footage(task.task), bars)
        if not isinstance(task, FollowTask):
            return workman.whole(task, bars)
        self._last = None  # it may hold a copy from a bucket, and who follows opens the video anew
        footage = workman.footage(task.task)
        try:
            return workman.whole(task.task, bars, _following(task, footage))
        except LostWindowsError as error:
            return WholeOnly(f"{footage.title} is not spread over workers: what was said of it is gone ({error}).")

    def tidy(self, task: Any) -> None:
        """Remove what killed workmen left of a task; whole files of its stretches are gone on with next time."""
        if isinstance(task, StretchTask):
            self._workman.stretches(task.task).tidy(task.name)
        else:
            self._workman.clean(task.task if isinstance(task, FollowTask) else task)

    def _cut_up(self, task: Any) -> Spread | WholeOnly | None:
        """Cut a video up, unless it is done, short or endless, or cannot be read.

        Stretches that were looked at already are no parts; those that were made in another way go.
        """
        from ovvis.inference.stretches import even_stretch, why_whole

        if self._workman.is_done(task):
            return None
        footage = self._workman.footage(task)
        try:
            source, _, key = self._opened(footage)
        except InputError:
            return None  # told when the whole is done
        about, files = source.info.frame_count, footage.files
        if source.endless or (about is not None and about <= self._frames):
            return None
        if why := why_whole(footage.segmenter):
            return WholeOnly(f"Long videos are not spread over workers: {why}.")
        size = even_stretch(footage.segmenter, _even(about, self._frames))
        try:
            stretches = source.stretches(size)
        except InputError:
            return None
        except WholeOnlyError as error:
            return WholeOnly(f"{footage.title} is not spread over workers: {error}.")
        if len(stretches) < 2:
            return None
        names = tuple(_name(stretch, key) for stretch in stretches)
        clear(files, names)
        there = set(files.names())
        parts = [StretchTask(task, *pair) for pair in zip(stretches, names, strict=True) if pair[1] not in there]
        return Spread(tuple(parts), FollowTask(task, names))

    def _look(self, part: StretchTask, footage: Footage, bars: Bars) -> Part | WholeOnly:
        """Look at a stretch and write down what the network says; where it is not as it was counted, nothing is left.

        Args:
            part: the stretch.
            footage: the video.
            bars: shows the work.
        """
        from ovvis.inference.stretches import write_stretch

        stretch, files = part.stretch, footage.files
        try:
            source, notes, key = self._opened(footage)
            if len(source.files) <= FEW:
                key = self._key(footage, source)
            if _name(stretch, key) != part.name:
                return WholeOnly(f"{footage.title} is not spread over workers: it changed, or differs on a machine.")
            if files.has(part.name):
                return Part()
            taken = source.stretch(stretch)
            with bars("segmenting", "frames", stretch.count) as done, files.writing(part.name) as path:
                frames = write_stretch(footage.segmenter, taken, path, part.name, done)
                if frames != stretch.count or taken.problem or tuple(taken.notes) != notes:
                    raise _OtherwiseError
            return Part(frames)
        except (InputError, _OtherwiseError):
            self._last = None
            return WholeOnly(f"{footage.title} is not spread over workers: its frames cannot all be read in stretches.")

    def _opened(self, footage: Footage) -> tuple[Source, tuple[str, ...], str]:
        """Return a video's frames, which the next stretch of it needs too, what was said of them, and their digest."""
        if self._last is None or self._last[0] != footage.name:
            self._last = None  # it may hold a copy from a bucket
            source = footage.open()
            self._last = footage.name, source, tuple(source.notes), self._key(footage, source)
        return self._last[1:]

    def _key(self, footage: Footage, source: Source) -> str:
        """Return a digest of all that decides what the network says of each of a video's frames."""
        segmenter = footage.segmenter
        words = [[label.name, *label.synonyms] for label in segmenter.vocabulary]
        plain = {name: value for name, value in footage.made.items() if name not in MAY_DIFFER}
        facts = [self._facts, plain, words, segmenter.batch, repr(source.info), _stamp(footage.name, source)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _following(task: FollowTask, footage: Footage) -> Callable[..., VideoResult]:
    """Return what makes a video's result of its frames, as a segmenter does, from its stretches."""
    from ovvis.inference.stretches import follow_stretches

    def make(source: Source, on_frame: Callable[[int], None] | None = None) -> VideoResult:
        return follow_stretches(footage.segmenter, source, task.names, footage.files.reading, on_frame)

    return make


class _OtherwiseError(Exception):
    """A stretch is not as it was counted."""


def _even(total: int | None, most: int) -> int:
    """Return how many frames each stretch has, so that the last one is about as long as the others.

    >>> _even(1001, 500), _even(1000, 500), _even(None, 500)
    (334, 500, 500)
    """
    return most if not total else -(-total // -(-total // most))


def _name(stretch: Stretch, key: str) -> str:
    return f"{stretch.first:09}-{stretch.index}-{stretch.count}-{key}{_ENDING}"


def _stamp(video: str, source: Source) -> list[Any]:
    """Return what changes when a video does, the same on all machines."""
    if is_bucket(video):
        return [video, modified(video), [file.stat().st_size for file in source.files]]
    return [[str(file), (known := file.stat()).st_size, known.st_mtime_ns] for file in source.files]
