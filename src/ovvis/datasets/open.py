"""Datasets by name or by path: found, told of what format they are, read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import msgspec

from ovvis.datasets import catalog
from ovvis.datasets.annotations import Annotations
from ovvis.datasets.burst import read_burst
from ovvis.datasets.catalog import Entry, Format
from ovvis.datasets.coco import read_coco
from ovvis.datasets.coco_video import read_coco_video
from ovvis.datasets.problems import Problem, Problems
from ovvis.datasets.truth_masks import REMEDY, TruthMasks
from ovvis.datasets.youtube_vis import read_youtube_vis
from ovvis.errors import InputError
from ovvis.evaluation.records import Category
from ovvis.evaluation.rules import Rules
from ovvis.fields import JsonFile
from ovvis.paths import data_folder, user_path
from ovvis.vocabulary import Label, Vocabulary


class Reader(Protocol):
    """What reads one format."""

    def __call__(
        self, path: Path, frames: Path, name: str, rules: Rules | None, /, *, problems: Problems | None
    ) -> Annotations:
        """Return what a file holds."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset whose files have a place, whether they are there or not."""

    name: str
    annotations: Path
    frames: Path
    entry: Entry | None = None  # None: a user's own

    def read(self, problems: Problems | None = None) -> Annotations:
        """Read its annotations; no pixels.

        Args:
            problems: takes what is wrong with single entries, which are then left out; None: refuse it.

        Raises:
            InputError: the file is missing or not what it must be.
        """
        if not self.annotations.is_file():
            raise InputError(self._missing())
        format = _format(self.annotations) if self.entry is None or self.entry.format == "burst" else self.entry.format
        rules = self.entry.rules if self.entry else None
        readers: dict[Format, Reader] = {
            "youtube-vis": read_youtube_vis,
            "coco": read_coco,
            "burst": read_burst,
            "coco-video": read_coco_video,
        }
        problems = problems or Problems()
        read = readers[format](self.annotations, self.frames, self.name, rules, problems=problems)
        read = replace(read, notes=problems.left_out())
        return _as_catalogued(read, self.entry) if self.entry else read

    def _missing(self) -> str:
        if self.entry is None:
            return f"{self.annotations} does not exist: check the path"
        return (
            f"dataset {self.name}: {self.annotations} does not exist; get it from {self.entry.page}, "
            "or say with --data-root or OVVIS_DATA where it lies (ovvis datasets shows the layout)"
        )


def open_dataset(
    name: str | Path,
    root: str | Path | None = None,
    frames: str | Path | None = None,
    problems: Problems | None = None,
) -> Annotations:
    """Read a dataset by its name in the catalogue, or a user's own by the path of its JSON.

    Args:
        name: a name, or a path of a JSON of YouTube-VIS's, COCO's or BURST's format.
        root: the folder that the catalogue's datasets lie in; None: `OVVIS_DATA`, else `datasets` here.
        frames: the folder of frames; None: where the catalogue says, or, of a user's own, beside the JSON.
        problems: takes what is wrong with single entries, which are then left out; None: refuse it.

    Raises:
        InputError: there is no such dataset, or its file is not what it must be.
    """
    read = find_dataset(name, root, frames).read(problems)
    return read if problems is None or problems.refuse else _of_sound_masks(read, problems)


def find_dataset(name: str | Path, root: str | Path | None = None, frames: str | Path | None = None) -> Dataset:
    """Return where a dataset lies; the arguments are those of `open_dataset`.

    Raises:
        InputError: the catalogue has no such name, or a path is no file.
    """
    path = user_path(name)
    if path.is_dir():
        raise InputError(f"dataset {path} is a folder: give its JSON, or make one with ovvis datasets convert")
    if path.suffix.lower() == ".json" or path.is_file() or len(path.parts) > 1:
        if not path.is_file():
            raise InputError(f"dataset {path} does not exist: check the path")
        return Dataset(path.stem, path, user_path(frames) if frames else _frames_beside(path))
    entry, home = catalog.entry(str(name)), data_folder(root)
    chosen = user_path(frames) if frames else _first(home, entry.frames)
    return Dataset(entry.name, _first(home, entry.annotations), chosen, entry)


