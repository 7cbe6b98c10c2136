"""COCO's lists: results (`image_id`, `category_id`, `score`, `segmentation` or `bbox`) and annotations with images.

An image is a frame. Which one, `images` tell where there are some, in the same file or in another: `frame_id`,
`frame_index`, or their order by name. Else `image_id` counts the frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import msgspec

from ovvis.datasets.truth_masks import TruthMasks
from ovvis.detections.sheet import REMEDY, UNSCORED, MakeMask, Sheet, Thing, Video, first_number
from ovvis.errors import InputError
from ovvis.fields import JsonFile, Whole, short, whole
from ovvis.sources.listing import natural_key

UNKNOWN = "things of a category that nobody names, called by its number"
_NONE = (b"", b"null", b"[]", b"[[]]")


class _Entry(msgspec.Struct):
    image_id: Whole
    score: float | None = None
    category_id: Whole | None = None
    segmentation: msgspec.Raw = msgspec.Raw()
    bbox: list[float] | None = None
    embedding: list[float] | None = None
    category_name: str | None = None
    iscrowd: int | bool | None = None


class _Image(msgspec.Struct):
    id: Whole
    file_name: str | None = None
    height: Whole | None = None
    width: Whole | None = None
    video_id: Whole | None = None
    frame_id: Whole | None = None
    frame_index: Whole | None = None


class _Category(msgspec.Struct):
    id: Whole
    name: str


class _File(msgspec.Struct):
    images: list[_Image] | None = None
    categories: list[_Category] | None = None
    annotations: list[msgspec.Raw] | None = None


_ENTRY = msgspec.json.Decoder(_Entry)


@dataclass
class Listed:
    """What a file's lists say of images and categories."""

    frames: dict[int, int] | None = None  # of each image's id
    names: dict[int, str] = field(default_factory=dict)  # of each category's id


def read_coco(
    path: Path,
    video: Video,
    first: int | None = None,
    annotations: Path | None = None,
    categories: Mapping[int, str] | None = None,
) -> Sheet:
    """Read such a file.

    Args:
        path: a list of results, or an object with `images` and `annotations`.
        video: what is known of the video.
        first: the number of the first frame where images are not listed; None finds out.
        annotations: a file whose `images` and `categories` the results speak of.
        categories: names by category id, where no file has them.

    Raises:
        InputError: it is no such file, an entry is wrong, or which frame an image is cannot be told.
    """
    file = JsonFile(path, REMEDY)
    data = file.read()
    begin = bytes(data[:64]).lstrip(b"\xef\xbb\xbf \t\r\n")  # a byte-order mark, blanks
    listed = Listed(names=dict(categories or {}))
    prefix = ""
    if begin[:1] == b"{":
        root, prefix = file.decode(_File, data), "annotations"
        if root.annotations is None:
            raise InputError(f"{path} must be a list of results, or have a field annotations, and is neither: {REMEDY}")
        entries = root.annotations
        _take(listed, root, video, path)
    else:
        entries = file.decode(list[msgspec.Raw], data)
    if annotations is not None:
        _take(listed, JsonFile(annotations, REMEDY).decode(_File), video, annotations)
    sheet = Sheet(path, video.size)
    read = [(_entry(file, raw, f"{prefix}[{i}]"), f"{prefix}[{i}]") for i, raw in enumerate(entries)]
    frames = _frames(sheet, [entry for entry, _ in read], listed, video.count, first)
    unknown: Counter[str] = Counter()
    for entry, where in read:
        if entry.iscrowd:
            sheet.notes["regions of crowds, left out: they are no single things"] += 1
            continue
        image = whole(entry.image_id)
        if image is None or image not in frames:
            raise InputError(f"{path}: field {where}.image_id is {short(entry.image_id)}, which no image has: {REMEDY}")
        if entry.score is None:
            sheet.notes[UNSCORED] += 1
        label = entry.category_name or _label(entry, listed, unknown)
        embedding = None if entry.embedding is None else tuple(entry.embedding)
        score = 1.0 if entry.score is None else entry.score
        sheet.add(where, frames[image], Thing(_mask(sheet, entry, where), score, label, embedding))
    if unknown and (listed.names or len(unknown) > 1):
        sheet.notes[UNKNOWN] = unknown.total()
    return sheet


