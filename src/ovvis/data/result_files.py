"""Reads what a model found in a dataset: results in the format of YouTube-VIS' servers, or of COCO's for images.

A file is cut into its entries first, without looking at their masks, and these are read video by video: the memory is
the file's size and little more. Models give one tube under several labels, so masks that are the same text within a
video are read once.
"""

from __future__ import annotations

import glob
import json
import math
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ovvis.borders import DamagedMaskError, checked_masks
from ovvis.data.annotations import Annotations, Video
from ovvis.data.truth_masks import MaskCode
from ovvis.errors import InputError
from ovvis.evaluation.records import ResultTrack
from ovvis.fields import JsonFile, short
from ovvis.masks import Rle, from_polygons, from_runs
from ovvis.paths import user_path

RESULTS = "results.json"  # in a submission's archive, and in a folder of results
PARTS = "results"  # the folder of one file for each video
REMEDY = "write results as a list of {video_id, category_id, score, segmentations}, one mask a frame"


class _Entry(msgspec.Struct):
    """An entry whose masks are not looked at yet."""

    category_id: int
    score: float
    video_id: int | None = None
    image_id: int | None = None  # COCO's results
    segmentations: msgspec.Raw = msgspec.Raw()
    segmentation: msgspec.Raw = msgspec.Raw()


_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
_ENTRY = msgspec.json.Decoder(_Entry)
_MASKS = msgspec.json.Decoder(list[MaskCode | list[list[float]] | None])


@dataclass
class ResultFiles:
    """Results of a dataset's videos, in one or many files.

    Args:
        path: a JSON file, a zip that holds one, a folder with `results.json` or with a file for each video (in it, or
            below `results`), or a glob.
        annotations: the dataset.
        skip_unknown: count and leave out results of videos and categories that the dataset has not; they are an
            error if not.

    Raises:
        InputError: nothing is there.
    """

    path: str | Path
    annotations: Annotations
    skip_unknown: bool = False
    warnings: Counter[str] = field(default_factory=Counter)  # what was left out or is unusual, and how often

    def __post_init__(self) -> None:
        self.files = _find(str(self.path))
        self._videos = {video.id: video for video in self.annotations.videos}
        self._categories = frozenset(category.id for category in self.annotations.categories)

    def __iter__(self) -> Iterator[list[ResultTrack]]:
        """Yield the results of one video at a time, each in the file's order; the videos as they come first.

        Raises:
            InputError: something is not as it must be; the message names file, entry and field.
        """
        self.warnings.clear()
        before: set[int] = set()
        for path in self.files:
            videos: set[int] = set()
            for tracks in self._read(_Part(path)):
                videos.add(tracks[0].video_id)
                yield tracks
            if videos & before:
                self.warnings["videos with results in more than one file, all of which count"] += len(videos & before)
            before |= videos

    def _read(self, part: _Part) -> Iterator[list[ResultTrack]]:
        entries: dict[int | None, list[tuple[int, _Entry]]] = {}
        for i, given in enumerate(part.entries()):
            entry = part.entry(given, i)
            if self._is_known(part, i, entry):
                entries.setdefault(entry.video_id, []).append((i, entry))
        for video in list(entries):
            yield self._tracks(part, entries.pop(video))

    def _is_known(self, part: _Part, index: int, entry: _Entry) -> bool:
        for name, value, known in (
            ("video_id", entry.video_id, self._videos),
            ("category_id", entry.category_id, self._categories),
        ):
            if value not in known:
                if not self.skip_unknown:
                    raise InputError(
                        f"{part.name}: field [{index}].{name} is {value}, which is none of the {len(known)} of "
                        f"{self.annotations.name}: is it of another split or numbering? --skip-unknown leaves it out"
                    )
                self.warnings[f"results left out for a {name} that {self.annotations.name} does not have"] += 1
                return False
        return True

    def _tracks(self, part: _Part, chunk: list[tuple[int, _Entry]]) -> list[ResultTrack]:
        """Return the tracks of entries of one video."""
        video = self._videos[chunk[0][1].video_id or 0]
        place: dict[bytes, int] = {}  # of each text among those that differ
        given: list[list[Rle | None]] = []
        entries: list[int] = []
        for i, entry in chunk:
            if place.setdefault(bytes(entry.segmentations), len(given)) == len(given):
                given.append(self._masks(part, i, entry, video))
                entries.append(i)
        try:
            known = checked_masks(given, (video.height, video.width))
        except DamagedMaskError as error:
            rule = f"must be the run-length code of {video.height} x {video.width} pixels, and is damaged"
            raise part.error(f"[{entries[error.track]}].segmentations[{error.frame}].counts", rule) from error
        tracks = []
        seen: set[tuple[int, float, int]] = set()
        for _, entry in chunk:
            same = (entry.category_id, entry.score, place[bytes(entry.segmentations)])
            if same in seen:
                self.warnings["results that stand in the file more than once, all of which count"] += 1
            seen.add(same)
            masks = known[place[bytes(entry.segmentations)]]
            if len(masks) != len(video.files):
                self.warnings["results with fewer or more masks than their video has frames"] += 1
            tracks.append(ResultTrack(video.id, entry.category_id, entry.score, masks))
        return tracks

    def _masks(self, part: _Part, index: int, entry: _Entry, video: Video) -> list[Rle | None]:
        """Return the masks of an entry."""
        given = part.masks(entry.segmentations, index)
        size = [video.height, video.width]
        place = f"[{index}].segmentations"
        return [_code(mask, size, part, f"{place}[{t}]") if mask else None for t, mask in enumerate(given)]