def _first(root: Path, places: tuple[str, ...]) -> Path:
    """Return the first place that exists, else the first."""
    return next((root / place for place in places if (root / place).exists()), root / places[0])


def _of_sound_masks(read: Annotations, problems: Problems) -> Annotations:
    """Return annotations without the tracks of which a mask is damaged."""
    sound = []
    for truth in read.truths:
        try:
            if isinstance(truth.masks, TruthMasks):
                truth.masks.verify()
        except InputError as error:
            problems.tell(
                Problem("damaged mask", Path(str(error).partition(": ")[0]), str(error).partition(": ")[2], "")
            )
        else:
            sound.append(truth)
    return replace(read, truths=tuple(sound), notes=problems.left_out())


_ABSENT = msgspec.Raw()


class _Frame(msgspec.Struct):
    video_id: msgspec.Raw = _ABSENT


class _Listed(msgspec.Struct):
    file_names: msgspec.Raw = _ABSENT


class _Contents(msgspec.Struct):
    """What tells the formats apart; the rest of the file is passed over."""

    videos: msgspec.Raw = _ABSENT
    images: msgspec.Raw = _ABSENT
    sequences: msgspec.Raw = _ABSENT


def _format(path: Path) -> Format:
    """Return the format of a file by its lists.

    Raises:
        InputError: it has none of them.
    """
    file = JsonFile(path, REMEDY)
    found = file.decode(_Contents)
    if found.images is not _ABSENT and found.sequences is _ABSENT and not _lists_frames(found.videos):
        with suppress(msgspec.MsgspecError, ValueError, RecursionError):
            images = msgspec.json.decode(found.images, type=list[_Frame])
            if any(bytes(image.video_id) not in (b"", b"null") for image in images):
                return "coco-video"
    formats: list[tuple[msgspec.Raw, Format]] = [
        (found.videos, "youtube-vis"),
        (found.sequences, "burst"),
        (found.images, "coco"),
    ]
    for part, format in formats:
        if part is not _ABSENT:
            return format
    raise InputError(
        f"{path} must hold a list of videos (YouTube-VIS), images (COCO, CocoVID) or sequences (BURST), and has none: "
        "is it an annotation file?"
    )


def _lists_frames(videos: msgspec.Raw) -> bool:
    """Return whether a list of videos says which frames each has."""
    with suppress(msgspec.MsgspecError, ValueError, RecursionError):
        return any(bytes(video.file_names) for video in msgspec.json.decode(videos, type=list[_Listed]))
    return False


def _frames_beside(path: Path) -> Path:
    """Return the likely folder of frames of a user's own JSON."""
    folder = path.parent
    names = ("JPEGImages", "frames", "images", path.stem, f"{path.stem}/JPEGImages")
    return next((folder / name for name in names if (folder / name).is_dir()), folder)


def _as_catalogued(read: Annotations, entry: Entry) -> Annotations:
    """Return annotations with base and novel as the vocabulary says where the file does not, and the group dropped."""
    labels = {label.name.casefold(): label for label in Vocabulary.builtin(entry.vocabulary)}
    categories = tuple(_grouped(category, labels.get(category.name.casefold())) for category in read.categories)
    truths = read.truths
    if entry.dropped:
        kept = {category.id for category in categories if entry.dropped not in category.groups}
        truths = tuple(truth for truth in truths if truth.category_id in kept)
    return replace(read, categories=categories, truths=truths, heads=frozenset())  # its categories are all meant


def _grouped(category: Category, label: Label | None) -> Category:
    if label is None:
        return category
    category = replace(category, synonyms=category.synonyms or label.synonyms)
    if label.split is None or {"base", "novel"} & set(category.groups):
        return category
    return replace(category, groups=(label.split, *category.groups))
