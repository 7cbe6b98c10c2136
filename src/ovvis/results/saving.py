"""A result into files, each format by its own writer."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from ovvis.errors import InputError
from ovvis.files.output import make_way
from ovvis.outputs.export import Exported, export
from ovvis.outputs.formats.table import FORMATS, find_format
from ovvis.outputs.render import render
from ovvis.outputs.style import Style
from ovvis.paths import user_path
from ovvis.results.reopening import frames_of
from ovvis.results.showing import pictures_of
from ovvis.structures import SHOWN_SCORE, Frame, VideoResult
from ovvis.viewer import write_viewer

SUFFIXES = {".json": "tracks", ".mp4": "video", ".html": "view", ".csv": "csv", ".webm": "cutout", ".mov": "cutout"}


def save(
    result: VideoResult,
    path: str | PathLike[str],
    format: str | None,
    *,
    min_score: float | None,
    labels: Iterable[str] | None,
    best: bool | None,
    style: Style | str | None,
    source: Iterable[Frame] | None,
    overwrite: bool,
) -> Exported:
    """Write a result; see `VideoResult.save`."""
    place = user_path(path)
    name = format or SUFFIXES.get(place.suffix.lower())
    if name is None:
        raise InputError(
            f"{place}: the ending must say the format ({', '.join(SUFFIXES)}), or format= must: video, view,"
            f" {', '.join(FORMATS)}; give one of them"
        )
    if name == "video":
        _refuse(name, labels=labels, best=best)
        return _video(result, place, min_score, style, source, overwrite)
    _refuse(name, style=style)
    if name == "view":
        _refuse(name, labels=labels, best=best)
        return _view(result, place, min_score, source, overwrite)
    if source is None and find_format(name).frames == "must":
        source = frames_of(result)
    return export(
        result, name, place, min_score=min_score, labels=labels, best=best, source=source, overwrite=overwrite
    )


def _video(
    result: VideoResult,
    place: Path,
    min_score: float | None,
    style: Style | str | None,
    source: Iterable[Frame] | None,
    overwrite: bool,
) -> Exported:
    least = SHOWN_SCORE if min_score is None else min_score
    if not 0 <= least <= 1:
        raise InputError(f"min_score {least:g} must lie in [0, 1]; 0 takes all")
    if place.suffix.lower() != ".mp4" or place.is_dir():
        raise InputError(f"video makes a file: give a name that ends in .mp4, not {place.name}")
    if not place.absolute().parent.is_dir():
        raise InputError(f"{place.absolute().parent} does not exist: make the folder, or choose another name")
    make_way(place, overwrite)
    render(result, frames_of(result) if source is None else source, place, min_score=least, style=style)
    tracks = result.best_tracks(least)
    return Exported(place, "video", len(tracks), sum(len(track.frames) for track in tracks), 1, ())


def _view(
    result: VideoResult, place: Path, min_score: float | None, source: Iterable[Frame] | None, overwrite: bool
) -> Exported:
    if place.suffix.lower() != ".html" or place.is_dir():
        raise InputError(f"view makes a page: give a name that ends in .html, not {place.name}")
    least = 0.0 if min_score is None else min_score
    shown = pictures_of(result) if source is None else source
    written = write_viewer(result, place, shown, min_score=least, overwrite=overwrite)
    tracks = result.best_tracks(least)
    files = 1 if written.video is None or written.video.parent != written.path.parent else 2
    return Exported(written.path, "view", len(tracks), sum(len(track.frames) for track in tracks), files, written.says)


def _refuse(format: str, **options: object) -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(f"{name}: format {format} does not take it; leave it out")
