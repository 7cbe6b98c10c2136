"""Tasks for Label Studio (https://labelstud.io/guide/predictions): an image a frame, brush masks as pre-annotations.

`tasks.json` is imported, `config.xml` is the project's labelling interface. Brush masks are its own run-length code of
the picture's four channels (thi.ng's rle-pack), so pixels stay as they are. Exports of Label Studio are read back; a
region keeps its track in its note, `track 3`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from xml.sax.saxutils import quoteattr

import msgspec
import numpy as np

from ovvis import masks
from ovvis.errors import InputError
from ovvis.fields import JsonFile
from ovvis.masks import BoolArray, Rle
from ovvis.outputs.chosen import Chosen, Shown
from ovvis.outputs.json_lists import write_list
from ovvis.outputs.pictures import write_frames
from ovvis.outputs.read_back import REMEDY, Gathered, ReadVideo
from ovvis.plain import visible

SERVED = "/data/local-files/?d="  # where Label Studio serves files of its own machine from
NEW = "regions without a track's number, each a track of one frame"
OTHERS = "regions that are no brush masks, left out"
UNDONE = "tasks without an annotation, read as predicted"
_SIZES = (3, 4, 8, 16)  # bits of a run's length, by what stands before it


def write(chosen: Chosen, target: Path) -> None:
    """Write `tasks.json`, `config.xml`, and the frames below `images` where they go in.

    A task's image is `/data/local-files/?d=VIDEO/00000.jpg`: the place below the folder that Label Studio serves.
    """
    labels = sorted({visible(track.label) for track in chosen.tracks})
    rows = "".join(f"    <Label value={quoteattr(label)}/>\n" for label in labels)
    (target / "config.xml").write_text(
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n  <BrushLabels name="tag" toName="image">\n'
        f"{rows}  </BrushLabels>\n</View>\n",
        encoding="utf-8",
    )
    write_list(target / "tasks.json", (_task(chosen, position, shown) for position, shown in chosen.each_frame()))
    write_frames(chosen, target / "images" / chosen.name)


def _task(chosen: Chosen, position: int, shown: Shown) -> dict[str, Any]:
    place = f"{chosen.name}/{chosen.frame_name(position)}.jpg"
    regions = [
        {
            "id": f"f{position}t{track.id}",
            "type": "brushlabels",
            "from_name": "tag",
            "to_name": "image",
            "original_height": chosen.result.height,
            "original_width": chosen.result.width,
            "image_rotation": 0,
            "score": track.score,
            "meta": {"text": [f"track {track.id}"]},
            "value": {"format": "rle", "rle": packed(masks.decode(mask)), "brushlabels": [visible(track.label)]},
        }
        for track, mask in shown
    ]
    score = max((track.score for track, _ in shown), default=0.0)
    data = {"image": SERVED + place, "frame": chosen.result.frame_indices[position]}
    size = {"height": chosen.result.height, "width": chosen.result.width}
    prediction = {"model_version": "ovvis", "score": score, "result": regions}
    return {"data": data | size, "predictions": [prediction]}


def packed(mask: BoolArray) -> list[int]:
    """Return a mask (H, W) in Label Studio's code: each pixel four times, 255 inside, row by row.

    >>> packed(np.array([[False, True]]))
    [0, 0, 0, 8, 57, 27, 252, 96, 17, 255, 128]
    """
    flat = mask.ravel()
    borders = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    bits = [f"{4 * flat.size:032b}{7:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    for length, inside in zip((4 * np.diff(borders)).tolist(), flat[borders[:-1]].tolist(), strict=True):
        left = length
        while left:
            run = min(left, 2**16)
            kind = next(i for i, size in enumerate(_SIZES) if run <= 2**size)
            bits.append(f"1{kind:02b}{run - 1:0{_SIZES[kind]}b}{'1' * 8 if inside else '0' * 8}")
            left -= run
    text = "".join(bits)
    text += "0" * (8 - len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def unpacked(code: Sequence[int], size: tuple[int, int]) -> BoolArray:
    """Return the mask (H, W) of such a code: where the fourth channel is not 0.

    Raises:
        ValueError: it is no such code of so many pixels.
    """
    text = f"{int.from_bytes(bytes(code), 'big'):0{8 * len(code)}b}"
    if len(text) < 53:
        raise ValueError("is too short")
    count, word = int(text[:32], 2), int(text[32:37], 2) + 1
    sizes = [int(text[37 + 4 * i : 41 + 4 * i], 2) + 1 for i in range(4)]
    if count != 4 * size[0] * size[1] or word != 8:
        raise ValueError(f"is of {count / 4:g} pixels, not {size[0] * size[1]}")
    out = np.zeros(count, dtype=np.uint8)
    at, place = 53, 0
    while place < count:
        same, kind = text[at : at + 1] == "1", text[at + 1 : at + 3]
        bits = sizes[int(kind, 2)] if len(kind) == 2 else 0
        length = int(text[at + 3 : at + 3 + bits] or "0", 2) + 1
        at += 3 + bits
        values = text[at : at + (8 if same else 8 * length)]
        at += len(values)
        if len(values) < (8 if same else 8 * length) or place + length > count:
            raise ValueError("ends too early")
        if same:
            out[place : place + length] = int(values, 2)
        else:
            out[place : place + length] = list(int(values, 2).to_bytes(length, "big"))
        place += length
    return out.reshape(*size, 4)[..., 3] > 0


class _Value(msgspec.Struct):
    rle: list[int] = []
    brushlabels: list[str] = []


class _Meta(msgspec.Struct):
    text: Any = None


class _Region(msgspec.Struct):
    type: str = ""
    original_height: int = 0
    original_width: int = 0
    image_rotation: float = 0
    score: float | None = None
    meta: _Meta = msgspec.field(default_factory=_Meta)
    value: _Value = msgspec.field(default_factory=_Value)


class _Answer(msgspec.Struct):
    result: list[_Region] = []
    was_cancelled: bool = False


class _Data(msgspec.Struct):
    image: str
    frame: int | None = None
    height: int | None = None
    width: int | None = None


class _Task(msgspec.Struct):
    data: _Data
    annotations: list[_Answer] = []
    predictions: list[_Answer] = []


def read(path: Path) -> list[ReadVideo]:
    """Read tasks, or what Label Studio exports as JSON: the last annotation of each task, else its prediction.

    The folder of a task's image is its video; its frames stand in the order of their numbers.
    """
    file = path / "tasks.json" if path.is_dir() else path
    tasks = JsonFile(file, "export the project as JSON (not JSON-MIN)").decode(list[_Task])
    videos: dict[str, list[tuple[int, str, int, _Task]]] = {}
    for number, task in enumerate(tasks):
        image = re.sub(r"^.*[?&]d=", "", task.data.image)
        name = PurePosixPath(image).parent.name or "video"
        given = re.findall(r"\d{1,9}", PurePosixPath(image).stem)
        index = task.data.frame if task.data.frame is not None else int(given[-1]) if given else number
        videos.setdefault(name, []).append((index, PurePosixPath(image).name, number, task))
    return [_video(file, name, sorted(frames, key=lambda one: one[:3])) for name, frames in videos.items()]


def _video(path: Path, name: str, frames: list[tuple[int, str, int, _Task]]) -> ReadVideo:
    sizes = {size for *_, task in frames for size in _sizes(task)}
    if len(sizes) != 1:
        raise InputError(f"{path}: the frames of {name!r} must have one size, and have {len(sizes)}: {REMEDY}")
    gathered = Gathered(path, sizes.pop(), len(frames))
    largest = max((id for *_, task in frames for region in _answer(task) if (id := _track(region))), default=0)
    for position, (_, _, number, task) in enumerate(frames):
        if not any(not answer.was_cancelled for answer in task.annotations):
            gathered.notes[UNDONE] += 1
        for i, region in enumerate(_answer(task)):
            if region.type != "brushlabels" or not region.value.rle:
                gathered.notes[OTHERS] += 1
                continue
            id = _track(region)
            if id is None:
                largest += 1
                id = largest
                gathered.notes[NEW] += 1
            label = region.value.brushlabels[0] if region.value.brushlabels else "object"
            where = f"task {number}, region {i}"
            gathered.add(where, position, id, label, region.score, _mask(path, where, region, gathered.size))
    indices = [index for index, *_ in frames]
    return gathered.video(name, [f"{name}/{file}" for _, file, *_ in frames], indices=indices)


def _mask(path: Path, where: str, region: _Region, size: tuple[int, int]) -> Rle:
    if region.image_rotation:
        raise InputError(f"{path}: {where} is of a turned image, which is not read: turn it back and export it again")
    try:
        return masks.encode(unpacked(region.value.rle, size))
    except ValueError as error:
        raise InputError(f"{path}: {where}: its brush mask is damaged ({error}): {REMEDY}") from error


def _answer(task: _Task) -> list[_Region]:
    done = [answer for answer in task.annotations if not answer.was_cancelled] or task.predictions
    return done[-1].result if done else []


def _sizes(task: _Task) -> Iterator[tuple[int, int]]:
    if task.data.height and task.data.width:
        yield task.data.height, task.data.width
    for region in _answer(task):
        if region.original_height and region.original_width:
            yield region.original_height, region.original_width


def _track(region: _Region) -> int | None:
    texts = region.meta.text if isinstance(region.meta.text, list) else [region.meta.text]
    found = (re.fullmatch(r"\s*track\s+(\d{1,9})\s*", text) for text in texts if isinstance(text, str))
    return next((int(one[1]) for one in found if one), None)
