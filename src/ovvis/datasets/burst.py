"""BURST's own JSON: `all_classes.json`, and `class_split.json` beside it.

The format is in ANNOTATION_FORMAT.md of https://github.com/Ali2500/BURST-benchmark (A. Athar et al., "BURST",
WACV 2023). Categories and tracks are numbered here as burst2ytvis.py of CLIP-VIS and OVFormer numbers them, so that
both ways give the same figures, to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from ovvis.datasets.annotations import Annotations, Video
from ovvis.datasets.parts import CategoryEntry, Checker, named
from ovvis.datasets.problems import Problems
from ovvis.datasets.truth_masks import REMEDY, MaskCode, Segmentation, TruthMasks
from ovvis.evaluation.records import TruthTrack
from ovvis.evaluation.rules import BURST, Rules
from ovvis.fields import JsonFile, Whole, whole


class _Mask(msgspec.Struct, gc=False):
    rle: str


class _Sequence(msgspec.Struct):
    id: Whole
    height: Whole
    width: Whole
    seq_name: str
    dataset: str
    annotated_image_paths: list[str]
    track_category_ids: dict[str, Whole]
    segmentations: list[dict[str, _Mask]]
    neg_category_ids: list[Whole] = []
    not_exhaustive_category_ids: list[Whole] = []


class _File(msgspec.Struct):
    categories: list[CategoryEntry]
    sequences: list[_Sequence]


class _ClassSplit(msgspec.Struct):
    common: list[Whole]
    uncommon: list[Whole]


def read_burst(
    path: Path,
    frames: Path,
    name: str = "",
    rules: Rules | None = None,
    class_split: Path | None = None,
    problems: Problems | None = None,
) -> Annotations:
    """Read BURST's own format. Frames are the annotated ones.

    Categories are numbered from 1 in the file's order, tracks from 0 in the order of the sequences and of each
    one's `track_category_ids`: the authors' evaluator loses the track of number 0 (`Rules.loses_id_zero`).

    Args:
        path: the JSON.
        frames: the folder that holds a folder for each of TAO's sources.
        name: what to call the dataset; empty: as the file.
        rules: how its evaluator counts; None: BURST's own.
        class_split: the file that tells common and uncommon; None: `info/class_split.json` in the folder of the
            splits, where there is one.
        problems: takes what is wrong with single entries, which are then left out; None: refuse it.

    Raises:
        InputError: the file is no such file, or an entry is wrong and problems are refused.
    """
    root = JsonFile(path, REMEDY).decode(_File)
    checker = Checker(path, problems or Problems())
    own = checker.categories(root.categories, "frequency", _class_split(path, class_split))
    numbers = {category.id: i for i, category in enumerate(own, 1)}
    categories = tuple(replace(c, id=numbers[c.id]) for c in own)
    videos: dict[int, Video] = {}
    truths: list[TruthTrack] = []
    for i, sequence in enumerate(root.sequences):
        place = f"sequences[{i}]"
        if (video := _video(sequence, place, videos, numbers, checker)) is not None:
            videos[video.id] = video
            truths += _truths(sequence, place, video, numbers, len(truths), checker)
    placed = named(checker.placed(videos.values(), frames))
    return Annotations(name or path.stem, frames, categories, placed, tuple(truths), rules or BURST)


def _class_split(path: Path, chosen: Path | None) -> Mapping[int, tuple[str, ...]]:
    """Return the group of each category that the class split names."""
    file = chosen or path.absolute().parents[min(1, len(path.absolute().parents) - 1)] / "info" / "class_split.json"
    if chosen is None and not file.is_file():
        return {}
    split = JsonFile(file, REMEDY).decode(_ClassSplit)
    groups = dict.fromkeys(map(whole, split.common), ("common",)) | dict.fromkeys(
        map(whole, split.uncommon), ("uncommon",)
    )
    return {id: group for id, group in groups.items() if id is not None}


def _video(
    sequence: _Sequence, place: str, seen: dict[int, Video], numbers: dict[int, int], checker: Checker
) -> Video | None:
    if (id := checker.new_id(sequence.id, seen, place)) is None:
        return None
    if (size := checker.size(sequence.height, sequence.width, place)) is None:
        return None
    count = len(sequence.annotated_image_paths)
    if not count:
        checker.tell("video without frames", f"{place}.annotated_image_paths", "must name at least one frame")
        return None
    if len(sequence.segmentations) != count:
        rule = f"must have one entry for each of the {count} annotated frames, and has {len(sequence.segmentations)}"
        checker.tell("frame counts differ", f"{place}.segmentations", rule)
        return None
    folder = f"{sequence.dataset}/{sequence.seq_name}"
    files = tuple(f"{folder}/{file}" for file in sequence.annotated_image_paths)
    if not all(checker.file_name(file, f"{place}.annotated_image_paths[{i}]") for i, file in enumerate(files)):
        return None
    absent, partial = (
        tuple(numbers[number] for number in map(whole, ids) if number in numbers)
        for ids in (sequence.neg_category_ids, sequence.not_exhaustive_category_ids)
    )
    return Video(id, "", *size, files, absent, partial)


def _truths(
    sequence: _Sequence, place: str, video: Video, numbers: dict[int, int], first: int, checker: Checker
) -> list[TruthTrack]:
    for i, frame in enumerate(sequence.segmentations):
        for track in frame:
            if track not in sequence.track_category_ids:
                rule = f"must be a track of track_category_ids, and is {track!r}"
                checker.tell("unknown track", f"{place}.segmentations[{i}]", rule)
    size = (video.height, video.width)
    truths: list[TruthTrack] = []
    for track, given in sequence.track_category_ids.items():
        category = checker.known(given, numbers, "category", f"{place}.track_category_ids[{track!r}]")
        if category is None:
            continue
        checker.hold(len(video.files))
        codes: list[Segmentation] = [
            MaskCode(size, frame[track].rle) if track in frame else None for frame in sequence.segmentations
        ]
        masks = TruthMasks(codes, size, checker.path, f"{place}, track {track!r}")
        truths.append(TruthTrack(first + len(truths), video.id, numbers[category], masks))
    return truths
