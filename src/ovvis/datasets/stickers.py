"""The splits of the project's own world, as they are drawn and as they are written to files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from ovvis import masks
from ovvis.errors import DISK_FULL, InputError, OvvisError, nearest
from ovvis.evaluation.records import Category
from ovvis.files.output import disk_full, whole_folder
from ovvis.paths import user_path
from ovvis.world.dice import Dice
from ovvis.world.motion import VideoConfig
from ovvis.world.sprites import Sprites
from ovvis.world.video import Frame, Videos
from ovvis.world.video import Video as Made

_ORDER = 12  # keeps its random numbers apart from others of the same seed
_MUST = 2  # objects of a validation video whose categories go through all in turn

JPEG: dict[str, Any] = {"quality": 95, "subsampling": 0}
"""How frames are written."""

Advance = Callable[[int, int], object]  # what is done, and how much there is


@dataclass(frozen=True, slots=True)
class Split:
    """One split of the world."""

    name: str
    seed: int
    videos: int
    config: VideoConfig


TRAIN = VideoConfig(novel=False)
_VAL = VideoConfig(reserved_backgrounds=True)
SPLITS = {
    split.name: split
    for split in (
        Split("train", 1, 1000, TRAIN),
        Split("val", 2, 300, _VAL),
        Split("val-hard", 3, 260, replace(_VAL, reserved_drawings=True)),
        Split(
            "val-long",
            4,
            40,
            replace(_VAL, frames=120, objects=(5, 8), twins=1.0, same_drawing=0.5, crowding=0.7),
        ),
    )
}


def split_of(name: str) -> Split:
    """Return a split by its name; blanks may be written with an underscore.

    Raises:
        InputError: there is none of that name.
    """
    plain = name.replace("_", "-")
    if plain not in SPLITS:
        raise InputError(f"split {name!r}: the world has none of that name; {nearest(plain, SPLITS)}")
    return SPLITS[plain]


def split_video(split: Split, videos: Videos, number: int) -> Made:
    """Return a split's video, from 0. Its categories go through all in turn, so that a split shows every one."""
    known = videos.categories
    order = Dice(split.seed, _ORDER).shuffled(known)
    must = [order[(number * _MUST + i) % len(order)] for i in range(min(_MUST, videos.config.objects[1]))]
    return videos.video(split.seed, number, must=must)


def write_split(
    split: Split,
    sprites: Sprites,
    root: Path,
    count: int | None = None,
    advance: Advance | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a split in LV-VIS' layout: `stickers/SPLIT/JPEGImages/VIDEO/FRAME.jpg`, `SPLIT_instances.json`.

    Nothing appears under its final name before the last frame is written.

    Args:
        split: which.
        sprites: what to show.
        root: the data root.
        count: only the first so many videos; None: all.
        advance: is told how many frames are done, and how many there are.
        overwrite: replace a split that is there already, once the new one is whole.

    Returns:
        The split's folder.

    Raises:
        InputError: the folder is there already, another process is writing it, or it cannot be written.
        ResourceError: the disk is full.
    """
    home = user_path(root) / "stickers" / split.name
    try:
        with whole_folder(home, overwrite=overwrite) as partial:
            (partial / "JPEGImages").mkdir()
            listed = _write_videos(split, Videos(sprites, split.config), partial, count or split.videos, advance)
            (partial / f"{split.name}_instances.json").write_bytes(msgspec.json.encode(listed))
    except OvvisError:
        raise
    except OSError as error:
        if error.errno in DISK_FULL:
            raise disk_full(error, home) from error
        raise InputError(f"{home} cannot be written ({error.strerror}): choose another folder") from error
    return home


def _write_videos(split: Split, videos: Videos, folder: Path, count: int, advance: Advance | None) -> dict[str, Any]:
    config = videos.config
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(count):
        video, name = split_video(split, videos, number), f"{number:05}"
        (folder / "JPEGImages" / name).mkdir()
        files = [f"{name}/{t:05}.jpg" for t in range(len(video))]
        codes: list[list[masks.Rle | None]] = [[] for _ in video.objects]
        for t, frame in enumerate(video):
            path = folder / "JPEGImages" / files[t]
            Image.fromarray(frame.image).save(path, **JPEG)
            for n, track in enumerate(codes):
                track.append(visible_code(frame, n))
            if advance:
                advance(number * len(video) + t + 1, count * len(video))
        listed.append(
            {
                "id": number + 1,
                "width": config.width,
                "height": config.height,
                "length": len(video),
                "file_names": files,
            }
        )
        for thing, track in zip(video.objects, codes, strict=True):
            if any(track):  # one that is hidden throughout is not there
                annotations.append(_annotation(len(annotations) + 1, number + 1, thing.category + 1, track))
    categories = [
        # LV-VIS' numbers: 0 and 1 are base, 2 and 3 novel.
        {"id": category.id, "name": category.name, "partition": 2 if "novel" in category.groups else 0}
        for category in world_categories(videos)
    ]
    about = f"ovvis world write {split.name}; sprites {videos.sprites.digest}"
    return {"info": {"description": about}, "videos": listed, "categories": categories, "annotations": annotations}


def _annotation(id: int, video: int, category: int, track: list[masks.Rle | None]) -> dict[str, Any]:
    return {
        "id": id,
        "video_id": video,
        "category_id": category,
        "iscrowd": 0,
        "segmentations": [rle and {"size": rle["size"], "counts": rle["counts"].decode()} for rle in track],
        "areas": [rle and masks.area(rle) for rle in track],
    }


def world_categories(videos: Videos) -> tuple[Category, ...]:
    """Return the categories that videos of a kind may show; an id is the place in the world's list, from 1."""
    known = videos.sprites.categories
    return tuple(Category(i + 1, known[i].name, (known[i].split,)) for i in videos.categories)


def visible_code(frame: Frame, n: int) -> masks.Rle | None:
    """Return the run-length code of an object's visible pixels; None where there is none."""
    seen = frame.mask(n)
    rows = np.flatnonzero(seen.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(seen.any(0))
    corner = int(rows[0]), int(columns[0])
    crop = seen[corner[0] : int(rows[-1]) + 1, corner[1] : int(columns[-1]) + 1]
    return masks.encode_crop(crop, corner, (seen.shape[0], seen.shape[1]))
