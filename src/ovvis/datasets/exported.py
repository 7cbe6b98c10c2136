"""Exports read back, perhaps corrected since: as a dataset to score against and to train on, or as tracks again."""

from __future__ import annotations

import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Literal

from ovvis.datasets.annotations import Annotations, Video
from ovvis.datasets.mask_folder import FRAME_FOLDERS, MASK_FOLDERS, MaskFolder, convert_masks, read_names
from ovvis.datasets.open import find_dataset
from ovvis.errors import InputError, nearest
from ovvis.files.output import whole_folder
from ovvis.outputs.chosen import Advance, Chosen, file_name
from ovvis.outputs.formats.table import FORMATS, find_format
from ovvis.outputs.formats.tracks_json import TRACKS, save_tracks
from ovvis.outputs.formats.youtube_vis import write_dataset
from ovvis.outputs.pictures import write_frames
from ovvis.outputs.read_back import ReadVideo, scored, usable_score
from ovvis.paths import user_path
from ovvis.plain import told_apart
from ovvis.sources.listing import IMAGE_SUFFIXES
from ovvis.structures import Frame, Track, VideoResult

DATASETS = ("coco", "youtube-vis")
MASKS = ("davis", "masks")
READ = tuple(name for name, row in FORMATS.items() if row.reads or name in (*DATASETS, *MASKS))
"""The formats that are read back."""

TARGETS = ("youtube-vis", "tracks")
ANNOTATIONS = "annotations.json"
CROWDS = "annotations of crowds, left out: they are no instances"
EMPTY = "tracks without a mask, left out"


@dataclass(frozen=True, slots=True)
class Imported:
    """What was written."""

    path: Path  # a folder
    videos: int
    frames: int
    tracks: int
    labels: tuple[str, ...]
    notes: dict[str, int]


def read_exported(path: str | Path, format: str, frames: str | Path | None = None) -> list[ReadVideo]:
    """Read what `ovvis export` wrote, or another program in that format.

    Args:
        path: the file or folder.
        format: one of `READ`.
        frames: the folder of frames, for masks whose frames lie elsewhere.

    Raises:
        InputError: it cannot be read, is not of that format, or the format has no masks.
    """
    row, place = find_format(format), user_path(path)
    if format not in READ:
        raise InputError(f"format {format} has no masks to read back; {nearest(format, READ)}")
    if not place.exists():
        raise InputError(f"{place} does not exist: check the path")
    if place.is_file() and zipfile.is_zipfile(place):
        raise InputError(f"{place} is an archive: unpack it, and give the folder")
    if format in MASKS:
        return _of_masks(place, frames)
    if format in DATASETS:
        return list(_videos(find_dataset(annotations_file(place), frames=frames).read()))
    assert row.read is not None
    return row.read(place)


def annotations_file(place: Path) -> Path:
    """Return the JSON of a dataset: the place itself, or the one in the folder that it is."""
    return place / ANNOTATIONS if place.is_dir() else place


def write_imported(
    videos: Sequence[ReadVideo],
    output: str | Path,
    to: Literal["youtube-vis", "tracks"] | str = "youtube-vis",
    *,
    source: Iterable[Frame] | None = None,
    overwrite: bool = False,
    advance: Advance | None = None,
) -> Imported:
    """Write what was read.

    Args:
        videos: from `read_exported`.
        output: the folder to make.
        to: "youtube-vis", a dataset's `annotations.json`; or "tracks", a `tracks.json`, in a folder for each video
            where there are several.
        source: the frames of the one video: they are written below `JPEGImages`, to train on.
        overwrite: whether an older folder of that name may be replaced.
        advance: is told how many of the frames are written.

    Raises:
        InputError: `to` is none of both, frames are given for several videos, or the folder is there already.
    """
    if to not in TARGETS:
        raise InputError(f"--to {to}: {nearest(to, TARGETS)}")
    if source is not None and (len(videos) != 1 or to == "tracks"):
        raise InputError("--source gives the frames of one video, for youtube-vis: leave it out")
    notes: Counter[str] = Counter()
    for video in videos:
        notes.update(video.notes)
    labels = tuple(dict.fromkeys(label for video in videos for label in video.result.labels))
    with whole_folder(user_path(output), overwrite=overwrite) as folder:
        if to == "tracks":
            _write_tracks(videos, folder)
        else:
            if source is not None:
                videos = [_with_frames(videos[0], source, folder, advance)]
            tracks = ((id, t.label, t) for id, video in enumerate(videos, 1) for t in video.result.tracks)
            write_dataset(folder / ANNOTATIONS, videos, tracks, labels)
    count, total = (sum(len(part(video)) for video in videos) for part in (_tracks_of, _frames_of))
    return Imported(user_path(output), len(videos), total, count, labels, {k: n for k, n in notes.items() if n})


