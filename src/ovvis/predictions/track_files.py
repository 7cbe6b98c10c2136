"""Reads what `ovvis segment` wrote, one `tracks.json` a video, as results of a dataset's videos.

Such a file knows a source and labels, a dataset has videos and categories. Which belong together is found by their
names, or refused; what is matched in any other way than by the same name is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from ovvis.datasets.annotations import Annotations, Video
from ovvis.datasets.problems import Problems
from ovvis.datasets.words import categories_meant
from ovvis.errors import InputError, nearest
from ovvis.evaluation.records import ResultTrack
from ovvis.fields import JsonFile
from ovvis.masks import Rle
from ovvis.outputs.formats.tracks_json import FORMAT, load_tracks
from ovvis.predictions.result_places import find_results

REMEDY = "write it again with ovvis segment"
_SHOWN = 5  # labels or numbers in a message


class _Source(msgspec.Struct):
    source: str
    height: int
    width: int
    frames: list[int]


class _Head(msgspec.Struct):
    """What is read of a file before its tracks."""

    video: _Source
    vocabulary: list[str]
    problem: str | None = None


class _Kind(msgspec.Struct):
    format: Any = None


@dataclass(frozen=True, slots=True)
class _Match:
    """A file and the video that it is of."""

    path: Path
    video: Video
    frames: tuple[int, ...]  # for each frame of the result its place in the video, -1 for one that is not compared
    categories: dict[int, int]  # ids of categories by the label's place in the vocabulary


def find_track_files(path: str | Path) -> list[Path]:
    """Return the files of `ovvis segment` that a path stands for; none if it stands for other results.

    Args:
        path: what `find_results` takes; a folder may hold the folders that `ovvis segment` wrote, too.

    Raises:
        InputError: nothing is there, or results of both kinds.
    """
    files = find_results(str(path))
    ours = [file for file in files if _is_ours(file)]
    if ours and len(ours) < len(files):
        other = next(file for file in files if file not in ours)
        raise InputError(f"{path}: {ours[0].name} is of ovvis segment and {other.name} is not; give one kind at a time")
    return ours


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(64)
        if not start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            return False
        return bool(JsonFile(path, REMEDY).decode(_Kind).format == FORMAT)
    except (OSError, InputError):
        return False  # its reader says what is wrong


@dataclass
class TrackFiles:
    """Results of some of a dataset's videos, one file each.

    Args:
        path: what `find_track_files` takes.
        dataset: the dataset.
        video: id or name of the video that the one file is of; None: found by the name of each file's source.

    Raises:
        InputError: a file is of no video or may be of several, or its size or its frames are not those of its video,
            or none of its labels is a category.
    """

    path: str | Path
    dataset: Annotations
    video: str | None = None
    warnings: Counter[str] = field(default_factory=Counter)  # what was left out, and how often

    def __post_init__(self) -> None:
        self.problems = Problems(refuse=False)  # none: whatever is wrong is refused
        self.told: list[str] = []  # how files, frames and labels were matched, where it is not plain
        paths = find_track_files(self.path)
        if self.video is not None and len(paths) != 1:
            raise InputError(f"--video names one video, and {self.path} holds {len(paths)} files; give them one by one")
        self._matches = [self._match(path) for path in paths]
        taken: dict[int, Path] = {}
        for match in self._matches:
            if (other := taken.setdefault(match.video.id, match.path)) != match.path:
                raise InputError(
                    f"{other} and {match.path} are both taken for video {match.video.name!r}; keep one, or score each "
                    "with --video"
                )
        self.annotations = of_videos(self.dataset, taken)
        """The dataset's videos that are scored, and their truth."""
        if len(taken) < len(self.dataset.videos):
            self.told.append(
                f"scored: {len(taken):,} of the {len(self.dataset.videos):,} videos of {self.dataset.name}"
            )

    def __iter__(self) -> Iterator[list[ResultTrack]]:
        """Yield the results of one video at a time.

        Raises:
            InputError: a file is damaged; the message names file and field.
        """
        self.warnings.clear()
        for match in self._matches:
            if tracks := self._tracks(match):
                yield tracks

    def some(self, videos: set[int]) -> TrackFiles:
        """Return the files of some videos (ids)."""
        chosen = replace(self)
        chosen._matches = [match for match in self._matches if match.video.id in videos]
        return chosen

    def _tracks(self, match: _Match) -> list[ResultTrack]:
        tracks = []
        for track in load_tracks(match.path).tracks:
            if track.label_index not in match.categories:
                self.warnings[f"results left out for a label that is no category of {self.dataset.name}"] += 1
                continue
            masks: list[Rle | None] = [None] * len(match.video.files)
            for place, mask in zip(match.frames, track.masks, strict=True):
                if place >= 0:
                    masks[place] = mask
            tracks.append(ResultTrack(match.video.id, match.categories[track.label_index], track.score, masks))
        return tracks

    def _match(self, path: Path) -> _Match:
        head = JsonFile(path, REMEDY).decode(_Head)
        source = head.video
        video = self._named(source.source, path) if self.video is None else chosen_video(self.dataset, self.video)
        if (source.height, source.width) != (video.height, video.width):
            raise InputError(
                f"{path} has masks of {source.height} x {source.width}, and video {video.name!r} frames of "
                f"{video.height} x {video.width}; is it another video? Segment the dataset's own frames"
            )
        try:
            frames = match_frames(source.frames, video.files)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        compared = len(set(frames) - {-1})
        if compared < len(video.files):
            self.told.append(
                f"{path}: {len(video.files) - compared:,} of the {len(video.files):,} frames of video {video.name!r} "
                "were not looked at; there nothing counts as found"
            )
        if -1 in frames:
            self.told.append(
                f"{path}: {len(frames):,} frames, of which the truth has {compared:,}: by their files' numbers"
            )
        elif source.frames == list(range(len(frames))) and _step(_numbers(video.files)) > 1:
            self.told.append(
                f"{path}: its frames are taken for those of video {video.name!r} in order, though the files' numbers "
                "say that these are not all frames of their source"
            )
        if head.problem:
            self.told.append(f"{path}: {head.problem}")
        return _Match(path, video, frames, self._categories(path, head.vocabulary))

    def _named(self, source: str, path: Path) -> Video:
        """Return the video whose name a source has."""
        names = {source, PurePosixPath(source).stem}
        found = [video for video in self.dataset.videos if video.name in names]
        found = found or [video for video in self.dataset.videos if PurePosixPath(video.name).name in names]
        if len(found) != 1:
            many = f"may be each of {_listed(video.name for video in found)}" if found else "has the name of none"
            raise InputError(
                f"{path}: its source {source!r} {many} of the {len(self.dataset.videos):,} videos of "
                f"{self.dataset.name}; say with --video ID_OR_NAME which one it is"
            )
        self.told.append(f"{path} is taken for video {found[0].name!r} (id {found[0].id}), by its source's name")
        return found[0]

    def _categories(self, path: Path, labels: Sequence[str]) -> dict[int, int]:
        """Return the category of each label that is one."""
        found, others = categories_meant(labels, self.dataset.categories)
        if not found:
            raise InputError(f"{path}: none of its labels ({_listed(labels)}) is a category of {self.dataset.name}")
        missing = [label for i, label in enumerate(labels) if i not in found]
        if missing:
            self.told.append(
                f"{path}: {len(missing):,} of {len(labels):,} labels are no category of {self.dataset.name}, and their "
                f"results are left out: {_listed(missing)}"
            )
        if others:
            self.told.append(f"{path}: by synonyms, {_listed(others)}")
        unasked = len({category.id for category in self.dataset.asked} - set(found.values()))
        if unasked:
            self.told.append(f"{path}: categories of {self.dataset.name} that were not asked for: {unasked:,}")
        return found


