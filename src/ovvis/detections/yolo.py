"""YOLO's text, as Ultralytics' predictors save it: a file a frame, a line a thing (`save_txt`, `save_conf`).

A line is a class, a polygon's corners or a box's centre and size, as shares of width and height, and perhaps a score.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ovvis import masks
from ovvis.detections.sheet import UNSCORED, Sheet, Thing, Video, frames_of_names
from ovvis.errors import InputError
from ovvis.outputs.formats.sequence import text_lines
from ovvis.outputs.formats.yolo import read_line, read_names

_IDS = 3  # lines from which on whole numbers at all ends are ids


def read_yolo(path: Path, video: Video, first: int | None = None, categories: Mapping[int, str] | None = None) -> Sheet:
    """Read a folder of such files; they may lie in `labels` below it.

    Args:
        path: the folder.
        video: what is known of the video.
        first: the number of the first frame; None finds out.
        categories: names by class number; None: those of `data.yaml`, if there is one.

    Raises:
        InputError: there is none, a line is no such line, or which frame a file is of cannot be told.
    """
    files = sorted(file for file in path.rglob("*.txt") if not file.name.startswith(".") and file.name != "classes.txt")
    if not files:
        raise InputError(f"{path} must hold a text file for each frame, and holds none: give the detector's folder")
    data = next((folder / "data.yaml" for folder in (path, path.parent) if (folder / "data.yaml").is_file()), None)
    names = dict(categories or {}) or (read_names(data)[0] if data else {})
    frames, guessed = frames_of_names([file.stem for file in files], video, first, path)
    sheet = Sheet(path, video.size)
    if guessed:
        sheet.notes[guessed] = len(files)
    ends: list[str] = []
    for file, frame in zip(files, frames, strict=True):
        for number, text in text_lines(file):
            line = read_line(file, number, text, video.size, scored=True)
            ends.append(text.split()[-1])
            where = f"{file.name}, line {number}"
            if line.score is None:
                sheet.notes[UNSCORED] += 1
            if line.box is not None:
                make = sheet.box(where, *line.box)
            else:
                make = sheet.mask(partial(masks.from_polygons, [line.polygon], video.size))
            label = names.get(line.kind, f"class {line.kind}")
            sheet.add(where, frame, Thing(make, 1.0 if line.score is None else line.score, label))
    if len(ends) >= _IDS and all(end.isdigit() for end in ends):
        raise InputError(
            f"{path}: every line ends in a whole number, which is a track's id and no score: save without ids "
            "(model.predict in place of model.track)"
        )
    return sheet