class _Part:
    """One file of results."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._file = JsonFile(path, REMEDY)

    def error(self, name: str, rule: str) -> InputError:
        return self._file.error(name, rule)

    def entries(self) -> Sequence[Any]:
        """Return the file's entries, unread where that goes."""
        data = _archived(self._file.path) if zipfile.is_zipfile(self._file.path) else self._file.read()
        try:
            return _ENTRIES.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
        root = self._file.parse_bytes(data)  # says where a damaged file is damaged
        if not isinstance(root, list):
            raise InputError(f"{self.name} must hold a list of results, not {short(root)}: {REMEDY}")
        return root

    def entry(self, given: Any, index: int) -> _Entry:
        """Return an entry, with `video_id` and `segmentations` whatever its format calls them."""
        if not isinstance(given, msgspec.Raw):  # of a file that is not quite JSON, such as one with NaN
            fields = self._file.checked(given, f"[{index}]", dict)
            self._file.get(fields, "score", (int, float), f"[{index}].")
            given = json.dumps({name: fields[name] for name in _Entry.__struct_fields__ if name in fields})
        entry: _Entry = self._decoded(_ENTRY, given, f"[{index}]")
        if not math.isfinite(entry.score):
            raise self.error(f"[{index}].score", "must be a finite number")
        if entry.video_id is None and entry.image_id is not None and bytes(entry.segmentation):
            entry.video_id = entry.image_id
            entry.segmentations = msgspec.Raw(b"[" + bytes(entry.segmentation) + b"]")
        if entry.video_id is None:
            raise self.error(f"[{index}].video_id", "is missing")
        if not bytes(entry.segmentations):
            raise self.error(f"[{index}].segmentations", "is missing")
        return entry

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


def _find(path: str) -> list[Path]:
    """Return the files that a path stands for."""
    given = user_path(path)
    if given.is_file():
        return [given]
    if given.is_dir():
        if (given / RESULTS).is_file():
            return [given / RESULTS]
        folder = given / PARTS if (given / PARTS).is_dir() else given
        files = sorted(folder.glob("*.json"))
        if not files:
            raise InputError(f"{path}: the folder holds no results; give {RESULTS}, a zip of it, or a folder of files")
        return files
    found = sorted(Path(name) for name in glob.glob(str(given), recursive=True))  # noqa: PTH207
    if not found:
        raise InputError(f"{path}: no such file, folder or pattern of results; check the path")
    return found


def _archived(path: Path) -> bytes:
    """Return the results in an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".json")]
            names = [name for name in names if Path(name).name == RESULTS] or names
            if len(names) != 1:
                raise InputError(f"{path} must hold one {RESULTS}, not {len(names)} JSON files: pack it anew")
            return archive.read(names[0])
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as a zip ({error}): pack it anew") from error
    except Exception as error:
        if type(error).__module__ != "zlib":
            raise
        raise InputError(f"{path} is damaged ({error}): pack it anew") from error


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