def _tracks_of(video: ReadVideo) -> Sequence[object]:
    return video.result.tracks


def _frames_of(video: ReadVideo) -> Sequence[object]:
    return video.result.frame_indices


def _write_tracks(videos: Sequence[ReadVideo], folder: Path) -> None:
    taken: set[str] = set()
    for video in videos:
        place = folder
        if len(videos) > 1:
            name = told_apart(file_name(video.result.source, "video"), taken, "{}-{}")
            taken.add(name)
            place = folder / name
            place.mkdir()
        save_tracks(video.result, place / TRACKS)


def _with_frames(video: ReadVideo, source: Iterable[Frame], folder: Path, advance: Advance | None) -> ReadVideo:
    chosen = Chosen(video.result, [], frames=source, advance=advance)
    write_frames(chosen, folder / "JPEGImages" / chosen.name)
    files = [f"{chosen.name}/{chosen.frame_name(i)}.jpg" for i in range(len(video.files))]
    if missing := next((file for file in files if not (folder / "JPEGImages" / file).is_file()), None):
        raise InputError(
            f"--source does not have frame {PurePosixPath(missing).stem}: give the video that was segmented"
        )
    return replace(video, files=files)


def _of_masks(folder: Path, frames: str | Path | None) -> list[ReadVideo]:
    """Read PNG masks by the readers of datasets; without frames, the masks' own names tell which frames there are."""
    names = read_names(folder / "names.json") if (folder / "names.json").is_file() else None
    with TemporaryDirectory(prefix="ovvis-") as scratch:
        place = Path(scratch)
        known = frames is not None or any((folder / name).is_dir() for name in FRAME_FOLDERS)
        found = MaskFolder.find(folder, user_path(frames) if known and frames else _stand_ins(folder, known, place))
        done = convert_masks(found, place / "masks.json", names)
        read = list(_videos(find_dataset(place / "masks.json", frames=found.frames).read()))
    notes = Counter(done.warnings)
    if not known:
        read = [replace(v, files=[str(PurePosixPath(f).with_suffix(".jpg")) for f in v.files]) for v in read]
    return [replace(video, notes={**video.notes, **(notes if i == 0 else {})}) for i, video in enumerate(read)]


def _stand_ins(folder: Path, known: bool, scratch: Path) -> Path | None:
    """Return a folder with a picture for each frame that has a mask, where there are no frames; None if there are."""
    if known:
        return None
    home = next((folder / name for name in MASK_FOLDERS if (folder / name).is_dir()), None)
    if home is None:
        return None  # `MaskFolder.find` says what is missing
    for file in sorted(file for file in home.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES):
        parts = file.relative_to(home).parts
        place = scratch / "frames" / (parts[0] if len(parts) > 1 else ".") / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copyfile(file, place)
    return scratch / "frames"


def results_of(dataset: Annotations, videos: Sequence[Video]) -> list[ReadVideo]:
    """Return some of a dataset's videos as results; its truths are tracks, of score 1 where the file states none."""
    return list(_videos(replace(dataset, videos=tuple(videos))))


def _videos(dataset: Annotations) -> Iterator[ReadVideo]:
    """Yield a dataset's videos as results; its truths are tracks, of score 1 where the file states none."""
    labels = tuple(category.name for category in dataset.categories)
    places = {category.id: i for i, category in enumerate(dataset.categories)}
    notes = Counter({note.reason: note.count for note in dataset.notes})
    for video in dataset.videos:
        tracks = []
        for truth in dataset.truths_of(video):
            masks = list(truth.masks)
            if truth.is_crowd:
                notes[CROWDS] += 1
            elif not any(masks):
                notes[EMPTY] += 1
            else:
                place = places[truth.category_id]
                score = scored(usable_score(dataset.scores.get(truth.id), notes), notes)
                tracks.append(Track(truth.id, labels[place], place, score, ((labels[place], score),), masks))
        yield ReadVideo(_result(video, tracks, labels), video.files, notes)
        notes = Counter()


def _result(video: Video, tracks: list[Track], labels: tuple[str, ...]) -> VideoResult:
    stems = [PurePosixPath(file).stem for file in video.files]
    numbers = [int(stem) for stem in stems if stem.isascii() and stem.isdigit() and len(stem) < 10]
    plain = len(numbers) == len(stems) and numbers == sorted(set(numbers))
    indices = numbers if plain else list(range(len(stems)))
    return VideoResult(
        tracks=tracks,
        source=video.name,
        height=video.height,
        width=video.width,
        fps=24.0,
        frame_indices=indices,
        frame_times=[index / 24 for index in indices],
        labels=labels,
    )