def of_videos(dataset: Annotations, videos: dict[int, Any] | set[int]) -> Annotations:
    """Return a dataset with some of its videos (ids), and their truth, alone."""
    return replace(
        dataset,
        videos=tuple(video for video in dataset.videos if video.id in videos),
        truths=tuple(truth for truth in dataset.truths if truth.video_id in videos),
    )


def chosen_video(dataset: Annotations, given: str) -> Video:
    """Return the video that a person names: by its name, the last part of it, or its id.

    Raises:
        InputError: there is none, or several.
    """
    text = given.strip()
    by_name = [video for video in dataset.videos if video.name == text]
    by_name = by_name or [video for video in dataset.videos if PurePosixPath(video.name).name == text]
    by_id = [video for video in dataset.videos if str(video.id) == text]
    found = {video.id: video for video in (*by_name, *by_id)}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        shown = _listed(f"{video.name} (id {video.id})" for video in found.values())
        raise InputError(f"--video {given} may be each of {shown}; give a whole name or an id that is no other's name")
    raise InputError(f"--video {given}: {nearest(text, [video.name for video in dataset.videos])}")


def match_frames(frames: Sequence[int], files: Sequence[str]) -> tuple[int, ...]:
    """Return the place in a video of each frame of a result, -1 for one that the video does not have.

    Args:
        frames: the numbers of the result's frames in its source, from 0.
        files: the video's files, in order. Their numbers, the last of each name, tell which of a longer source's
            frames they are.

    Raises:
        InputError: it cannot be told which frame is which.

    >>> match_frames([0, 2], ["a/0.jpg", "a/1.jpg", "a/2.jpg"])
    (0, 2)
    >>> match_frames([0, 5], ["a/00000.jpg", "a/00005.jpg"])
    (0, 1)
    >>> match_frames(range(7), ["a/00000.jpg", "a/00005.jpg"])
    (0, -1, -1, -1, -1, 1, -1)
    """
    count, given, numbers = len(files), list(frames), _numbers(files)
    step = _step(numbers)
    if given == list(range(count)) or (given == numbers and numbers[0] == 0):
        return tuple(range(count))
    if given and given == sorted(set(given)):
        # Some frames of a video that has all of its source's.
        if step == 1 and numbers[0] in (0, 1) and given[0] >= 0 and given[-1] < count:
            return tuple(given)
        # All frames of a source of which the video has every so many.
        if step > 1 and numbers[0] == 0 and given == list(range(len(given))) and 0 < len(given) - numbers[-1] <= step:
            return tuple(n // step if n % step == 0 else -1 for n in given)
    shown = f"{', '.join(map(str, given[:3]))} to {given[-1]}" if len(given) > 3 else ", ".join(map(str, given))
    shown = shown or "none"
    raise InputError(
        f"it cannot be told which of the video's {count:,} frames ({files[0]} to {files[-1]}) are its {len(given):,} "
        f"frames {shown}; segment the dataset's own frames, all of them"
    )


def _numbers(files: Sequence[str]) -> list[int]:
    """Return the last number in each file's name; none at all if a name has none."""
    found = [re.findall(r"[0-9]+", PurePosixPath(file).stem) for file in files]
    return [int(each[-1]) for each in found] if all(found) else []


def _step(numbers: Sequence[int]) -> int:
    """Return the step from each number to the next; 0 if it is not the same everywhere, or there is none."""
    steps = {after - before for before, after in pairwise(numbers)}
    return steps.pop() if len(steps) == 1 else 0


def _listed(names: Any) -> str:
    names = list(names)
    shown = ", ".join(map(str, names[:_SHOWN]))
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN:,} more"
