"""The datasets of the project's own world: scenes made while training draws them, and splits written to files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from ovvis import masks
from ovvis.data.annotations import Annotations, Video
from ovvis.data.dataset import Part, Scene
from ovvis.data.sampling import SamplingConfig, choose_frames
from ovvis.data.transforms import AugmentConfig
from ovvis.errors import DISK_FULL, InputError, OvvisError, nearest
from ovvis.evaluation.records import Category
from ovvis.evaluation.rules import LVVIS
from ovvis.files.output import disk_full, whole_folder
from ovvis.paths import user_path
from ovvis.world.dice import Dice
from ovvis.world.sprites import Sprites, load_sprites
from ovvis.world.video import Frame, VideoConfig, Videos
from ovvis.world.video import Video as Made

_EPOCH = 1000  # videos that count as one epoch of the endless ones
_LIVE_SEED, _ORDER = 11, 12  # keep streams of random numbers apart
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


_TRAIN = VideoConfig(novel=False)
_VAL = VideoConfig(reserved_backgrounds=True)
SPLITS = {
    split.name: split
    for split in (
        Split("train", 1, 1000, _TRAIN),
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


LIVE = {
    # As `train`: base categories alone.
    "stickers_live": _TRAIN,
    # Likewise, fuller: what hides, what touches, what looks alike.
    "stickers_live_crossing": replace(_TRAIN, objects=(5, 10), twins=0.6, same_drawing=0.4, crowding=0.5),
    # What the small CLIP has seen of the world: all categories, one at a time, a few, in crowds, in videos.
    "stickers_live_groups": VideoConfig(
        height=96, width=96, frames=2, objects=(2, 3), sizes=(0.45, 0.95), places=(0.15, 0.85), twins=0.0
    ),
    "stickers_live_crowds": VideoConfig(frames=2, objects=(7, 12), sizes=(0.18, 0.55), twins=0.0),
    "stickers_live_scenes": VideoConfig(),
    "stickers_live_stills": VideoConfig(
        height=64, width=64, frames=2, objects=(1, 1), sizes=(0.75, 1.15), places=(0.42, 0.58), twins=0.0
    ),
}
"""The names under which training asks for endless videos, and their kinds; drawings and backgrounds of `train`."""


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


class LiveStickers:
    """Makes a new video of a kind for every draw.

    Args:
        name: under which training asks for it.
        videos: the kind.
    """

    def __init__(self, name: str, videos: Videos) -> None:
        self.name, self.videos = name, videos

    @property
    def fingerprint(self) -> str:
        """Return the sprites' digest and what the videos are like, as one line."""
        return f"{self.name}, sprites {self.videos.sprites.digest[:16]}, {self.videos.config}"

    def scene(self, seed: int, position: int, sampling: SamplingConfig, rng: np.random.Generator) -> Scene:
        """Return the scene of a draw."""
        video = self.videos.video(_LIVE_SEED, seed, position)
        indices = choose_frames(len(video), sampling, rng)
        frames = {index: video.frame(index) for index in dict.fromkeys(indices)}
        count = len(video.objects)
        codes = {index: tuple(visible_code(frame, n) for n in range(count)) for index, frame in frames.items()}
        return Scene(
            images=tuple(frames[index].image for index in indices),
            masks=tuple(codes[index] for index in indices),
            categories=tuple(thing.category + 1 for thing in video.objects),
            ids=tuple(range(1, count + 1)),
            video=f"seed {seed}, {position}",
            files=tuple(f"frame {index}" for index in indices),
        )


def live_part(
    name: str = "stickers_live",
    augment: AugmentConfig | None = None,
    weight: float | None = None,
    sprites: Sprites | None = None,
) -> Part:
    """Return endless training videos as a part of a mixture.

    Args:
        name: one of `LIVE`.
        augment: how windows are changed.
        weight: its share of a mixture.
        sprites: what to show; None: those built.

    Raises:
        InputError: the sprites are not built.
    """
    videos = Videos(sprites or load_sprites(), LIVE[name])
    config = videos.config
    listed = tuple(Video(i + 1, str(i), config.height, config.width, ("",)) for i in range(_EPOCH))
    known = Annotations(name, Path(), world_categories(videos), listed, (), LVVIS)
    return Part(known, augment or AugmentConfig(), weight, LiveStickers(name, videos))


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
