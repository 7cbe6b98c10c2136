"""Whatever holds results of a video, opened: what `ovvis view` opens, and every file that `ovvis import` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

from ovvis.datasets.annotations import Annotations, Video
from ovvis.datasets.exported import DATASETS, READ, annotations_file, read_exported, results_of
from ovvis.datasets.open import open_dataset
from ovvis.datasets.telling import INSIDE, LISTS, tell_format
from ovvis.errors import InputError, nearest
from ovvis.evaluation.records import Category
from ovvis.outputs.read_back import UNSCORED, ReadVideo
from ovvis.paths import user_path
from ovvis.predictions.one_video import frames_of_video, result_of_video
from ovvis.predictions.result_places import PARTS, RESULTS
from ovvis.predictions.track_files import chosen_video
from ovvis.results.loading import load_result
from ovvis.structures import Frame, VideoResult

Given = VideoResult | str | PathLike[str]
SHOWN = 3  # names in a message


@dataclass(frozen=True, slots=True)
class Opened:
    """A result before it is compared."""

    name: str
    result: VideoResult
    files: tuple[str, ...] = ()  # its frames' files, where they say which frames it has; else its numbers do
    timed: bool = False  # whether it knows the times of its frames, and the name of its source
    # Gives its frames, numbered by their place in `files`; None where they are not here.
    frames: Callable[[], Iterable[Frame]] | None = field(default=None, repr=False)
    categories: tuple[Category, ...] = ()  # of a dataset
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known of the video besides the results.

    Args:
        dataset: of results lists that speak of a dataset's videos.
        video: which of a file's or dataset's videos is meant, by name or id; None: the one that there is.
    """

    dataset: Annotations | None = None
    video: str | None = None


def open_result(given: Given, name: str | None, beside: Beside) -> Opened:
    """Open a result.

    Args:
        given: a result; a folder that `ovvis segment` wrote, a `tracks.json`; results of a dataset; or what `ovvis
            import` reads, where its format cannot be told as FORMAT:PLACE.
        name: what it is called; None: as its file or folder.
        beside: what else is known.

    Raises:
        InputError: it cannot be read, or holds several videos and none is named.
    """
    if isinstance(given, VideoResult):
        return Opened(name or Path(given.source).stem or "result", given, timed=True)
    format, place = split_format(str(given))
    name = name or called(str(given))
    if not place.exists():
        raise InputError(f"{place} does not exist: check the path")
    kind = format or guess_format(place)
    if kind == "tracks":
        return Opened(name, load_result(place), timed=True)
    if kind == "results":
        return _of_dataset(name, place, beside)
    if kind == "yolo":
        raise InputError(
            f"{place}: YOLO's files know no identities; ovvis track follows them, and what it writes can be compared"
        )
    if kind in DATASETS:
        return open_annotated(open_dataset(annotations_file(place)), beside.video, name)
    return _of_read(name, place, read_exported(place, kind), beside.video)


def open_truth(data: Annotations, video: str | None, name: str, source: str = "") -> Opened:
    """Return what is true of one of a dataset's videos; see `open_annotated`."""
    opened = open_annotated(data, video, name, source)
    return replace(opened, notes=tuple(note for note in opened.notes if UNSCORED not in note))


def open_annotated(data: Annotations, video: str | None, name: str, source: str = "") -> Opened:
    """Return what a dataset says of one of its videos.

    Args:
        data: the dataset.
        video: which, by name or id; None: the one that there is, or the one of the source's name.
        name: what it is called.
        source: the name of the compared results' source.

    Raises:
        InputError: the video is none of the dataset's, or cannot be told; it has no masks.
    """
    chosen = _chosen(data, video, source)
    if data.boxes_alone:
        raise InputError(f"{data.name} has boxes and no masks, so nothing can be compared with them")
    read = results_of(data, [chosen])[0]
    notes = [f"{name}: {what}: {count:,}" for what, count in read.notes.items() if count]
    if chosen.not_exhaustive:
        unsure = [category.name for category in data.categories if category.id in chosen.not_exhaustive]
        notes.append(f"{name}: not every {_listed(unsure)} is annotated: what lies on none of its objects may be right")
    frames = _frames(data, chosen)
    return Opened(name, read.result, chosen.files, frames=frames, categories=data.categories, notes=tuple(notes))


