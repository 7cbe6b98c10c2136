"""Small made-up stand-ins of the papers' datasets, in the layouts that the real ones have.

Shapes move over patterned ground. What a server keeps of a real dataset lies apart here, for a rehearsal to ask.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovvis.datasets.catalog import Entry, entries
from ovvis.masks import Rle, decode, encode
from ovvis.vocabulary import Label, Vocabulary

SERVERS = "servers"  # the folder of what the servers keep
SIZE = (96, 128)  # pixels of a frame
PER_GROUP = 3  # categories of base, of novel
_SHAPES = ("disc", "square", "bar", "ring", "cross", "wedge")


@dataclass(frozen=True, slots=True)
class _Made:
    """A made-up video."""

    number: int  # from 1
    images: tuple[NDArray[np.uint8], ...]
    tracks: tuple[tuple[int, tuple[Rle | None, ...]], ...]  # category's place, a mask for each frame


def write_stand_ins(root: Path, videos: int, frames: int) -> None:
    """Write stand-ins of every dataset of the papers.

    Args:
        root: the data root; `SERVERS` below it gets the truth of splits that have none.
        videos: of each split.
        frames: of each video; images have one.
    """
    for entry in entries():
        if entry.dropped is None and not entry.name.startswith("stickers"):
            _write(root, entry, videos, frames)


def _write(root: Path, entry: Entry, videos: int, frames: int) -> None:
    labels = _labels(entry.vocabulary)
    count = 1 if entry.format == "coco" else frames
    made = [_make(f"{entry.name} {number}", number, count, len(labels)) for number in range(1, videos + 1)]
    folder, file = root / entry.frames[0], root / entry.annotations[0]
    writers = {"youtube-vis": _youtube_vis, "coco": _coco, "burst": _burst}
    content = writers[entry.format](entry, folder, labels, made)
    _json(file, content)
    if entry.truth == "server":
        _json(root / SERVERS / f"{entry.name}.json", content)
        _json(file, {name: value for name, value in content.items() if name != "annotations"})
    if entry.format == "burst":
        ids = [i for i, _ in enumerate(labels, 1)]
        _json(root / "burst" / "info" / "class_split.json", {"common": ids[::2], "uncommon": ids[1::2]})


def _labels(vocabulary: str) -> list[Label]:
    """Return a few labels of a dataset's own, of base and of novel ones."""
    known = list(Vocabulary.builtin(vocabulary))
    novel = [label for label in known if label.split == "novel"][:PER_GROUP]
    return [*[label for label in known if label.split != "novel"][:PER_GROUP], *novel]


def _make(name: str, number: int, frames: int, categories: int) -> _Made:
    random = np.random.default_rng(zlib.crc32(name.encode()))
    height, width = SIZE
    ground = random.integers(60, 140, (height // 8, width // 8, 3)).repeat(8, 0).repeat(8, 1)
    images = [np.asarray(ground, dtype=np.uint8).copy() for _ in range(frames)]
    owners = np.zeros((frames, height, width), dtype=np.uint8)
    kinds = random.permutation(categories)[:3]
    for n, kind in enumerate(kinds, 1):
        place, step = random.uniform((20, 20), (height - 20, width - 20)), random.uniform(-3, 3, 2)
        colour = random.integers(0, 256, 3)
        for t in range(frames):
            if n == 1 and frames > 4 and t == frames // 2:
                continue  # hidden for a frame
            inside = _shape(_SHAPES[int(kind) % len(_SHAPES)], place + t * step)
            owners[t][inside] = n
            images[t][inside] = colour
    tracks = []
    for n, kind in enumerate(kinds, 1):
        masks = tuple(encode(owner == n) if (owner == n).any() else None for owner in owners)
        if any(masks):
            tracks.append((int(kind), masks))
    return _Made(number, tuple(images), tuple(tracks))


def _shape(name: str, centre: NDArray[np.float64]) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    y, x = rows - centre[0], columns - centre[1]
    found: NDArray[np.bool_] = {
        "disc": x * x + y * y < 14 * 14,
        "square": (abs(x) < 12) & (abs(y) < 12),
        "bar": (abs(y) < 6) & (abs(x) < 18),
        "ring": (x * x + y * y < 16 * 16) & (x * x + y * y > 7 * 7),
        "cross": ((abs(x) < 5) | (abs(y) < 5)) & (abs(x) < 15) & (abs(y) < 15),
        "wedge": (abs(x) < 15) & (abs(y) < (x + 16) / 2),
    }[name]
    return found


def _youtube_vis(entry: Entry, folder: Path, labels: list[Label], made: list[_Made]) -> dict[str, Any]:
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for one in made:
        names = [f"{one.number:05}/{t:05}.jpg" for t in range(len(one.images))]
        _frames(folder, names, one)
        videos.append(
            {"id": one.number, "height": SIZE[0], "width": SIZE[1], "length": len(names), "file_names": names}
        )
        for kind, masks in one.tracks:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": one.number,
                    "category_id": kind + 1,
                    "iscrowd": 0,
                    "segmentations": [_code(mask) for mask in masks],
                    "areas": [None if mask is None else _area(mask) for mask in masks],
                }
            )
    categories = [_category(i, label, entry) for i, label in enumerate(labels, 1)]
    return {"videos": videos, "categories": categories, "annotations": annotations}