def _entry(file: JsonFile, raw: msgspec.Raw, where: str) -> _Entry:
    try:
        return _ENTRY.decode(raw)
    except msgspec.ValidationError as error:
        raise file.misshapen(error, f"${where}") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise file.error(where, f"cannot be read ({error})") from error


def _take(listed: Listed, root: _File, video: Video, path: Path) -> None:
    """Take what a file says of images and categories.

    Raises:
        InputError: its images are of several videos or of another size, or two are the same frame.
    """
    for category in root.categories or ():
        if (id := whole(category.id)) is not None:
            listed.names[id] = category.name
    if not root.images:
        return
    videos = {whole(image.video_id) for image in root.images if image.video_id is not None}
    if len(videos) > 1:
        raise InputError(f"{path} lists images of {len(videos)} videos: give the detections of one of them")
    for i, image in enumerate(root.images):
        stated = (image.height, image.width)
        if None not in stated and tuple(map(whole, stated)) != video.size:  # type: ignore[arg-type]
            raise InputError(
                f"{path}: field images[{i}] is {image.width} x {image.height} pixels where the video has "
                f"{video.size[1]} x {video.size[0]}: give the video that the detector saw"
            )
    ids = [whole(image.id) for image in root.images]
    if None in ids:
        raise InputError(f"{path}: field images[{ids.index(None)}].id must be a whole number: {REMEDY}")
    placed = _placed(root.images, video)
    if len(set(placed)) < len(placed) or len(set(ids)) < len(ids):
        raise InputError(f"{path} lists a frame or an image's id twice: {REMEDY}")
    listed.frames = dict(zip(ids, placed, strict=True))  # type: ignore[arg-type]


def _placed(images: list[_Image], video: Video) -> list[int]:
    """Return the frame of each image: as it says, or as its file is called, or by the order of the files' names."""
    given = [image.frame_id if image.frame_id is not None else image.frame_index for image in images]
    numbers = [whole(number) for number in given if number is not None]
    if len(numbers) == len(images) and None not in numbers:
        return [number for number in numbers if number is not None]
    names = [PurePosixPath((image.file_name or "").replace("\\", "/")) for image in images]
    if video.stems and all(name.stem in video.stems for name in names):
        return [video.stems[name.stem] for name in names]
    ordered = sorted(range(len(names)), key=lambda i: (natural_key(Path(names[i])), whole(images[i].id) or 0))
    return [place for _, place in sorted((i, place) for place, i in enumerate(ordered))]


def _frames(
    sheet: Sheet, entries: list[_Entry], listed: Listed, count: int | None, first: int | None
) -> dict[int, int]:
    """Return the number of each image's frame, from 0."""
    if listed.frames is not None:
        base = min(listed.frames.values(), default=0)
        shift = first if first is not None else (1 if base == 1 and len(listed.frames) == count else 0)
        if shift:
            sheet.notes["frames that the file counts from 1"] = len(listed.frames)
        return {image: frame - shift for image, frame in listed.frames.items()}
    ids = {number for entry in entries if (number := whole(entry.image_id)) is not None}
    base = first_number(ids, count, first, sheet.path, "image_id")
    if base and first is None:
        sheet.notes["frames that image_id counts from 1, since the last is the video's number of frames"] = len(ids)
    return {id: id - base for id in ids}


def _label(entry: _Entry, listed: Listed, unknown: Counter[str]) -> str:
    if entry.category_id is None:
        return ""
    id = whole(entry.category_id)
    if id is not None and id in listed.names:
        return listed.names[id]
    label = f"category {entry.category_id}"
    unknown[label] += 1
    return label


def _mask(sheet: Sheet, entry: _Entry, where: str) -> MakeMask:
    """Return what makes an entry's mask."""
    if bytes(entry.segmentation) not in _NONE:
        codes = TruthMasks(entry.segmentation, sheet.size, sheet.path, where)
        return sheet.mask(lambda: codes[0])
    if entry.bbox is None or len(entry.bbox) != 4:
        raise InputError(f"{sheet.path}: field {where} must have a segmentation or a bbox of four numbers: {REMEDY}")
    return sheet.box(f"field {where}.bbox", *entry.bbox)
