"""Which format a file or folder has that nobody named, told by what is in it."""

from __future__ import annotations

import re
from pathlib import Path

from ovvis.datasets.mask_folder import MASK_FOLDERS
from ovvis.outputs.formats.tracks_json import FORMAT, TRACKS
from ovvis.sources.listing import IMAGE_SUFFIXES

LISTS = ("coco-results", "youtube-vis-results")  # say nothing of their video: a dataset does
_HEAD = 2**16  # bytes in which a file says what it is
_BY_NAME = {TRACKS: "tracks", "tasks.json": "label-studio", "data.yaml": "yolo"}
_EITHER = ("annotations.xml", "annotations.json")  # of several formats each
INSIDE = (*_BY_NAME, *_EITHER)  # what files are called that stand for the folder around them


def tell_format(place: Path) -> str | None:
    """Return the format of a file or folder, a name of `FORMATS`; None where it cannot be told.

    Args:
        place: it is there.
    """
    return _of_folder(place) if place.is_dir() else _of_file(place)


def beginning(file: Path) -> str:
    """Return the text that a file begins with, without a byte-order mark and blanks."""
    with file.open("rb") as opened:
        return opened.read(_HEAD).lstrip(b"\xef\xbb\xbf \t\r\n").decode("utf-8", "replace")


def _of_folder(place: Path) -> str | None:
    for name, format in _BY_NAME.items():
        if (place / name).is_file():
            return format
    for name in _EITHER:
        if (place / name).is_file():
            return _of_file(place / name)
    if next(place.glob("instances_txt/*.txt"), None) is not None:
        return "kitti-mots"
    for pattern in ("gt/gt.txt", "*/gt/gt.txt"):
        if (lines := next(place.glob(pattern), None)) is not None:
            return None if "," in beginning(lines).partition("\n")[0] else "mots"  # with commas: MOT's boxes
    masks = (file for name in MASK_FOLDERS for file in (place / name).rglob("*"))
    if any(file.suffix.lower() in IMAGE_SUFFIXES for file in masks):
        return "davis"
    return "yolo" if next(place.glob("labels/**/*.txt"), None) is not None else None


def _of_file(place: Path) -> str | None:
    if place.suffix.lower() == ".csv":
        return "csv"
    head = beginning(place)
    if head.startswith("<"):
        return "cvat" if re.search(r"<image[ >]", head) else "cvat-video" if re.search(r"<track[ >]", head) else None
    if head.startswith("["):
        return _of_list(re.sub(r"\s+", "", head))
    if head.startswith("{"):
        if f'"{FORMAT}"' in head:
            return "tracks"
        # Whichever list stands first: a COCO file with videos has its images too.
        return "youtube-vis" if '"videos"' in head and '"images"' not in head else "coco"
    return None


def _of_list(head: str) -> str | None:
    """Return the format of a list by its first entries' names."""
    if '"data":{' in head or '"annotations":[' in head:
        return "label-studio"
    if head == "[]" or '"video_id":' in head or '"segmentations":' in head:
        return "youtube-vis-results"
    return "coco-results" if '"image_id":' in head or '"segmentation":' in head else None
