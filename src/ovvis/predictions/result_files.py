"""Reads what a model found in a dataset: results in the format of YouTube-VIS' servers, or of COCO's for images.

A file is cut into its entries first, without looking at their masks, and these are read video by video: the memory is
the file's size and little more. Models give one tube under several labels, so masks that are the same text within a
video are read once.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from ovvis.borders import CheckedMasks, DamagedMaskError, checked_masks
from ovvis.datasets.annotations import Annotations, Video
from ovvis.datasets.problems import Problem, Problems
from ovvis.datasets.truth_masks import MaskCode
from ovvis.errors import InputError
from ovvis.evaluation.records import ResultTrack
from ovvis.fields import JsonFile, Whole, short, whole
from ovvis.masks import Rle, from_polygons, from_runs, proper_polygons
from ovvis.predictions.result_places import find_results, unpacked

REMEDY = "write results as a list of {video_id, category_id, score, segmentations}, one mask a frame"
SKIP = "--skip-bad leaves it out"
_NONE = (b"", b"null", b"[]", b"[null]", b"[[]]")


class _Entry(msgspec.Struct):
    """An entry whose masks are not looked at yet."""

    category_id: Whole
    score: float
    video_id: Whole | None = None
    image_id: Whole | None = None  # COCO's results
    segmentations: msgspec.Raw = msgspec.Raw()
    segmentation: msgspec.Raw = msgspec.Raw()


class _Boxes(msgspec.Struct):
    """What an entry without masks may hold."""

    bbox: msgspec.Raw = msgspec.Raw()
    bboxes: msgspec.Raw = msgspec.Raw()


@dataclass(slots=True)
class _Result:
    """An entry whose ids are known."""

    index: int  # in its file
    video: Video
    category: int
    score: float
    masks: msgspec.Raw


_ENTRY = msgspec.json.Decoder(_Entry)
_BOXES = msgspec.json.Decoder(_Boxes)
_MASKS = msgspec.json.Decoder(list[MaskCode | list[list[float]] | None])


@dataclass
class ResultFiles:
    """Results of a dataset's videos, in one or many files.

    Args:
        path: what `find_results` takes.
        annotations: the dataset.
        skip_unknown: count and leave out results of videos and categories that the dataset has not; they are an
            error if not.
        skip_bad: count and leave out whatever results are wrong, those too.

    Raises:
        InputError: nothing is there.
    """

    path: str | Path
    annotations: Annotations
    skip_unknown: bool = False
    skip_bad: bool = False
    warnings: Counter[str] = field(default_factory=Counter)  # what was left out or is unusual, and how often

    def __post_init__(self) -> None:
        self.files = find_results(str(self.path))
        self.problems = Problems(refuse=False)  # what was left out
        self.told: list[str] = []  # as `TrackFiles` has it
        self._videos = {video.id: video for video in self.annotations.videos}
        self._categories = frozenset(category.id for category in self.annotations.categories)

    def __iter__(self) -> Iterator[list[ResultTrack]]:
        """Yield the results of one video at a time, each in the file's order; the videos as they come first.

        Raises:
            InputError: something is not as it must be; the message names file, entry and field.
        """
        self.warnings.clear()
        self.problems = Problems(refuse=False)
        before: set[int] = set()
        for path in self.files:
            videos: set[int] = set()
            for tracks in self._read(_Part(path)):
                videos.add(tracks[0].video_id)
                yield tracks
            if videos & before:
                self.warnings["videos with results in more than one file, all of which count"] += len(videos & before)
            before |= videos

    def some(self, videos: set[int]) -> ResultFiles:
        """Return the results of some videos (ids) alone."""
        known = replace(self.annotations, videos=tuple(v for v in self.annotations.videos if v.id in videos))
        return ResultFiles(self.path, known, skip_unknown=True, skip_bad=self.skip_bad)

    def _read(self, part: _Part) -> Iterator[list[ResultTrack]]:
        results: dict[int, list[_Result]] = {}
        for i, given in enumerate(part.entries()):
            if (result := self._result(part, i, given)) is not None:
                results.setdefault(result.video.id, []).append(result)
        for video in list(results):
            if tracks := self._tracks(part, results.pop(video)):
                yield tracks

    def _result(self, part: _Part, index: int, given: msgspec.Raw) -> _Result | None:
        """Return an entry; None if it is left out."""
        try:
            entry = part.entry(given, index)
        except InputError as error:
            self._leave_out(part, "wrong entries", error)
            return None
        ids: list[int | None] = []
        for name, value, known in (
            ("video_id", entry.video_id, self._videos),
            ("category_id", entry.category_id, self._categories),
        ):
            ids.append(number := None if value is None else whole(value))
            if number is None or number not in known:
                unknown = InputError(
                    f"{part.name}: field [{index}].{name} is {short(value)}, which is none of the {len(known)} of "
                    f"{self.annotations.name}: is it of another split or numbering? --skip-unknown leaves it out"
                )
                if not self.skip_unknown and not self.skip_bad:
                    raise unknown
                self._count(part, f"results left out for a {name} that {self.annotations.name} does not have", unknown)
                return None
        assert ids[0] is not None and ids[1] is not None
        return _Result(index, self._videos[ids[0]], ids[1], entry.score, entry.segmentations)

    def _leave_out(self, part: _Part, what: str, error: InputError) -> None:
        """Count what is wrong.

        Raises:
            InputError: it is not to be left out.
        """
        if not self.skip_bad:
            raise InputError(f"{error}; {SKIP}") from error
        self._count(part, f"{what} left out", error)

    def _count(self, part: _Part, what: str, error: InputError) -> None:
        self.warnings[what] += 1
        rule = str(error).removeprefix(f"{part.name}: ").removesuffix(f": {REMEDY}")
        self.problems.mention(Problem(what, Path(part.name), rule, ""))

    def _tracks(self, part: _Part, chunk: list[_Result]) -> list[ResultTrack]:
        """Return the tracks of results of one video."""
        video = chunk[0].video
        found: dict[bytes, CheckedMasks | InputError] = {}  # by the masks' text
        texts: set[bytes] = set()
        given: list[tuple[bytes, int, list[Rle | None]]] = []
        for result in chunk:
            text = bytes(result.masks)
            if text not in texts:
                texts.add(text)
                try:
                    given.append((text, result.index, self._masks(part, result, video)))
                except InputError as error:
                    found[text] = error
        found |= self._checked(part, given, video)
        tracks = []
        seen: set[tuple[int, float, int]] = set()
        for result in chunk:
            masks = found[bytes(result.masks)]
            if isinstance(masks, InputError):
                self._leave_out(part, "results with wrong masks", masks)
                continue
            same = (result.category, result.score, id(masks))
            if same in seen:
                self.warnings["results that stand in the file more than once, all of which count"] += 1
            seen.add(same)
            if len(masks) != len(video.files):
                self.warnings["results with fewer or more masks than their video has frames"] += 1
            tracks.append(ResultTrack(video.id, result.category, result.score, masks))
        return tracks

    def _masks(self, part: _Part, result: _Result, video: Video) -> list[Rle | None]:
        """Return the masks of an entry."""
        masks = part.masks(result.masks, result.index)
        for t, mask in enumerate(masks):
            if isinstance(mask, list) and len(proper := proper_polygons(mask)) < len(mask):
                self.warnings["polygons of fewer than three corners, left out"] += len(mask) - len(proper)
                masks[t] = proper
        size = [video.height, video.width]
        place = f"[{result.index}].segmentations"
        return [_code(mask, size, part, f"{place}[{t}]") if mask else None for t, mask in enumerate(masks)]

    def _checked(
        self, part: _Part, given: list[tuple[bytes, int, list[Rle | None]]], video: Video
    ) -> dict[bytes, CheckedMasks | InputError]:
        """Return masks whose codes are sound, or what is wrong with them."""
        size = (video.height, video.width)
        try:
            checked = checked_masks([masks for _, _, masks in given], size)
        except DamagedMaskError as error:
            if self.skip_bad and len(given) > 1:
                return {text: found for one in given for text, found in self._checked(part, [one], video).items()}
            text, index, _ = given[error.track]
            rule = f"must be the run-length code of {size[0]} x {size[1]} pixels, and is damaged"
            damaged = part.error(f"[{index}].segmentations[{error.frame}].counts", rule)
            if not self.skip_bad:
                raise InputError(f"{damaged}; {SKIP}") from error
            return {text: damaged}
        return {text: masks for (text, _, _), masks in zip(given, checked, strict=True)}


class _Part:
    """One file of results."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._file = JsonFile(path, REMEDY)

    def error(self, name: str, rule: str) -> InputError:
        return self._file.error(name, rule)

    def entries(self) -> list[msgspec.Raw]:
        """Return the file's entries, unread."""
        data = unpacked(self._file.path) if zipfile.is_zipfile(self._file.path) else None
        return self._file.decode(list[msgspec.Raw], data)

    def entry(self, given: msgspec.Raw, index: int) -> _Entry:
        """Return an entry, with `video_id` and `segmentations` whatever its format calls them."""
        entry: _Entry = self._decoded(_ENTRY, given, f"[{index}]")
        if entry.video_id is None and entry.image_id is not None:
            entry.video_id = entry.image_id
            if bytes(entry.segmentation):
                entry.segmentations = msgspec.Raw(b"[" + bytes(entry.segmentation) + b"]")
        if bytes(entry.segmentations) in _NONE:
            self._see_masks(given, entry, index)
        if entry.video_id is None:
            raise self.error(f"[{index}].video_id", "is missing")
        return entry

    def _see_masks(self, given: msgspec.Raw, entry: _Entry, index: int) -> None:
        """See that an entry without masks is meant to have none."""
        boxes = _BOXES.decode(given)
        if bytes(boxes.bbox) or bytes(boxes.bboxes):
            rule = "is missing: the result is a box alone, and masks are compared; write the masks"
            raise self.error(f"[{index}].segmentations", rule)
        if not bytes(entry.segmentations):
            raise self.error(f"[{index}].segmentations", "is missing")

    def masks(self, given: msgspec.Raw, index: int) -> list[Any]:
        """Return what an entry says of each frame."""
        masks: list[Any] = self._decoded(_MASKS, given, f"[{index}].segmentations")
        return masks

    def _decoded(self, decoder: msgspec.json.Decoder[Any], data: Any, where: str) -> Any:
        try:
            return decoder.decode(data)
        except msgspec.ValidationError as error:
            raise self._file.misshapen(error, f"${where}") from error
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self.error(where, f"cannot be read ({error})") from error


def _code(mask: MaskCode | list[list[float]], size: list[int], part: _Part, where: str) -> Rle:
    """Return the run-length code of a mask in any of COCO's forms."""
    height, width = size
    try:
        if isinstance(mask, list):
            return from_polygons(mask, (height, width))
        if mask.size != (height, width):
            (h, w) = mask.size
            raise part.error(f"{where}.size", f"must be the video's {height} x {width}, not {h} x {w}")
        if isinstance(mask.counts, list):
            return from_runs(mask.counts, (height, width))
    except InputError:
        raise
    except ValueError as error:
        raise part.error(where, f"is wrong: {error}") from error
    return {"size": size, "counts": mask.counts.encode("utf-8", "surrogatepass")}
