"""A YOLO segmentation dataset as Ultralytics documents it (https://docs.ultralytics.com/datasets/segment/).

`data.yaml`, `labels/train/VIDEO_00000.txt` and `images/train/VIDEO_00000.jpg` where frames go in. A line is an
instance: its class, from 0, and x and y of a polygon's corners as shares of width and height.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from ovvis import masks
from ovvis.errors import InputError
from ovvis.masks import Rle
from ovvis.outputs.chosen import Chosen
from ovvis.outputs.formats.sequence import small_text, text_lines
from ovvis.outputs.outlines import Ring, joined, rings
from ovvis.outputs.pictures import write_jpeg
from ovvis.outputs.read_back import REMEDY, Gathered, ReadVideo
from ovvis.plain import visible
from ovvis.yaml_file import compose, construct

PARTS = "masks of several parts or with holes, whose outlines are joined by lines without width"
NO_IDS = "instances of single frames: the format has no identities, so each frame is a video of its own"
SIZE = "frame_size"  # our own key in data.yaml: [height, width], where there are no images to tell it
DIGITS = 6
_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_BOX = "boxes, left out: they are no masks"


def write(chosen: Chosen, target: Path) -> None:
    """Write the dataset; a frame without an instance has an empty file, as background has."""
    labels, images = target / "labels" / "train", target / "images" / "train"
    labels.mkdir(parents=True)
    images.mkdir(parents=True)
    scale = np.array([chosen.result.width, chosen.result.height])
    frames = ((i, None, shown) for i, shown in chosen.each_frame()) if chosen.frames is None else chosen.each_picture()
    for position, frame, shown in frames:
        stem = f"{chosen.name}_{chosen.frame_name(position)}"
        lines = []
        for track, mask in shown:
            corners = (outline(chosen, mask) / scale).round(DIGITS)
            lines.append(f"{track.label_index} {' '.join(f'{value:g}' for value in corners.ravel())}\n")
        (labels / f"{stem}.txt").write_text("".join(lines), encoding="ascii")
        if frame is not None:
            write_jpeg(frame.image, images / f"{stem}.jpg")
    data = {
        "path": ".",
        "train": "images/train",
        "val": "images/train",
        "names": dict(enumerate(map(visible, chosen.result.labels))),
        SIZE: list(chosen.size),
    }
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    (target / "data.yaml").write_text(text, encoding="utf-8")


def outline(chosen: Chosen, mask: Rle) -> Ring:
    """Return a mask as one polygon, and note where it took joining."""
    left, top, width, height = map(int, masks.box(mask))
    corner = np.array([left, top])
    found = [ring + corner for ring in rings(masks.decode(mask)[top : top + height, left : left + width])]
    if len(found) > 1:
        chosen.notes[PARTS] += 1
    return joined(found)


def read(path: Path) -> list[ReadVideo]:
    """Read such a dataset: a folder with `data.yaml`, or that file. Each frame is a video of one frame.

    A text file's image tells the frame's size; without one, `frame_size` in `data.yaml` does.
    """
    home = path if path.is_dir() else path.parent
    data = path if path.is_file() else home / "data.yaml"
    names, size = read_names(data)
    found = sorted((home / "labels").rglob("*.txt"))
    if not found:
        raise InputError(f"{home} must hold label files in labels, and holds none: give the folder that has data.yaml")
    out = []
    for file in found:
        place = file.relative_to(home / "labels").with_suffix("")
        image = _image(home / "images" / place)
        frame = _size_of(image) if image else size
        if frame is None:
            raise InputError(
                f"{file} has no image in {home / 'images'}, so its frame's size is not known: add the images"
            )
        gathered = Gathered(file, frame, 1)
        gathered.notes[NO_IDS] = 0
        for id, (number, line) in enumerate(text_lines(file), 1):
            _take(gathered, id, number, line, names)
        name = f"{place.as_posix()}{image.suffix if image else '.jpg'}"
        out.append(gathered.video(place.as_posix(), [name], labels=names.values()))
        gathered.notes[NO_IDS] = len(out[-1].result.tracks)
    return out


@dataclass(frozen=True, slots=True)
class Line:
    """What a line says of an instance."""

    kind: int  # its class
    polygon: list[float]  # x, y, x, y, ... in pixels; empty: it is a box alone
    box: tuple[float, float, float, float] | None  # x, y, width, height in pixels, of such a line
    score: float | None


def read_line(path: Path, number: int, line: str, size: tuple[int, int], scored: bool = False) -> Line:
    """Read a line: a class, and a polygon's corners, or a box's centre and size, as shares of width and height.

    Args:
        path: the file, for errors.
        number: of the line.
        line: the text.
        size: height and width of the frame.
        scored: whether a score may stand last.

    Raises:
        InputError: it is no such line.
    """
    parts = line.split()
    try:
        kind, values = int(parts[0]), np.array(parts[1:], dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{path}: line {number} must be a class and numbers: {REMEDY}") from error
    score = None
    if scored and len(values) % 2 and len(values) >= 5:
        score, values = float(values[-1]), values[:-1]
    height, width = size
    if len(values) == 4 and np.isfinite(values).all():
        x, y, w, h = (values * (width, height, width, height)).tolist()
        return Line(kind, [], (x - w / 2, y - h / 2, w, h), score)
    if len(values) < 6 or len(values) % 2 or not (np.abs(values) <= 2).all():
        rule = "must have x and y of three corners or more, as shares of width and height"
        raise InputError(f"{path}: line {number} {rule}: {REMEDY}")
    return Line(kind, (values.reshape(-1, 2) * (width, height)).ravel().tolist(), None, score)


def _take(gathered: Gathered, id: int, number: int, text: str, names: dict[int, str]) -> None:
    line = read_line(gathered.path, number, text, gathered.size)
    if line.box is not None:
        gathered.notes[_BOX] += 1
        return
    label = names.get(line.kind, f"class {line.kind}")
    gathered.add(f"line {number}", 0, id, label, None, masks.from_polygons([line.polygon], gathered.size))


def read_names(path: Path) -> tuple[dict[int, str], tuple[int, int] | None]:
    """Return names by class, and the size that our own exports state."""
    where, remedy = f"{path}", "give the data.yaml of a YOLO dataset"
    found: Any = construct(compose(small_text(path), where, remedy), where, remedy)
    names = found.get("names") if isinstance(found, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(key, int) for key in names):
        raise InputError(f"{path} must have names, a list or an object of class numbers: {remedy}")
    size = found.get(SIZE)
    known = isinstance(size, list) and len(size) == 2 and all(type(value) is int for value in size)
    return {key: str(name) for key, name in names.items()}, (size[0], size[1]) if known else None


def _image(stem: Path) -> Path | None:
    return next((file for suffix in _IMAGES if (file := stem.with_name(stem.name + suffix)).is_file()), None)


def _size_of(path: Path) -> tuple[int, int]:
    """Return height and width of an image file, from its header alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                return image.height, image.width
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as an image: {REMEDY}") from error
