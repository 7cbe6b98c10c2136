"""What the readers share: categories and videos of a file, checked, and ids that must point somewhere."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

import msgspec

from ovvis.datasets.annotations import Video
from ovvis.datasets.frame_names import inside, place_names
from ovvis.datasets.problems import Problem, Problems
from ovvis.datasets.truth_masks import Segmentation
from ovvis.errors import InputError
from ovvis.evaluation.records import Category, TruthTrack
from ovvis.fields import Whole, short, whole
from ovvis.masks import proper_polygons
from ovvis.vocabulary import plain_word

SplitBy = Literal["partition", "frequency"]
NO_MASKS = "annotations without masks"
_FEW_CORNERS = "polygons of fewer than three corners, left out"
MOST_HELD = 50_000_000
_MOST_PIXELS = 2**31 - 1  # what COCO's mask tools count with

_ABSENT = msgspec.Raw()


class CategoryEntry(msgspec.Struct):
    """A category in a file. What only groups it may be of any kind, and is passed over where it is no such value."""

    id: Whole
    name: str
    partition: msgspec.Raw = _ABSENT  # LV-VIS: 0 and 1 base, 2 and 3 novel
    frequency: msgspec.Raw = _ABSENT  # LVIS, BURST: f, c, r
    split: msgspec.Raw = _ABSENT  # BURST as burst2ytvis.py converts it: common, uncommon
    supercategory: msgspec.Raw = _ABSENT
    synonyms: msgspec.Raw = _ABSENT  # LVIS, BURST: a list of names


class Scored(Protocol):
    """An annotation that may have a score, as exports of results do."""

    id: Whole
    score: Any


def scores_of(entries: Iterable[Scored], truths: Iterable[TruthTrack]) -> dict[int, float]:
    """Return by a true track's id the score that its annotation states, where it states one."""
    stated = ((whole(entry.id), number_of(entry.score)) for entry in entries if entry.score is not None)
    found = {id: score for id, score in stated if id is not None and score is not None}
    return {truth.id: found[truth.id] for truth in truths if truth.id in found} if found else {}


def number_of(value: Any) -> float | None:
    """Return a number that a field of any kind holds; None if it holds none."""
    return float(value) if type(value) in (int, float) and abs(value) < 2**53 else None


_GROUPS: dict[str, tuple[object, ...]] = {
    "partition": (0, 1, 2, 3),
    "frequency": ("f", "c", "r"),
    "split": ("common", "uncommon"),
}


def value_of(entry: CategoryEntry, field: str) -> Any:
    """Return a field of a category that may be of any kind; None if it is absent or cannot be read."""
    raw = bytes(getattr(entry, field))
    try:
        return msgspec.json.decode(raw) if raw else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


