"""CocoVID and TAO: COCO's lists of images and annotations, where images are frames of videos and annotations of tracks.

CocoVID is what MMTracking made of several datasets (https://github.com/open-mmlab/mmtracking, its CocoVID class): an
image has `video_id` and `frame_id`, an annotation `instance_id`. TAO (A. Dave et al., "TAO", ECCV 2020,
https://github.com/TAO-Dataset/tao) has `frame_index` and `track_id`, and a list of tracks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ovvis.datasets.annotations import Annotations, Video
from ovvis.datasets.parts import NO_MASKS, CategoryEntry, Checker, heads, named, number_of
from ovvis.datasets.problems import Problems
from ovvis.datasets.truth_masks import REMEDY, MaskCode, Segmentation, TruthMasks, wrong_size
from ovvis.evaluation.records import TruthTrack
from ovvis.evaluation.rules import YOUTUBE_VIS, Rules
from ovvis.fields import JsonFile, Whole, whole


class _Frame(msgspec.Struct):
    id: Whole
    file_name: str
    video_id: Whole | None = None
    height: Whole | None = None
    width: Whole | None = None
    frame_id: Whole | None = None
    frame_index: Whole | None = None


class _Video(msgspec.Struct):
    id: Whole
    height: Whole | None = None
    width: Whole | None = None
    neg_category_ids: list[Whole] | None = None
    not_exhaustive_category_ids: list[Whole] | None = None


class _Track(msgspec.Struct):
    id: Whole
    category_id: Whole | None = None


class _Instance(msgspec.Struct):
    image_id: Whole
    category_id: Whole | None = None  # else of the track
    instance_id: Whole | None = None
    track_id: Whole | None = None
    segmentation: Segmentation = None
    iscrowd: int | bool | None = None
    score: Any = None


class _File(msgspec.Struct):
    categories: list[CategoryEntry]
    images: list[_Frame]
    videos: list[_Video] | None = None
    annotations: list[_Instance] | None = None
    tracks: list[_Track] | None = None


@dataclass(slots=True)
class _Seen:
    """What was found of a track."""

    video: Video
    category: int
    place: str  # of its first annotation
    masks: list[Segmentation]
    frames: set[int] = field(default_factory=set)
    crowd: bool = False
    score: float | None = None  # the highest of its annotations


def read_coco_video(
    path: Path, frames: Path, name: str = "", rules: Rules | None = None, problems: Problems | None = None
) -> Annotations:
    """Read a file of CocoVID's or TAO's kind. Masks may be polygons or run-length codes of both kinds.

    A video's frames are its images, ordered by `frame_id` or `frame_index`. True tracks are numbered from 1 as they
    come; their areas are measured, since these files state those of boxes.

    Args:
        path: the JSON.
        frames: the folder that its file names lie below.
        name: what to call the dataset; empty: as the file.
        rules: how its evaluator counts; None: as YouTube-VIS'.
        problems: takes what is wrong with single entries, which are then left out; None: refuse it.

    Raises:
        InputError: the file is no such file, or an entry is wrong and problems are refused.
    """
    root = JsonFile(path, REMEDY).decode(_File)
    checker = Checker(path, problems or Problems())
    categories = checker.categories(root.categories, "frequency")
    kinds = {category.id for category in categories}
    place_of: dict[int, tuple[int, int]] = {}  # of each image: its video's id and its place among the frames
    videos = _videos(root, place_of, kinds, checker)
    truths, scores = _truths(root, videos, place_of, kinds, checker)
    return Annotations(
        name or path.stem,
        frames,
        categories,
        named(checker.placed(videos.values(), frames)),
        truths,
        rules or YOUTUBE_VIS,
        heads(root.categories, {truth.category_id for truth in truths}),
        scores=scores,
    )


def _videos(root: _File, place_of: dict[int, tuple[int, int]], kinds: set[int], checker: Checker) -> dict[int, Video]:
    """Return the videos that have frames, and note where each image is."""
    listed: dict[int, _Video] = {}
    for i, entry in enumerate(root.videos or ()):
        if (id := checker.new_id(entry.id, listed, f"videos[{i}]")) is not None:
            listed[id] = entry
    found: dict[int, list[tuple[int, int, int]]] = {}  # of each video: number, image's id, place in the file
    images: set[int] = set()
    for i, frame in enumerate(root.images):
        place = f"images[{i}]"
        if (image := checker.new_id(frame.id, images, place)) is None:
            continue
        if frame.video_id is None:
            checker.tell("frame of no video", f"{place}.video_id", "is missing")
            continue
        video = checker.number(frame.video_id, f"{place}.video_id")
        if video is not None and root.videos is not None:
            video = checker.known(video, listed, "video", f"{place}.video_id")
        given = frame.frame_id if frame.frame_id is not None else frame.frame_index
        number = i if given is None else checker.number(given, f"{place}.frame_id")
        if video is None or number is None or not checker.file_name(frame.file_name, f"{place}.file_name"):
            continue
        images.add(image)
        found.setdefault(video, []).append((number, image, i))
    for id in listed.keys() - found.keys():
        checker.mention("videos without frames, left out", "videos", f"lists {id}, which no image has")
    videos: dict[int, Video] = {}
    for id, ordered in found.items():
        if (made := _video(id, listed.get(id), sorted(ordered), root.images, kinds, checker)) is not None:
            videos[id] = made
            place_of |= {image: (id, t) for t, (_, image, _) in enumerate(sorted(ordered))}
    return videos


def _video(
    id: int,
    listed: _Video | None,
    ordered: list[tuple[int, int, int]],
    images: Sequence[_Frame],
    kinds: set[int],
    checker: Checker,
) -> Video | None:
    place = f"images[{ordered[0][2]}]"
    if (number := Counter(number for number, _, _ in ordered).most_common(1)[0])[1] > 1:
        rule = f"must be the only frame {number[0]} of video {id}, and is not"
        checker.tell("frame twice", next(f"images[{i}]" for n, _, i in ordered if n == number[0]), rule)
        return None
    own = [(frame.height, frame.width) for frame in (images[i] for _, _, i in ordered)]
    stated = {size for size in own if None not in size}
    if listed is not None and listed.height is not None and listed.width is not None:
        stated.add((listed.height, listed.width))
    sizes = {checker.size(h, w, place) for h, w in stated if h is not None and w is not None}
    if len(sizes) != 1:
        rule = f"must have one size, of its frames and its own, and has {len(sizes)}: {sorted(map(str, sizes))}"
        checker.tell("frames of several sizes", f"{place} of video {id}", rule)
        return None
    if (size := sizes.pop()) is None:
        return None
    absent, partial = (
        tuple(number for number in map(whole, ids or ()) if number in kinds)
        for ids in ((listed.neg_category_ids, listed.not_exhaustive_category_ids) if listed else ((), ()))
    )
    return Video(id, "", *size, tuple(images[i].file_name for _, _, i in ordered), absent, partial)


def _truths(
    root: _File, videos: dict[int, Video], place_of: dict[int, tuple[int, int]], kinds: set[int], checker: Checker
) -> tuple[tuple[TruthTrack, ...], dict[int, float]]:
    """Return the tracks, and the scores of those that have one."""
    category_of = {whole(track.id): track.category_id for track in root.tracks or ()}
    found = _Tracks(videos, place_of, kinds, category_of, checker)
    for i, instance in enumerate(root.annotations or ()):
        found.add(instance, f"annotations[{i}]")
    truths: list[TruthTrack] = []
    scores: dict[int, float] = {}
    for key, track in found.tracks.items():
        if key in found.wrong or not checker.proper(track.masks, f"{track.place}.segmentation"):
            continue
        size = (track.video.height, track.video.width)
        masks = TruthMasks(track.masks, size, checker.path, f"track {key[1]} of video {key[0]} ({track.place})")
        truths.append(TruthTrack(len(truths) + 1, key[0], track.category, masks, track.crowd))
        if track.score is not None:
            scores[len(truths)] = track.score
    return tuple(truths), scores


@dataclass(slots=True)
class _Tracks:
    """Puts annotations into tracks. A track of which one is wrong is left out as a whole."""

    videos: dict[int, Video]
    place_of: dict[int, tuple[int, int]]
    kinds: set[int]
    category_of: dict[int | None, Whole | None]  # of the file's list of tracks
    checker: Checker
    tracks: dict[tuple[int, int], _Seen] = field(default_factory=dict)  # by video's and own id
    wrong: set[tuple[int, int]] = field(default_factory=set)

    def add(self, instance: _Instance, place: str) -> None:
        """Put an annotation into its track."""
        image = self.checker.known(instance.image_id, self.place_of, "image", f"{place}.image_id")
        given = instance.instance_id if instance.instance_id is not None else instance.track_id
        if image is None:
            return
        if given is None:
            rule = "is missing, and so is track_id: which frames show the same thing is not known"
            self.checker.tell("annotation of no track", f"{place}.instance_id", rule)
            return
        if (number := self.checker.number(given, f"{place}.instance_id")) is None:
            return
        id, frame = self.place_of[image]
        key, video = (id, number), self.videos[id]
        if (category := self._category(instance, number, place)) is None:
            self.wrong.add(key)
            return
        if key not in self.tracks:
            self.checker.hold(len(video.files))
            self.tracks[key] = _Seen(video, category, place, [None] * len(video.files))
        track = self.tracks[key]
        if (rule_of := _broken_rule(instance, track, category, frame)) is not None:
            self.wrong.add(key)
            self.checker.tell("tracks that disagree with themselves", f"{place}{rule_of[0]}", rule_of[1])
            return
        if not instance.segmentation:
            self.checker.mention(NO_MASKS, f"{place}.segmentation", "is missing or empty")
        track.frames.add(frame)
        track.masks[frame] = instance.segmentation
        track.crowd |= bool(instance.iscrowd)
        if (score := number_of(instance.score)) is not None:
            track.score = score if track.score is None else max(track.score, score)

    def _category(self, instance: _Instance, number: int, place: str) -> int | None:
        given = instance.category_id if instance.category_id is not None else self.category_of.get(number)
        if given is None:
            self.checker.tell("unknown category", f"{place}.category_id", "is missing")
            return None
        return self.checker.known(given, self.kinds, "category", f"{place}.category_id")


def _broken_rule(instance: _Instance, track: _Seen, category: int, frame: int) -> tuple[str, str] | None:
    """Return the field of an annotation that does not fit its track, and why not."""
    if category != track.category:
        return ".category_id", f"must be {track.category} as in {track.place}, and is {category}"
    if frame in track.frames:
        return "", f"must be the only one of its track (from {track.place} on) in its frame"
    size, found = (track.video.height, track.video.width), instance.segmentation
    if isinstance(found, MaskCode) and found.size != size:
        return ".segmentation.size", wrong_size(found.size, size)
    return None
