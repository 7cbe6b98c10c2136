"""COCO's and LVIS's JSON: images, each a video of one frame.

The format is that of T.-Y. Lin et al., "Microsoft COCO", ECCV 2014, https://cocodataset.org/#format-data. LVIS
(A. Gupta, P. Dollár, R. Girshick, CVPR 2019) names its files by their URL and says how frequent a category is.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from ovvis.datasets.annotations import Annotations, Video
from ovvis.datasets.parts import CategoryEntry, Checker, heads, scores_of, value_of
from ovvis.datasets.problems import Problems
from ovvis.datasets.truth_masks import REMEDY, Segmentation, TruthMasks
from ovvis.evaluation.records import TruthTrack
from ovvis.evaluation.rules import COCO, LVIS, Rules
from ovvis.fields import JsonFile, Whole, whole

_NO_MASK = msgspec.Raw(b"null")
_FREQUENCIES = {"f": "frequent", "c": "common", "r": "rare"}


class _Image(msgspec.Struct, gc=False):
    id: Whole
    height: Whole
    width: Whole
    file_name: str | None = None
    coco_url: msgspec.Raw = _NO_MASK
    neg_category_ids: list[Whole] | None = None  # LVIS
    not_exhaustive_category_ids: list[Whole] | None = None


class _Instance(msgspec.Struct, gc=False):
    id: Whole
    image_id: Whole
    category_id: Whole
    segmentation: msgspec.Raw = _NO_MASK  # stays in the file: LVIS has 1.27 million
    area: float | None = None
    iscrowd: int | bool | None = None
    score: Any = None


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
        rules: how its evaluator counts; None: LVIS' if every image says which categories are absent and which not
            annotated in full, else COCO's.
        problems: takes what is wrong with single entries, which are then left out; None: refuse it.

    Raises:
        InputError: the file is no such file, or an entry is wrong and problems are refused.
    """
    root = JsonFile(path, REMEDY).decode(_File, _mapped(path))
    checker = Checker(path, problems or Problems())
    frequencies = {whole(entry.id): value_of(entry, "frequency") for entry in root.categories}
    more = {id: (_FREQUENCIES[f],) for id, f in frequencies.items() if id is not None and f in tuple(_FREQUENCIES)}
    categories = checker.categories(root.categories, "frequency", more)
    videos: dict[int, Video] = {}
    for i, image in enumerate(root.images):
        if (video := _video(image, f"images[{i}]", videos, checker)) is not None:
            videos[video.id] = video
    kinds = {category.id for category in categories}
    truths = _truths(root.annotations or [], videos, kinds, checker)
    if rules is None:
        says = [i.neg_category_ids is not None and i.not_exhaustive_category_ids is not None for i in root.images]
        rules = LVIS if says and all(says) else COCO
    return Annotations(
        name or path.stem,
        frames,
        categories,
        _named(checker.placed(videos.values(), frames)),
        truths,
        rules,
        heads(root.categories, {truth.category_id for truth in truths}),
        scores=scores_of(root.annotations or (), truths),
    )


def _named(videos: tuple[Video, ...]) -> tuple[Video, ...]:
    """Return images with the names of their files, if these tell them apart, else with their ids."""
    named = tuple(replace(video, name=video.files[0].rpartition(".")[0] or video.files[0]) for video in videos)
    if len({video.name for video in named}) < len(named):
        return tuple(replace(video, name=str(video.id)) for video in videos)
    return named


def _mapped(path: Path) -> mmap.mmap | None:
    """Return a file's bytes without reading them; None where that does not work, and reading may say why."""
    with suppress(OSError, ValueError), path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return None


def _video(image: _Image, place: str, seen: dict[int, Video], checker: Checker) -> Video | None:
    if (id := checker.new_id(image.id, seen, place)) is None:
        return None
    if (size := checker.size(image.height, image.width, place)) is None:
        return None
    file = image.file_name or "/".join(_text(image.coco_url).split("/")[-2:])
    if not checker.file_name(file, f"{place}.file_name"):
        return None
    absent, partial = (
        tuple(kind for given in ids or () if (kind := whole(given)) is not None)
        for ids in (image.neg_category_ids, image.not_exhaustive_category_ids)
    )
    return Video(id, "", *size, (file,), absent, partial)


def _text(raw: msgspec.Raw) -> str:
    """Return a text; an empty one if it is none."""
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.MsgspecError, ValueError):
        return ""


def _truths(
    instances: list[_Instance], videos: dict[int, Video], kinds: set[int], checker: Checker
) -> tuple[TruthTrack, ...]:
    truths: dict[int, TruthTrack] = {}
    path = checker.path
    for i, instance in enumerate(instances):
        id, image, kind = instance.id, instance.image_id, instance.category_id
        if type(id) is not int or image not in videos or kind not in kinds or id in truths or not 0 <= id < 2**63:
            place = f"annotations[{i}]"
            number = checker.new_id(id, truths, place)
            known = None if number is None else checker.known(image, videos, "image", f"{place}.image_id")
            known_kind = None if known is None else checker.known(kind, kinds, "category", f"{place}.category_id")
            if number is None or known is None or known_kind is None:
                continue
            id, image, kind = number, known, known_kind
        video = videos[int(image)]
        segmentation = _proper(instance.segmentation, i, checker)
        if segmentation is None:
            continue
        truths[id] = TruthTrack(
            id,
            video.id,
            int(kind),
            TruthMasks(segmentation, (video.height, video.width), path, i),
            bool(instance.iscrowd),
            None if instance.area is None else (instance.area,),
        )
    return tuple(truths.values())


def _proper(raw: msgspec.Raw, index: int, checker: Checker) -> msgspec.Raw | None:
    """Return a mask without polygons that enclose nothing; None if no other is left."""
    text = bytes(raw)
    if not text.startswith(b"[[") or _all_proper(text):
        return raw
    try:
        given = msgspec.json.decode(text, type=list[list[float]])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return raw  # told when it is asked for
    kept: list[Segmentation] = [given]
    if not checker.proper(kept, f"annotations[{index}].segmentation"):
        return None
    return raw if kept[0] is given else msgspec.Raw(msgspec.json.encode(kept[0]))


def _all_proper(text: bytes) -> bool:
    """Return whether each of a mask's polygons, as JSON, has three corners or more; numbers are not read for that.

    >>> _all_proper(b"[[1,2,3,4,5,6], [1,2,3,4,5,6,7,8]]"), _all_proper(b"[[1,2,3,4,5,6],[1,2]]"), _all_proper(b"[[]]")
    (True, False, False)
    """
    first, *others, _, _ = text.split(b"]")
    commas = first.count(b",")
    if commas < 5 or commas % 2 == 0:
        return False
    counts = [other.count(b",") for other in others]  # one before each polygon
    return all(count >= 6 and count % 2 == 0 for count in counts)
