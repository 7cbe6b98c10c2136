"""What the readers share: categories and videos of a file, checked, and ids that must point somewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from ovvis.data.annotations import Video
from ovvis.data.problems import Problem, Problems
from ovvis.evaluation.records import Category

SplitBy = Literal["partition", "frequency"]
_MOST_PIXELS = 2**31 - 1  # what COCO's mask tools count with


class CategoryEntry(msgspec.Struct):
    """A category in a file."""

    id: int
    name: str
    partition: int | None = None  # LV-VIS: 0 and 1 base, 2 and 3 novel
    frequency: str | None = None  # LVIS, BURST: f, c, r
    split: str | None = None  # BURST as burst2ytvis.py converts it: common, uncommon


class Checker:
    """Tells what is wrong with the entries of one file.

    Args:
        path: the file.
        problems: where to.
    """

    def __init__(self, path: Path, problems: Problems) -> None:
        self.path = path
        self.problems = problems

    def tell(self, kind: str, place: str, rule: str) -> None:
        """Take a problem of the file.

        Raises:
            InputError: problems are refused.
        """
        self.problems.tell(Problem(kind, self.path, f"field {place}", rule))

    def new_id(self, id: int, seen: Collection[int], place: str) -> bool:
        """Return whether an id may stand: it is not negative, and the first of its kind."""
        if id < 0:
            self.tell("negative id", f"{place}.id", f"must not be negative, and is {id}")
        elif id in seen:
            self.tell("duplicate id", f"{place}.id", f"must be the only {id}, and is not")
        else:
            return True
        return False

    def known(self, id: int, ids: Collection[int], what: str, place: str) -> bool:
        """Return whether an id is one of those that exist."""
        if id in ids:
            return True
        self.tell(f"unknown {what}", place, f"must be the id of one of the file's {len(ids)}, and is {id}")
        return False

    def size(self, height: int, width: int, place: str) -> bool:
        """Return whether a frame may be so large."""
        if height > 0 and width > 0 and height * width <= _MOST_PIXELS:
            return True
        rule = (
            f"have at most {_MOST_PIXELS:,} pixels" if min(height, width) > 0 else "have a height and a width above 0"
        )
        self.tell("impossible size", place, f"must {rule}, not {height} x {width}")
        return False

    def file_name(self, name: str, place: str) -> bool:
        """Return whether a file may have such a name."""
        if name.strip() and "\0" not in name:
            return True
        self.tell("impossible file name", place, f"must be a file's name, not {name!r}")
        return False

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
            if self.new_id(entry.id, found, f"categories[{i}]"):
                groups = (*_groups(entry, split_by), *(more or {}).get(entry.id, ()))
                found[entry.id] = Category(entry.id, entry.name, groups)
        return tuple(found.values())


def _groups(entry: CategoryEntry, split_by: SplitBy) -> tuple[str, ...]:
    """Return the groups that a category's own fields put it into."""
    groups: list[str] = []
    if split_by == "partition" and entry.partition is not None:
        groups.append("base" if entry.partition in (0, 1) else "novel")
    elif entry.frequency in ("f", "c", "r"):
        groups.append("novel" if entry.frequency == "r" else "base")
    if entry.split in ("common", "uncommon"):
        groups.append(entry.split)
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
    return tuple(
        Video(v.id, name, v.height, v.width, v.files, v.absent, v.not_exhaustive)
        for v, name in zip(videos, names, strict=True)
    )
