"""Results as a JSON file: each track is an entry of a YouTube-VIS results file with a few fields more."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

import msgspec

from ovvis import masks
from ovvis.fields import JsonFile, short
from ovvis.masks import Rle
from ovvis.outputs.chosen import Chosen
from ovvis.outputs.formats.masks_in_file import MasksInFile, is_large, root_without_masks
from ovvis.outputs.read_back import ReadVideo, frame_files
from ovvis.paths import user_path
from ovvis.structures import Track, VideoResult

TRACKS = "tracks.json"  # what the file is called in a folder of results
FORMAT = "ovvis-tracks"
VERSION = 1


def save_tracks(result: VideoResult, path: str | PathLike[str]) -> None:
    """Write a result as JSON, one mask at a time, so that a long video never lies in memory.

    `[{k: t[k] for k in ("video_id", "category_id", "score", "segmentations")} for t in file["tracks"]]` is a
    YouTube-VIS results file: `category_id` is the label's position in `vocabulary`, counted from 1.

    Args:
        result: what to write. Values of `settings` that JSON does not know are written as text.
        path: the file; its folder must exist. Write into an `OutputFolder` to never leave half a file.

    Raises:
        ValueError: if a number is infinite or not a number.
    """
    head = {
        "format": FORMAT,
        "version": VERSION,
        "video": {
            "source": result.source,
            "height": int(result.height),
            "width": int(result.width),
            "pixel_aspect": [result.pixel_aspect.numerator, result.pixel_aspect.denominator],
            "fps": float(result.fps),
            "frames": [int(i) for i in result.frame_indices],
            "times": [float(t) for t in result.frame_times],
            **({"opened_as": result.opened_as} if result.opened_as else {}),
        },
        "vocabulary": list(result.labels),
        "settings": result.settings,
        "seconds": {stage: float(s) for stage, s in result.seconds.items()},
        "problem": result.problem,
        "notes": list(result.notes),
    }
    with user_path(path).open("w", encoding="ascii") as file:
        file.write("{\n")
        for key, value in head.items():
            file.write(f"{_json(key)}: {_json(value)},\n")
        file.write('"tracks": [')
        for i, track in enumerate(result.tracks):
            file.write("\n" if i == 0 else ",\n")
            _write_track(track, file)
        file.write("\n]\n}\n")


def _write_track(track: Track, file: TextIO) -> None:
    head = {
        "video_id": 1,
        "category_id": int(track.label_index) + 1,
        "score": float(track.score),
        "id": int(track.id),
        "label": track.label,
        "labels": [[label, float(score)] for label, score in track.top_labels],
    }
    boxes: list[tuple[float, ...] | None] = []
    areas: list[int | None] = []

    def measured() -> Iterator[Rle | None]:
        for mask in track.masks:
            boxes.append(None if mask is None else masks.box(mask))
            areas.append(None if mask is None else masks.area(mask))
            yield mask

    file.write(_json(head)[:-1] + ', "segmentations": ')
    write_segmentations(measured(), file)
    file.write(f', "boxes": {_json(boxes)}, "areas": {_json(areas)}}}')


def write_segmentations(masks: Iterable[Rle | None], file: TextIO) -> None:
    """Write masks as the list that `segmentations` of a YouTube-VIS results file is, one mask at a time."""
    file.write("[")
    for i, mask in enumerate(masks):
        file.write((", " if i else "") + _json(None if mask is None else written_mask(mask)))
    file.write("]")


def written_mask(mask: Rle) -> dict[str, Any]:
    """Return a mask as JSON has it: its counts as text."""
    return {"size": list(mask["size"]), "counts": mask["counts"].decode("ascii")}


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, default=str)


def write(chosen: Chosen, target: Path) -> None:
    """Write what was chosen as such a file."""
    save_tracks(replace(chosen.result, tracks=list(chosen.each_track()), storage=None), target)


def read(path: Path) -> list[ReadVideo]:
    """Read such a file, or a folder that holds one."""
    result = load_tracks(path / TRACKS if path.is_dir() else path)
    name = PurePosixPath(result.source.replace("\\", "/")).stem or "video"
    return [ReadVideo(result, frame_files(name, result.frame_indices))]


def load_tracks(path: str | PathLike[str]) -> VideoResult:
    """Read a result that `save_tracks` wrote.

    Its masks are lists in memory; those of a file of 256 MiB or more stay in it, which must not be changed in place
    meanwhile, and each is read when it is asked for.

    Raises:
        InputError: if the file cannot be read or is not such a file; the message names the field. Of masks that stay in
            the file damage is told when they are asked for.
    """
    return _Reader(user_path(path)).result()


class _Reader:
    """Turns the JSON into records; each value is asked for under its name, so that an error can tell it."""

    def __init__(self, path: Path):
        self._file = JsonFile(path, "write the file again with this version of ovvis")
        self._get, self._all, self._error = self._file.get, self._file.all, self._file.error

    def result(self) -> VideoResult:
        root = root_without_masks(self._file) if is_large(self._file.path) else self._file.parse_object()
        if root.get("format") != FORMAT:
            raise self._error("format", f"must be {FORMAT!r}, not {short(root.get('format'))}")
        if root.get("version") != VERSION:
            raise self._error("version", f"must be {VERSION}, not {short(root.get('version'))}")
        video = self._get(root, "video", dict)
        frames = self._all(video, "frames", int, "video.")
        times = self._all(video, "times", (int, float), "video.")
        if len(times) != len(frames):
            raise self._error("video.times", f"must have one entry for each of the {len(frames)} frames")
        seconds = self._get(root, "seconds", dict)
        result = VideoResult(
            tracks=[],
            source=self._get(video, "source", str, "video."),
            height=self._get(video, "height", int, "video."),
            width=self._get(video, "width", int, "video."),
            fps=float(self._get(video, "fps", (int, float), "video.")),
            frame_indices=frames,
            frame_times=[float(t) for t in times],
            labels=tuple(self._all(root, "vocabulary", str)),
            settings=self._get(root, "settings", dict),
            seconds={stage: float(self._get(seconds, stage, (int, float), "seconds.")) for stage in seconds},
            problem=self._get(root, "problem", (str, type(None))),
            pixel_aspect=self._aspect(video),
            notes=self._all(root, "notes", str) if "notes" in root else [],
            opened_as=self._get(video, "opened_as", dict, "video.") if "opened_as" in video else {},
        )
        tube_masks: dict[int, Sequence[Rle | None]] = {}
        for i, entry in enumerate(self._all(root, "tracks", dict)):
            result.tracks.append(self._track(entry, f"tracks[{i}].", result, tube_masks))
        return result

    def _aspect(self, video: dict[str, Any]) -> Fraction:
        if "pixel_aspect" not in video:  # files of versions that knew square pixels alone
            return Fraction(1)
        terms = self._all(video, "pixel_aspect", int, "video.")
        if len(terms) != 2 or min(terms) < 1:
            raise self._error("video.pixel_aspect", "must be two whole numbers, 1 or more: a pixel's width and height")
        return Fraction(*terms)

    def _track(self, entry: Any, where: str, result: VideoResult, tube_masks: dict[int, Sequence[Rle | None]]) -> Track:
        index = self._get(entry, "category_id", int, where) - 1
        if not 0 <= index < len(result.labels):
            rule = f"must be a label's position in the vocabulary, 1 to {len(result.labels)}, not {index + 1}"
            raise self._error(f"{where}category_id", rule)
        label = self._get(entry, "label", str, where)
        if label != result.labels[index]:
            rule = f"must be the vocabulary's label {index + 1}, {short(result.labels[index])}, not {short(label)}"
            raise self._error(f"{where}label", rule)
        id = self._get(entry, "id", int, where)
        found = self._masks(entry, where, [result.height, result.width])
        if len(found) != len(result.frame_indices):
            rule = f"must have one entry for each of the {len(result.frame_indices)} frames"
            raise self._error(f"{where}segmentations", rule)
        if isinstance(found, list) and tube_masks.get(id) != found:
            self._see(found, f"{where}segmentations", [result.height, result.width])
        # The labels of one tube share its masks in memory, as they did before they were written.
        shared = tube_masks.setdefault(id, found)
        return Track(
            id=id,
            label=label,
            label_index=index,
            score=float(self._get(entry, "score", (int, float), where)),
            top_labels=tuple(
                self._named_score(pair, f"{where}labels[{i}]")
                for i, pair in enumerate(self._all(entry, "labels", list, where))
            ),
            masks=shared if shared == found else found,
            size=(result.height, result.width),
        )

    def _masks(self, entry: dict[str, Any], where: str, size: list[int]) -> Sequence[Rle | None]:
        given = entry.get("segmentations")
        if isinstance(given, msgspec.Raw):
            return MasksInFile(self._file, f"{where}segmentations", given, size)
        listed = self._all(entry, "segmentations", (dict, type(None)), where)
        return [self._mask(mask, f"{where}segmentations[{i}].", size) for i, mask in enumerate(listed)]

    def _see(self, found: list[Rle | None], where: str, size: list[int]) -> None:
        """Refuse codes that are none of a frame's pixels: whatever decodes them trusts them."""
        coded = [(i, mask["counts"]) for i, mask in enumerate(found) if mask is not None]
        bad = masks.unsound([code for _, code in coded], size[0] * size[1])
        if bad is not None:
            rule = f"must be the run-length code of {size[0]} x {size[1]} pixels, and is damaged"
            raise self._error(f"{where}[{coded[bad][0]}].counts", rule)

    def _mask(self, value: Any, where: str, size: list[int]) -> Rle | None:
        if value is None:
            return None
        if self._all(value, "size", int, where) != size:
            raise self._error(f"{where}size", f"must be the video's, {size}, not {short(value['size'])}")
        counts: str = self._get(value, "counts", str, where)
        if not counts.isascii():
            raise self._error(f"{where}counts", "must be ASCII")
        return {"size": size.copy(), "counts": counts.encode("ascii")}

    def _named_score(self, pair: Any, where: str) -> tuple[str, float]:
        match pair:
            case [str() as name, int() | float() as score] if not isinstance(score, bool):
                return name, float(score)
        raise self._error(where, f"must be [label, score], not {short(pair)}")
