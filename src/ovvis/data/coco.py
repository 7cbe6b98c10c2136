"""COCO's and LVIS's JSON: images, each a video of one frame.

The format is that of T.-Y. Lin et al., "Microsoft COCO", ECCV 2014, https://cocodataset.org/#format-data. LVIS
(A. Gupta, P. Dollár, R. Girshick, CVPR 2019) names its files by their URL and says how frequent a category is.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from pathlib import Path

import msgspec

from ovvis.data.annotations import Annotations, Video
from ovvis.data.parts import CategoryEntry, Checker
from ovvis.data.problems import Problems
from ovvis.data.truth_masks import REMEDY, TruthMasks
from ovvis.evaluation.records import TruthTrack
from ovvis.evaluation.rules import COCO, Rules
from ovvis.fields import JsonFile

_NO_MASK = msgspec.Raw(b"null")
_FREQUENCIES = {"f": "frequent", "c": "common", "r": "rare"}


class _Image(msgspec.Struct, gc=False):
    id: int
    height: int
    width: int
    file_name: str | None = None
    coco_url: str | None = None


class _Instance(msgspec.Struct, gc=False):
    id: int
    image_id: int
    category_id: int
    segmentation: msgspec.Raw = _NO_MASK  # stays in the file: LVIS has 1.27 million
    area: float | None = None
    iscrowd: int | bool | None = None


class _File(msgspec.Struct):
    categories: list[CategoryEntry]
    images: list[_Image]
    annotations: list[_Instance] | None = None


def read_coco(
    path: Path, frames: Path, name: str = "", rules: Rules | None = None, problems: Problems | None = None
) -> Annotations:
    """Read a file of COCO's format. Masks may be polygons or run-length codes of both kinds.

    Masks are neither read nor checked before they are asked for; the file is mapped into memory until then and
    must not be changed in place.

    Args:
        path: the JSON.
        frames: the folder that its file names lie below (for LVIS: the one with `train2017` and `val2017`).
        name: what to call the dataset; empty: as the file.
        rules: how its evaluator counts; None: COCO's own.
        problems: takes what is wrong with single entries, which are then left out; None: refuse it.

    Raises:
        InputError: the file is no such file, or an entry is wrong and problems are refused.
    """
    root = JsonFile(path, REMEDY).decode(_File, _mapped(path))
    checker = Checker(path, problems or Problems())
    more = {entry.id: (_FREQUENCIES[entry.frequency],) for entry in root.categories if entry.frequency in _FREQUENCIES}
    categories = checker.categories(root.categories, "frequency", more)
    videos: dict[int, Video] = {}
    for i, image in enumerate(root.images):
        if (video := _video(image, f"images[{i}]", videos, checker)) is not None:
            videos[video.id] = video
    if len({video.name for video in videos.values()}) < len(videos):
        videos = {v.id: Video(v.id, str(v.id), v.height, v.width, v.files) for v in videos.values()}
    kinds = {category.id for category in categories}
    truths = _truths(root.annotations or [], videos, kinds, checker)
    return Annotations(name or path.stem, frames, categories, tuple(videos.values()), truths, rules or COCO)


def _mapped(path: Path) -> mmap.mmap | None:
    """Return a file's bytes without reading them; None where that does not work, and reading may say why."""
    with suppress(OSError, ValueError), path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return None


def _video(image: _Image, place: str, seen: dict[int, Video], checker: Checker) -> Video | None:
    if not checker.new_id(image.id, seen, place) or not checker.size(image.height, image.width, place):
        return None
    file = image.file_name or "/".join((image.coco_url or "").split("/")[-2:])
    if not checker.file_name(file, f"{place}.file_name"):
        return None
    return Video(image.id, file.rpartition(".")[0] or file, image.height, image.width, (file,))


def _truths(
    instances: list[_Instance], videos: dict[int, Video], kinds: set[int], checker: Checker
) -> tuple[TruthTrack, ...]:
    truths: dict[int, TruthTrack] = {}
    path = checker.path
    for i, instance in enumerate(instances):
        video = videos.get(instance.image_id)
        if video is None or instance.category_id not in kinds or instance.id in truths or instance.id < 0:
            place = f"annotations[{i}]"
            _ = (
                checker.new_id(instance.id, truths, place)
                and checker.known(instance.image_id, videos, "image", f"{place}.image_id")
                and checker.known(instance.category_id, kinds, "category", f"{place}.category_id")
            )
            continue
        truths[instance.id] = TruthTrack(
            instance.id,
            instance.image_id,
            instance.category_id,
            TruthMasks(instance.segmentation, (video.height, video.width), path, i),
            bool(instance.iscrowd),
            None if instance.area is None else (instance.area,),
        )
    return tuple(truths.values())