def split_format(text: str) -> tuple[str | None, Path]:
    """Return the format that stands before a place, if one does, and the place.

    >>> split_format("davis:masks/dog")[0], split_format("masks/dog")[0]
    ('davis', None)
    """
    before, colon, after = text.partition(":")
    if colon and after and before in READ and not user_path(text).exists():
        return before, user_path(after)
    return None, user_path(text)


def guess_format(place: Path) -> str:
    """Return the format of a file or folder: one of `READ`, or "results" for results of a dataset.

    Raises:
        InputError: it cannot be told; says how to tell it.
    """
    found = tell_format(place)
    if found in READ and (found == "tracks" or not _holds_results(place)):
        return found
    if found in LISTS or _holds_results(place):
        return "results"
    raise InputError(
        f"{place}: what results these are cannot be told: say it as FORMAT:{place.name}, one of {', '.join(READ)}"
    )


def _holds_results(place: Path) -> bool:
    """Return whether a place is laid out as `ovvis predict` and servers lay out results of a dataset."""
    return (place / RESULTS).is_file() or (place / PARTS).is_dir() or place.suffix.lower() == ".zip"


def called(given: str) -> str:
    """Return what a result is called that nobody gave a name: as its file, or its folder.

    >>> called("runs/ovvis-dog/tracks.json"), called("csv:dog.csv")
    ('ovvis-dog', 'dog')
    """
    _, place = split_format(given)
    if place.name in (*INSIDE, RESULTS):
        place = place.absolute().parent
    return place.absolute().stem if place.is_file() or place.suffix else place.absolute().name


def _of_dataset(name: str, place: Path, beside: Beside) -> Opened:
    if beside.dataset is None:
        raise InputError(
            f"{place} holds results of a dataset: say of which with --dataset NAME_OR_JSON and --video NAME"
        )
    result, video = result_of_video(beside.dataset, place, beside.video)
    frames = _frames(beside.dataset, video)
    return Opened(name, result, video.files, frames=frames, categories=beside.dataset.categories)


def _frames(data: Annotations, video: Video) -> Callable[[], Iterable[Frame]] | None:
    """Return what gives a video's frames, where all of them are here."""
    if frames_of_video(data, video) is None:
        return None
    return lambda: frames_of_video(data, video) or ()


def _of_read(name: str, place: Path, videos: list[ReadVideo], video: str | None) -> Opened:
    known = [one.result.source for one in videos]
    if video is not None and len(videos) > 1:
        if video not in known:
            raise InputError(f"--video {video}: {place} has no such video; {nearest(video, known)}")
        videos = [videos[known.index(video)]]
    if len(videos) != 1:
        raise InputError(f"{place} holds {len(videos)} videos ({_listed(known)}): say with --video which is meant")
    notes = tuple(f"{name}: {what}: {count:,}" for what, count in videos[0].notes.items() if count)
    return Opened(name, videos[0].result, notes=notes)


def _chosen(data: Annotations, video: str | None, source: str) -> Video:
    if video is not None:
        return chosen_video(data, video)
    if len(data.videos) == 1:
        return data.videos[0]
    stem = Path(source.replace("\\", "/")).stem
    named = [one for one in data.videos if source and {one.name, Path(one.name).name} & {source, stem}]
    if len(named) == 1:
        return named[0]
    raise InputError(
        f"{data.name} has {len(data.videos):,} videos, and none that the results' source {source!r} names: say with "
        f"--video which it is, by its name or id ({_listed([one.name for one in data.videos])})"
    )


def _listed(names: list[Any]) -> str:
    shown = ", ".join(map(str, names[:SHOWN]))
    return shown if len(names) <= SHOWN else f"{shown}, ..."
