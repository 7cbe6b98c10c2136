"""CVAT for images 1.1 (https://docs.cvat.ai/docs/other/xml_format): a mask for each instance and frame.

A mask is its box and the run lengths in it, row by row, beginning with 0. Identities are the attribute `track_id`;
`labels.json` is what to paste as the task's labels ("Raw"), so that CVAT knows it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

import numpy as np

from ovvis import masks
from ovvis.errors import InputError
from ovvis.masks import BoolArray, Rle
from ovvis.outputs.chosen import Chosen
from ovvis.outputs.formats.cvat_xml import COLOURS, number, parsed, size_of, writing
from ovvis.outputs.pictures import write_frames
from ovvis.outputs.read_back import MOST_FRAMES, REMEDY, Gathered, ReadVideo
from ovvis.plain import visible

TRACK = "track_id"
NEW = "shapes without a track_id, each a track of one frame"
OTHERS = "shapes that are no masks or polygons, left out"


def write(chosen: Chosen, target: Path) -> None:
    """Write `annotations.xml` and `labels.json`, and the frames below `images` where they go in."""
    labels = sorted({visible(track.label) for track in chosen.tracks})
    with writing(chosen, target / "annotations.xml", labels, "annotation") as xml:
        for position, shown in chosen.each_frame():
            name = f"{chosen.name}/{chosen.frame_name(position)}.jpg"
            size = {"width": chosen.result.width, "height": chosen.result.height}
            with xml.element("image", id=position, name=name, **size):
                for below, (track, mask) in enumerate(shown):
                    facts = {"label": visible(track.label), "source": "auto", "occluded": 0, **mask_fields(mask)}
                    with xml.element("mask", **facts, z_order=len(shown) - below):
                        xml.text("attribute", str(track.id), name=TRACK)
    attribute = {"name": TRACK, "input_type": "number", "mutable": False, "values": ["0", str(10**6), "1"]}
    raw = [
        {"name": label, "color": COLOURS[i % len(COLOURS)], "type": "any", "attributes": [attribute]}
        for i, label in enumerate(labels)
    ]
    (target / "labels.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    write_frames(chosen, target / "images" / chosen.name)


def mask_fields(mask: Rle) -> dict[str, str | int]:
    """Return a mask as CVAT has it.

    >>> mask_fields(masks.encode(np.array([[0, 0, 0], [0, 1, 0], [0, 1, 1]], dtype=bool)))
    {'rle': '0, 1, 1, 2', 'left': 1, 'top': 1, 'width': 2, 'height': 2}
    """
    left, top, width, height = map(int, masks.box(mask))
    flat = masks.decode(mask)[top : top + height, left : left + width].ravel()
    borders = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    runs = [0] * bool(flat[0]) + np.diff(borders).tolist()
    return {"rle": ", ".join(map(str, runs)), "left": left, "top": top, "width": width, "height": height}


def read(path: Path) -> list[ReadVideo]:
    """Read such a file; masks and polygons count. Images of one folder are a video; they stand in the order of ids."""
    file = path / "annotations.xml" if path.is_dir() else path
    videos: dict[str, list[tuple[int, str, Element]]] = {}
    for element in parsed(file).iterfind("image"):
        name = element.get("name", "")
        place = (number(file, element, "id"), PurePosixPath(name).name, element)
        videos.setdefault(PurePosixPath(name).parent.name or file.stem, []).append(place)
    if not videos:
        raise InputError(f"{file} holds no images: is it of CVAT for video? Then use --from cvat-video")
    return [_video(file, name, sorted(images, key=lambda one: one[0])) for name, images in videos.items()]


def _video(path: Path, name: str, images: list[tuple[int, str, Element]]) -> ReadVideo:
    sizes = {size_of(path, element) for *_, element in images}
    if len(sizes) != 1:
        raise InputError(f"{path}: the images of {name!r} must have one size, and have {len(sizes)}: {REMEDY}")
    gathered = Gathered(path, sizes.pop(), len(images))
    shapes = [(i, shape) for i, (_, _, element) in enumerate(images) for shape in element]
    largest = max((_track(path, shape) or 0 for _, shape in shapes), default=0)
    for position, shape in shapes:
        if shape.tag not in ("mask", "polygon"):
            gathered.notes[OTHERS] += 1
            continue
        id = _track(path, shape)
        if id is None:
            largest += 1
            id = largest
            gathered.notes[NEW] += 1
        where = f"a {shape.tag} of image {images[position][0]}"
        mask = shape_mask(path, where, shape, gathered.size)
        gathered.add(where, position, id, shape.get("label", "object"), None, mask)
    found = [re.findall(r"\d{1,9}", PurePosixPath(file).stem) for _, file, _ in images]
    indices = [int(digits[-1]) if digits else i for i, digits in enumerate(found)]
    if sorted(set(indices)) != indices:
        indices = list(range(len(images)))
    return gathered.video(name, [f"{name}/{file}" for _, file, _ in images], indices=indices)


def shape_mask(path: Path, where: str, shape: Element, size: tuple[int, int]) -> Rle:
    """Return the mask of a `mask` or a `polygon`."""
    try:
        if shape.tag == "polygon":
            corners = [float(value) for value in re.split("[,;]", shape.get("points", ""))]
            return masks.from_polygons([corners], size)
        return masks.encode_crop(*_crop(path, shape, size), size)
    except ValueError as error:
        raise InputError(f"{path}: {where} is damaged ({error}): {REMEDY}") from error


def _crop(path: Path, shape: Element, size: tuple[int, int]) -> tuple[BoolArray, tuple[int, int]]:
    left, top, width, height = (number(path, shape, name) for name in ("left", "top", "width", "height"))
    runs = [int(run) for run in shape.get("rle", "").split(",")]
    if left + width > size[1] or top + height > size[0] or min(runs) < 0 or sum(runs) != width * height:
        raise ValueError("its box or its runs do not fit the image")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(height, width), (top, left)


def _track(path: Path, shape: Element) -> int | None:
    for attribute in shape.iterfind("attribute"):
        if attribute.get("name") == TRACK and (attribute.text or "").strip():
            text = (attribute.text or "").strip()
            if not re.fullmatch(r"\d{1,9}", text):
                raise InputError(
                    f"{path}: track_id {text[:40]!r} must be a whole number below {MOST_FRAMES:,}: {REMEDY}"
                )
            return int(text) or None
    return None
