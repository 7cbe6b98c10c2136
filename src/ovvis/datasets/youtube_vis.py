"""The YouTube-VIS JSON family: YouTube-VIS 2019 and 2021, OVIS, LV-VIS, and BURST as burst2ytvis.py converts it.

The format is that of L. Yang, Y. Fan, N. Xu, "Video instance segmentation", ICCV 2019: COCO's, with a list of a
value for each frame where COCO has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ovvis.datasets.annotations import Annotations, Video
from ovvis.datasets.parts import NO_MASKS, CategoryEntry, Checker, heads, named, scores_of, value_of
from ovvis.datasets.problems import Problems
from ovvis.datasets.truth_masks import REMEDY, MaskCode, Segmentation, TruthMasks, wrong_size
from ovvis.evaluation.records import TruthTrack
from ovvis.evaluation.rules import BURST, LVVIS, YOUTUBE_VIS, Rules
from ovvis.fields import JsonFile, Whole, short, whole


class _Video(msgspec.Struct):
    id: Whole
    height: Whole
    width: Whole
    file_names: list[str]
    length: Whole | None = None
    neg_category_ids: list[Whole] | None = None
    not_exhaustive_category_ids: list[Whole] | None = None


class _Track(msgspec.Struct):
    id: Whole
    video_id: Whole
    category_id: Whole
    segmentations: list[Segmentation] | None = None
    areas: list[float | None] | None = None
    iscrowd: int | bool | None = None
    score: Any = None


class _OldCategory(msgspec.Struct):
    id: Whole


class _File(msgspec.Struct):
    categories: list[CategoryEntry]
    videos: list[_Video]
    annotations: list[_Track] | None = None
    cate_ori: list[_OldCategory] | None = None  # BURST's own categories, in the order of the new ones


def read_youtube_vis(
    path: Path,
    frames: Path,
    name: str = "",
    rules: Rules | None = None,
    problems: Problems | None = None,
) -> Annotations:
    """Read a file of the family. Masks may be null, run-length codes of both kinds, or polygons.

    Args:
        path: the JSON.
        frames: the folder that its file names lie below.
        name: what to call the dataset; empty: as the file.
        rules: how its evaluator counts; None: found out from the fields that only LV-VIS or BURST have.
        problems: takes what is wrong with single entries, which are then left out; None: refuse it.

    Raises:
        InputError: the file is no such file, or an entry is wrong and problems are refused. Masks are looked at
            when they are asked for.
    """
    root = JsonFile(path, REMEDY).decode(_File)
    checker = Checker(path, problems or Problems())
    rules = rules or _rules(root)
    categories = checker.categories(root.categories, "frequency" if rules is BURST else "partition")
    old: Sequence[_OldCategory | CategoryEntry] = root.cate_ori if root.cate_ori is not None else root.categories
    new_ids = {whole(entry.id): whole(new.id) for entry, new in zip(old, root.categories, strict=False)}
    videos: dict[int, Video] = {}
    for i, entry in enumerate(root.videos):
        if (video := _video(entry, f"videos[{i}]", videos, new_ids, checker)) is not None:
            videos[video.id] = video
    kinds = {category.id for category in categories}
    truths: dict[int, TruthTrack] = {}
    for i, track in enumerate(root.annotations or ()):
        if (truth := _truth(track, f"annotations[{i}]", truths, videos, kinds, checker)) is not None:
            truths[truth.id] = truth
    return Annotations(
        name or path.stem,
        frames,
        categories,
        named(checker.placed(videos.values(), frames, shorten=rules is LVVIS)),
        tuple(truths.values()),
        rules,
        heads(root.categories, {truth.category_id for truth in truths.values()}),
        scores=scores_of(root.annotations or (), truths.values()),
    )


def _rules(root: _File) -> Rules:
    if root.cate_ori is not None:
        return BURST
    partitions = (value_of(entry, "partition") for entry in root.categories)
    return LVVIS if any(partition is not None for partition in partitions) else YOUTUBE_VIS


def _video(
    entry: _Video, place: str, seen: dict[int, Video], new_ids: dict[int | None, int | None], checker: Checker
) -> Video | None:
    files = tuple(entry.file_names)
    if (id := checker.new_id(entry.id, seen, place)) is None:
        return None
    if (size := checker.size(entry.height, entry.width, place)) is None:
        return None
    if not files:
        checker.tell("video without frames", f"{place}.file_names", "must name at least one frame")
        return None
    if not all(checker.file_name(file, f"{place}.file_names[{i}]") for i, file in enumerate(files)):
        return None
    if entry.length is not None and whole(entry.length) != len(files):
        rule = f"must be the number of its file_names, {len(files)}, and is {short(entry.length)}"
        checker.tell("frame counts differ", f"{place}.length", rule)
    absent, partial = (
        tuple(new for id in ids or () if (new := new_ids.get(whole(id))) is not None)
        for ids in (entry.neg_category_ids, entry.not_exhaustive_category_ids)
    )
    return Video(id, "", *size, files, absent, partial)


def _truth(
    track: _Track,
    place: str,
    seen: dict[int, TruthTrack],
    videos: dict[int, Video],
    kinds: set[int],
    checker: Checker,
) -> TruthTrack | None:
    id = checker.new_id(track.id, seen, place)
    video_id = None if id is None else checker.known(track.video_id, videos, "video", f"{place}.video_id")
    kind = None if video_id is None else checker.known(track.category_id, kinds, "category", f"{place}.category_id")
    if id is None or video_id is None or kind is None:
        return None
    video = videos[video_id]
    segmentations = track.segmentations
    if segmentations is None:
        checker.mention(NO_MASKS, f"{place}.segmentations", "is missing")
        checker.hold(len(video.files))
        segmentations = [None] * len(video.files)
    for field, values in (("segmentations", segmentations), ("areas", track.areas)):
        if values is not None and len(values) != len(video.files):
            rule = f"must have one entry for each of the video's {len(video.files)} frames, and has {len(values)}"
            checker.tell("frame counts differ", f"{place}.{field}", rule)
            return None
    size = (video.height, video.width)
    for i, segmentation in enumerate(segmentations):
        if isinstance(segmentation, MaskCode) and segmentation.size != size:
            rule = wrong_size(segmentation.size, size)
            checker.tell("mask of another size", f"{place}.segmentations[{i}].size", rule)
            return None
    if not checker.proper(segmentations, f"{place}.segmentations"):
        return None
    masks = TruthMasks(segmentations, size, checker.path, place)
    return TruthTrack(id, video_id, kind, masks, bool(track.iscrowd), track.areas)