def _coco(entry: Entry, folder: Path, labels: list[Label], made: list[_Made]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    counted = entry.counted or ("",)
    for one in made:
        home = counted[one.number % len(counted)]
        name = f"{one.number:012}.jpg"
        _frames(folder / home, [name], one)
        image: dict[str, Any] = {"id": one.number, "height": SIZE[0], "width": SIZE[1]}
        if not home:
            image |= {"file_name": name}
        else:  # LVIS
            image |= {"coco_url": f"http://images.cocodataset.org/{home}/{name}"}
            image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
        images.append(image)
        for kind, masks in one.tracks:
            if masks[0] is not None:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": one.number,
                        "category_id": kind + 1,
                        "iscrowd": 0,
                        "segmentation": _code(masks[0]),
                        "area": _area(masks[0]),
                    }
                )
    categories = [_category(i, label, entry) for i, label in enumerate(labels, 1)]
    return {"images": images, "categories": categories, "annotations": annotations}


def _burst(entry: Entry, folder: Path, labels: list[Label], made: list[_Made]) -> dict[str, Any]:
    sequences = []
    for one in made:
        source, name = entry.counted[one.number % len(entry.counted)], f"video_{one.number}"
        names = [f"frame{t:04}.jpg" for t in range(len(one.images))]
        _frames(folder / source / name, names, one)
        codes = [
            {
                str(n): {"rle": _text(track[1][t]), "is_gt": True}
                for n, track in enumerate(one.tracks, 1)
                if track[1][t] is not None
            }
            for t in range(len(names))
        ]
        sequences.append(
            {
                "id": one.number,
                "height": SIZE[0],
                "width": SIZE[1],
                "fps": 30,
                "seq_name": name,
                "dataset": source,
                "annotated_image_paths": names,
                "all_image_paths": names,
                "track_category_ids": {str(n): track[0] + 1 for n, track in enumerate(one.tracks, 1)},
                "segmentations": codes,
                "neg_category_ids": [],
                "not_exhaustive_category_ids": [],
            }
        )
    categories = [_category(i, label, entry) for i, label in enumerate(labels, 1)]
    return {"categories": categories, "sequences": sequences, "split": entry.name.split("_")[-1]}


def _category(id: int, label: Label, entry: Entry) -> dict[str, Any]:
    out: dict[str, Any] = {"id": id, "name": label.name}
    if entry.vocabulary == "lvvis":
        out["partition"] = 2 if label.split == "novel" else 0
    elif entry.vocabulary in ("lvis_v1", "burst"):
        out["frequency"] = "r" if label.split == "novel" else "f"
    return out


def _frames(folder: Path, names: list[str], made: _Made) -> None:
    for name, image in zip(names, made.images, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, quality=95)


def _text(mask: Rle | None) -> str:
    assert mask is not None, "a frame without the object has no code"
    return mask["counts"].decode("ascii")


def _code(mask: Rle | None) -> Mapping[str, Any] | None:
    return None if mask is None else {"size": list(mask["size"]), "counts": _text(mask)}


def _area(mask: Rle) -> int:
    return int(decode(mask).sum())


def _json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
