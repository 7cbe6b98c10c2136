"""What evaluation servers and `ovvis evaluate` take: the predictions of a whole split in one file, and in a zip.

    DIR/results.json             all entries, videos in the dataset's order
    DIR/GROUP_results.json       those of one group of categories: base, novel; or common, uncommon
    DIR/submission.zip           results.json, as the servers of YouTube-VIS, OVIS and LV-VIS take it
    DIR/submission_GROUP.zip     the entries of one group, as results.json: an upload of its own gives its AP

The bytes depend on the predictions alone.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from ovvis.datasets.annotations import Annotations
from ovvis.errors import InputError
from ovvis.evaluation.records import Category
from ovvis.files.output import whole_file

PACKED = "results.json"  # the name that servers look for inside the archive
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_IDS = re.compile(rb'\{"(?:video|image)_id": -?[0-9]+, "category_id": (-?[0-9]+), ')


def pack(
    folder: Path,
    dataset: Annotations,
    files: Iterable[Path],
    suffix: str = "",
    on_file: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write the files of a whole split from those of its videos, one entry in memory at a time.

    Args:
        folder: where to.
        dataset: the split; its categories' groups decide which files there are.
        files: the videos' files, as `PredictionFolder` writes them, in the dataset's order.
        suffix: of hidden files, so that several processes may pack at once; they write the same.
        on_file: called with the number of videos' files done.

    Returns:
        What was written: files and archives.

    Raises:
        InputError: a video's file is not as it was written.
        ResourceError: the disk is full.
    """
    groups = {group: {c.id for c in dataset.categories if group in c.groups} for group in _groups(dataset.categories)}
    names: dict[str | None, Path] = {group: folder / _list_name(group) for group in (None, *groups)}
    with ExitStack() as stack:
        lists = {
            group: _EntryList(stack.enter_context(_open(stack.enter_context(whole_file(path, suffix)))))
            for group, path in names.items()
        }
        for count, file in enumerate(files, 1):
            for category, entry in _entries(file):
                lists[None].add(entry)
                for name, members in groups.items():
                    if category in members:
                        lists[name].add(entry)
            if on_file is not None:
                on_file(count)
        for entries in lists.values():
            entries.end()
    archives = []
    for group, path in names.items():
        archive = folder / _archive_name(group)
        with whole_file(archive, suffix) as partial:
            _zip(path, partial)
        archives.append(archive)
    return [*names.values(), *archives]


class _EntryList:
    """A JSON list that is written an entry at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._count = file, 0
        file.write(b"[")

    def add(self, entry: bytes) -> None:
        self._file.write(b",\n" if self._count else b"\n")
        self._file.write(entry)
        self._count += 1

    def end(self) -> None:
        self._file.write(b"\n]\n")


def _entries(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each entry of a video's file with its category's id."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            entry = line[: -2 if line.endswith(b",\n") else -1]
            if entry in (b"[", b"]", b""):
                continue
            found = _IDS.match(entry)
            if found is None or not entry.endswith(b"}"):
                raise InputError(f"{path}, line {number} is not as ovvis wrote it: delete the file and predict again")
            yield int(found[1]), entry


def _groups(categories: Iterable[Category]) -> list[str]:
    """Return the groups that categories are in, in alphabetical order."""
    return sorted({group for category in categories for group in category.groups if group != "all"})


def packed_files(categories: Iterable[Category]) -> list[str]:
    """Return the names of all files that `pack` writes."""
    groups = (None, *_groups(categories))
    return [_list_name(group) for group in groups] + [_archive_name(group) for group in groups]


def _list_name(group: str | None) -> str:
    return PACKED if group is None else f"{_plain(group)}_{PACKED}"


def _archive_name(group: str | None) -> str:
    return "submission.zip" if group is None else f"submission_{_plain(group)}.zip"


def _plain(group: str) -> str:
    """Return a group's name as part of a file's."""
    return re.sub(r"[^0-9A-Za-z-]+", "-", group)


def _open(path: Path) -> BinaryIO:
    return path.open("wb")


def _zip(source: Path, target: Path) -> None:
    """Write an archive of one file whose bytes depend on that file's alone."""
    info = zipfile.ZipInfo(PACKED, _EPOCH)
    info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
    info.file_size = source.stat().st_size  # decides whether the sizes need 64 bits
    with (
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
        source.open("rb") as file,
        archive.open(info, "w") as inside,
    ):
        shutil.copyfileobj(file, inside, 1 << 20)