class Checker:
    """Tells what is wrong with the entries of one file.

    Args:
        path: the file.
        problems: where to.
    """

    def __init__(self, path: Path, problems: Problems) -> None:
        self.path = path
        self.problems = problems
        self._held = 0

    def hold(self, frames: int) -> None:
        """Make room for a track's masks where the file does not list one for each frame.

        Raises:
            InputError: all tracks together have more frames than any file needs.
        """
        self._held += frames
        if self._held > MOST_HELD:
            raise InputError(
                f"{self.path}: its tracks have more than {MOST_HELD:,} frames together, most of them without a mask: "
                "split the file"
            )

    def tell(self, kind: str, place: str, rule: str) -> None:
        """Take a problem of the file.

        Raises:
            InputError: problems are refused.
        """
        self.problems.tell(Problem(kind, self.path, f"field {place}", rule))

    def mention(self, kind: str, place: str, rule: str, count: int = 1) -> None:
        """Say what is unusual; nothing is refused for it."""
        self.problems.mention(Problem(kind, self.path, f"field {place}", rule), count)

    def number(self, value: Whole, place: str) -> int | None:
        """Return a whole number that may be written as 1.0 or "1"; None after a problem if it is none."""
        if type(value) is int and -(2**63) <= value < 2**63:
            return value
        found = whole(value)
        if found is None:
            self.tell("no whole number", place, f"must be a whole number of at most 64 bits, not {short(value)}")
        return found

    def new_id(self, value: Whole, seen: Collection[int], place: str) -> int | None:
        """Return an id if it may stand: it is not negative, and the first of its kind."""
        id = self.number(value, f"{place}.id")
        if id is None:
            return None
        if id < 0:
            self.tell("negative id", f"{place}.id", f"must not be negative, and is {id}")
        elif id in seen:
            self.tell("duplicate id", f"{place}.id", f"must be the only {id}, and is not")
        else:
            return id
        return None

    def known(self, value: Whole, ids: Collection[int], what: str, place: str) -> int | None:
        """Return an id if it is one of those that exist."""
        id = self.number(value, place)
        if id is None or id in ids:
            return id
        self.tell(f"unknown {what}", place, f"must be the id of one of the file's {len(ids)}, and is {id}")
        return None

    def size(self, height: Whole, width: Whole, place: str) -> tuple[int, int] | None:
        """Return a frame's height and width if it may be so large."""
        h, w = self.number(height, f"{place}.height"), self.number(width, f"{place}.width")
        if h is None or w is None:
            return None
        if min(h, w) > 0 and h * w <= _MOST_PIXELS:
            return h, w
        rule = f"have at most {_MOST_PIXELS:,} pixels" if min(h, w) > 0 else "have a height and a width above 0"
        self.tell("impossible size", place, f"must {rule}, not {height} x {width}")
        return None

    def file_name(self, name: str, place: str) -> bool:
        """Return whether a frame may have such a name."""
        if not name.strip() or "\0" in name:
            self.tell("impossible file name", place, f"must be a file's name, not {short(name)}")
        elif ".." in name and not inside(re.sub(r"^[A-Za-z]:", "", name.replace("\\", "/")).lstrip("/")):
            self.tell("impossible file name", place, f"must lie below the folder of frames, not at {short(name)}")
        else:
            return True
        return False

    def proper(self, segmentations: list[Segmentation], place: str) -> bool:
        """Leave polygons that enclose nothing out of a track's masks, in place, as the released tools do.

        Returns:
            Whether a mask is left, or nothing was left out.
        """
        fewer = 0
        for i, segmentation in enumerate(segmentations):
            if isinstance(segmentation, list) and len(kept := proper_polygons(segmentation)) < len(segmentation):
                self.mention(_FEW_CORNERS, f"{place}[{i}]", "has one", len(segmentation) - len(kept))
                segmentations[i] = kept
                fewer += 1
        if fewer and not any(segmentations):
            self.mention("annotations of no other polygons, left out", place, "has no other")
            return False
        return True

    def placed(self, videos: Iterable[Video], frames: Path, shorten: bool = False) -> tuple[Video, ...]:
        """Return videos whose files are places below the folder of frames (`place_names`)."""
        videos = tuple(videos)
        placed = place_names([video.files for video in videos], frames, shorten)
        if placed.note:
            self.mention("remark on the frames' paths", "file_names", f"is odd: {placed.note}")
        return tuple(
            video if video.files == files else replace(video, files=files)
            for video, files in zip(videos, placed.names, strict=True)
        )

    def categories(
        self, entries: Sequence[CategoryEntry], split_by: SplitBy, more: Mapping[int, tuple[str, ...]] | None = None
    ) -> tuple[Category, ...]:
        """Return a file's categories.

        Args:
            entries: as the file lists them.
            split_by: which field tells base and novel, where an entry has it.
            more: further groups of some, by id.
        """
        found: dict[int, Category] = {}
        for i, entry in enumerate(entries):
            if (id := self.new_id(entry.id, found, f"categories[{i}]")) is not None:
                self._odd_groups(entry, f"categories[{i}]")
                groups = (*_groups(entry, split_by), *(more or {}).get(id, ()))
                others = value_of(entry, "synonyms")
                synonyms = tuple(word for word in others if isinstance(word, str)) if isinstance(others, list) else ()
                found[id] = Category(id, entry.name, groups, synonyms)
        return tuple(found.values())

    def _odd_groups(self, entry: CategoryEntry, place: str) -> None:
        for field, choices in _GROUPS.items():
            raw = bytes(getattr(entry, field))
            if raw not in (b"", b"null") and value_of(entry, field) not in choices:
                told = raw.decode("utf-8", "replace").replace("9e999", "no number")
                shown = told if len(told) <= 40 else told[:37] + "..."
                self.mention("odd groups of categories, passed over", f"{place}.{field}", f"is {shown}")


def heads(entries: Sequence[CategoryEntry], used: Collection[int]) -> frozenset[int]:
    """Return the ids of categories that only stand above others.

    Exporters write the name of a project or of a group of classes as a category of its own, such as Roboflow's of
    id 0. It is told by three things: it is another category's `supercategory`, no annotation uses it, and some use
    others.

    Args:
        entries: as the file lists them.
        used: the categories' ids that annotations have.
    """
    above: dict[str, set[int | None]] = defaultdict(set)
    for entry in entries:
        if isinstance(name := value_of(entry, "supercategory"), str):
            above[plain_word(name)].add(whole(entry.id))
    found = set()
    for entry in entries:
        id = whole(entry.id)
        if used and id is not None and id not in used and above.get(plain_word(entry.name), set()) - {id}:
            found.add(id)
    return frozenset(found)


def _groups(entry: CategoryEntry, split_by: SplitBy) -> tuple[str, ...]:
    """Return the groups that a category's own fields put it into."""
    partition, frequency, split = (value_of(entry, field) for field in _GROUPS)
    groups: list[str] = []
    if split_by == "partition" and partition is not None:
        if partition in _GROUPS["partition"]:
            groups.append("base" if partition in (0, 1) else "novel")
    elif frequency in _GROUPS["frequency"]:
        groups.append("novel" if frequency == "r" else "base")
    if split in _GROUPS["split"]:
        groups.append(split)
    return tuple(groups)


def video_names(files: Iterable[tuple[str, ...]]) -> list[str] | None:
    """Return the folder of each video's frames, if it is its own, and no other video's; None if not."""
    names = []
    for video in files:
        folders = {str(PurePosixPath(file).parent) for file in video}
        if len(folders) != 1:
            return None
        names.append(folders.pop())
    taken = Counter(names)
    return names if taken.total() == len(taken) and "." not in taken else None


def named(videos: Sequence[Video]) -> tuple[Video, ...]:
    """Return videos with their names: their folders where these tell them apart, else their ids."""
    names = video_names(video.files for video in videos) or [str(video.id) for video in videos]
    return tuple(replace(video, name=name) for video, name in zip(videos, names, strict=True))
