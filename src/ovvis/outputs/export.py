"""Results to take away: what is chosen of them, in any of the formats, whole or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from ovvis.errors import DISK_FULL, InputError, OvvisError
from ovvis.files.output import whole_file, whole_folder
from ovvis.outputs.chosen import Advance, Chosen, choose
from ovvis.outputs.formats.table import FORMATS, Format, find_format
from ovvis.outputs.formats.tracks_json import TRACKS, load_tracks
from ovvis.paths import user_path
from ovvis.structures import SHOWN_SCORE, Frame, VideoResult

__all__ = ["FORMATS", "Exported", "default_place", "export", "open_result"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    path: Path  # the file or folder
    format: str
    tracks: int
    masks: int
    files: int
    notes: tuple[str, ...]  # what the format could not hold, each with a count


def export(
    result: VideoResult | str | PathLike[str],
    format: str,
    output: str | PathLike[str] | None = None,
    *,
    min_score: float | None = None,
    labels: Iterable[str] | None = None,
    best: bool | None = None,
    source: Iterable[Frame] | None = None,
    overwrite: bool = False,
    advance: Advance | None = None,
) -> Exported:
    """Write a result in one of the formats.

    Args:
        result: a result, a `tracks.json`, or a folder that holds one.
        format: a name of `FORMATS`.
        output: the file or folder to write; None: beside the result, or here, named by result and format.
        min_score: tracks below it are left out, in [0, 1]; None: 0.3, or 0 for what scorers read.
        labels: those alone; None: all.
        best: each instance once, under its best label; None: so, but for what scorers read.
        source: the video's frames (`ovvis.open_source`), for formats that take them.
        overwrite: whether older results of that name may be replaced.
        advance: is told how much is done, and how much there is.

    Raises:
        InputError: an argument makes no sense, the format needs frames or a package, or the place cannot be written.
        ResourceError: the disk is full.
    """
    row = find_format(format)
    if row.frames == "must" and source is None:
        raise InputError(f"{format} needs the video's frames: give them with --source VIDEO (source= in Python)")
    if row.frames == "no" and source is not None:
        raise InputError(f"{format} holds no frames: leave --source (source= in Python) out")
    place = check_place(row, default_place(result, row) if output is None else user_path(output))
    whole = result if isinstance(result, VideoResult) else open_result(result)
    chosen = _chosen(whole, row, min_score, [labels] if isinstance(labels, str) else labels, best)
    chosen.frames, chosen.advance = source, advance
    try:
        if row.is_folder:
            with whole_folder(place, overwrite=overwrite) as folder:
                row.write(chosen, folder)
                files = sum(1 for file in folder.rglob("*") if file.is_file())
        else:
            with whole_file(place, place.suffix, overwrite=overwrite) as file:
                row.write(chosen, file)
                files = 1
    except OvvisError:
        raise
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise InputError(f"{place} cannot be written ({error.strerror}): choose another --output") from error
    notes = tuple(f"{what}: {count:,}" for what, count in chosen.notes.items() if count)
    return Exported(place, format, len(chosen.tracks), chosen.written, files, notes)


def _chosen(
    result: VideoResult, row: Format, min_score: float | None, labels: Iterable[str] | None, best: bool | None
) -> Chosen:
    notes: Counter[str] = Counter()
    least = (0.0 if row.everything else SHOWN_SCORE) if min_score is None else min_score
    once = not row.several or (not row.everything if best is None else best)
    tracks = choose(result, min_score=least, labels=labels, best=once, notes=notes)
    if result.pixel_aspect != 1 and row.module not in ("tracks_json", "cutout", "fiftyone_dataset"):
        shape = f"{result.pixel_aspect.numerator}:{result.pixel_aspect.denominator}"
        notes[f"tracks in pixels that are not square ({shape}), as the file stores them"] = len(tracks)
    return Chosen(result, tracks, notes=notes)


def open_result(path: str | PathLike[str]) -> VideoResult:
    """Read a `tracks.json`, or the one of a folder that `ovvis segment` wrote.

    Raises:
        InputError: there is none, or it is damaged.
    """
    place = user_path(path)
    if place.is_dir():
        if not (place / TRACKS).is_file():
            raise InputError(f"{place} holds no {TRACKS}: give the folder that ovvis segment wrote, or the file")
        place = place / TRACKS
    return load_tracks(place)


def default_place(result: VideoResult | str | PathLike[str], row: Format) -> Path:
    """Return where an export goes that nobody named a place for.

    >>> default_place("runs/ovvis-dog/tracks.json", FORMATS["coco"]).as_posix()
    'runs/ovvis-dog-coco'
    """
    if isinstance(result, VideoResult):
        return Path(f"ovvis-{Chosen(result, []).name}-{row.name}{row.suffix}")
    place = user_path(result)
    if place.name == TRACKS and place.parent.name:
        place = place.parent
    stem = place.stem if place.suffix == ".json" else place.absolute().name
    name = f"{stem}-{row.name}{row.suffix}"
    return place.with_name(name) if place.name else place.absolute().with_name(name)


def check_place(row: Format, place: Path) -> Path:
    """Return a place if what a format makes may have its name.

    Raises:
        InputError: a file is meant for a folder, or the other way round, or its folder is not there.
    """
    if row.is_folder:
        if place.suffix.lower() in (".json", ".txt", ".xml", ".csv", ".zip"):
            raise InputError(f"{row.name} makes a folder: give --output a name without {place.suffix}")
        return place
    wanted = (row.suffix, *row.suffixes)
    if place.suffix.lower() not in wanted or place.is_dir():
        raise InputError(f"{row.name} makes a file: give --output a name that ends in {' or '.join(wanted)}")
    if not place.absolute().parent.is_dir():
        raise InputError(f"{place.absolute().parent} does not exist: make the folder, or choose another --output")
    return place
