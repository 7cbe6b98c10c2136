"""Which format a file or folder of results has."""

from __future__ import annotations

import re
from pathlib import Path

from ovvis.datasets.exported import READ
from ovvis.datasets.mask_folder import MASK_FOLDERS
from ovvis.errors import InputError
from ovvis.outputs.formats.tracks_json import FORMAT
from ovvis.predictions.result_places import PARTS, RESULTS, TRACKS

_HEAD = 2**16  # bytes in which a file says what it is
_INSIDE = {"tasks.json": "label-studio", "data.yaml": "yolo", "annotations.xml": "cvat", "annotations.json": "coco"}


def guess_format(place: Path) -> str:
    """Return the format of a file or folder: one of `READ`, or "results" for results of a dataset.

    Raises:
        InputError: it cannot be told; says how to tell it.
    """
    found = _of_file(place) if place.is_file() else _of_folder(place)
    if found is None:
        raise InputError(
            f"{place}: what results these are cannot be told: say it as FORMAT:{place.name}, one of {', '.join(READ)}"
        )
    return found


def _of_folder(place: Path) -> str | None:
    if (place / TRACKS).is_file():
        return "tracks"
    if (place / RESULTS).is_file() or (place / PARTS).is_dir():
        return "results"
    for name in _INSIDE:
        if (place / name).is_file():
            return _INSIDE[name] if name.endswith(("yaml", "tasks.json")) else _of_file(place / name)
    if any((place / name).is_dir() for name in MASK_FOLDERS):
        return "davis"
    return None


def _of_file(place: Path) -> str | None:
    suffix = place.suffix.lower()
    if suffix in (".csv", ".zip"):
        return "csv" if suffix == ".csv" else "results"
    with place.open("rb") as file:
        head = file.read(_HEAD).lstrip(b"\xef\xbb\xbf \t\r\n").decode("utf-8", "replace")
    if head.startswith("<"):
        return "cvat" if re.search(r"<image[ >]", head) else "cvat-video" if re.search(r"<track[ >]", head) else None
    if head.startswith("["):
        return _of_list(head)
    if head.startswith("{"):
        if f'"{FORMAT}"' in head:
            return "tracks"
        # Whichever list stands first: a COCO file with videos has its images too.
        return "youtube-vis" if '"videos"' in head and '"images"' not in head else "coco"
    return None


def _of_list(head: str) -> str | None:
    """Return the format of a list by its first entry's names."""
    first = re.sub(r"\s+", "", head[:4096])
    if first == "[]" or '"video_id":' in first:
        return "results"
    return "label-studio" if '"data":{' in first or '"annotations":[' in first else None
