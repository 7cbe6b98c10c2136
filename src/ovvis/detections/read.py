"""Any detector's files, whatever their format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ovvis.datasets.exported import annotations_file
from ovvis.datasets.telling import beginning, tell_format
from ovvis.detections.coco import read_coco
from ovvis.detections.exported import read_forgetting
from ovvis.detections.id_maps import read_id_maps
from ovvis.detections.sheet import Sheet, Video
from ovvis.detections.yolo import read_yolo
from ovvis.errors import InputError, nearest
from ovvis.outputs.formats.table import FORMATS
from ovvis.paths import user_path
from ovvis.sources.listing import images_in_folder
from ovvis.sources.source import Source

OWN = {
    "coco": "COCO's results, or annotations with images, a JSON file",
    "yolo": "YOLO's text files, one a frame",
    "id-maps": "a PNG for each frame, whose values are the things",
}
FORGOTTEN = tuple(name for name, row in FORMATS.items() if row.reads and name not in OWN)
FORMATS_READ = (*OWN, *FORGOTTEN)
"""The formats of detections; of all but the first three the identities are forgotten."""

# What a reader of detections takes, by whichever name it is told.
_READ_AS = {"youtube-vis": "coco", "coco-results": "coco", "youtube-vis-results": "coco", "davis": "id-maps"}
_SUFFIXES = {".txt": "yolo", ".png": "id-maps"}  # of a file for each frame


def read_detections(
    path: str | Path,
    video: Video,
    format: str | None = None,
    *,
    first: int | None = None,
    annotations: str | Path | None = None,
    categories: Mapping[int, str] | None = None,
) -> Sheet:
    """Read what a detector wrote of one video.

    Args:
        path: the file or folder.
        video: what is known of the video.
        format: one of `FORMATS_READ`; None finds out.
        first: the number of the first frame in it, 0 or 1; None finds out, or refuses.
        annotations: of COCO's results: the file that lists their images and categories.
        categories: names by the file's own category ids or class numbers.

    Raises:
        InputError: it cannot be read so.
    """
    place = user_path(path)
    if not place.exists():
        raise InputError(f"{place} does not exist: check the path")
    name = format or guess_format(place)
    if name not in FORMATS_READ:
        raise InputError(f"--from {name}: {nearest(name, FORMATS_READ)}")
    if annotations is not None and name != "coco":
        raise InputError(f"--annotations lists the images of COCO's results, and this is {name}: leave it out")
    if name == "coco":
        listed = None if annotations is None else user_path(annotations)
        return read_coco(annotations_file(place), video, first, listed, categories)
    if name == "yolo":
        return read_yolo(_folder(place), video, first, categories)
    if name == "id-maps":
        return read_id_maps(_folder(place), video, first)
    return read_forgetting(place, name, video)


def guess_format(place: Path) -> str:
    """Return the format of a file or folder.

    Raises:
        InputError: it is none that is known.
    """
    told = tell_format(place) or ""
    if (name := _READ_AS.get(told, told)) in FORMATS_READ:
        return name
    if place.is_file():
        if beginning(place).startswith("["):
            return "coco"  # whose reader says what is wrong with it
    else:
        kinds = {file.suffix.lower() for file in place.rglob("*") if not file.name.startswith(".")}
        if len(found := kinds & _SUFFIXES.keys()) == 1:
            return _SUFFIXES[found.pop()]
    raise InputError(f"{place}: what detections these are cannot be told: say it with --from {', '.join(FORMATS_READ)}")


def _folder(place: Path) -> Path:
    if not place.is_dir():
        raise InputError(f"{place} must be a folder with a file for each frame, and is none: give the folder")
    return place


def video_of(whole: Source, place: object = None) -> Video:
    """Return what is known of a video before its frames are read.

    Args:
        whole: all its frames.
        place: what it was opened from; of a folder of frames, their names are known too.
    """
    info, stems = whole.info, dict[str, int]()
    if isinstance(place, (str, Path)) and (folder := user_path(place)).is_dir():
        stems = {file.stem: i for i, file in enumerate(images_in_folder(folder)[0])}
    return Video((info.height, info.width), None if whole.endless else info.frame_count, stems)
