"""Any detector's files, whatever their format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ovvis.detections.coco import read_coco
from ovvis.detections.exported import read_forgetting
from ovvis.detections.id_maps import read_id_maps
from ovvis.detections.sheet import Sheet, Video
from ovvis.detections.yolo import read_yolo
from ovvis.errors import InputError, nearest
from ovvis.outputs.formats.table import FORMATS
from ovvis.outputs.formats.tracks_json import FORMAT
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

_HEAD = 2**16  # bytes in which a file says what it is


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
    name = format or find_format(place)
    if name not in FORMATS_READ:
        raise InputError(f"--from {name}: {nearest(name, FORMATS_READ)}")
    if annotations is not None and name != "coco":
        raise InputError(f"--annotations lists the images of COCO's results, and this is {name}: leave it out")
    if name == "coco":
        return read_coco(place, video, first, None if annotations is None else user_path(annotations), categories)
    if name == "yolo":
        return read_yolo(_folder(place), video, first, categories)
    if name == "id-maps":
        return read_id_maps(_folder(place), video, first)
    return read_forgetting(place, name, video)


def find_format(place: Path) -> str:
    """Return the format of a file or folder.

    Raises:
        InputError: it is none that is known.
    """
    if place.is_file():
        if place.suffix.lower() == ".csv":
            return "csv"
        with place.open("rb") as file:
            head = file.read(_HEAD)
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
            return "tracks" if f'"{FORMAT}"'.encode() in head else "coco"
    elif (place / "tracks.json").is_file():
        return "tracks"
    else:
        kinds = {file.suffix.lower() for file in place.rglob("*") if not file.name.startswith(".")}
        found = [name for name, suffix in (("yolo", ".txt"), ("id-maps", ".png")) if suffix in kinds]
        if len(found) == 1:
            return found[0]
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
