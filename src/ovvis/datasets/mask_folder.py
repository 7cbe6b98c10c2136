"""A folder of frames and a folder of masks, such as DAVIS, as a YouTube-VIS JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec

from ovvis import masks
from ovvis.datasets.mask_image import Form
from ovvis.datasets.mask_layout import Sequence, find_layout, mask_folders, natural
from ovvis.datasets.mask_study import Codes, Encoding
from ovvis.datasets.mask_values import ENCODINGS, Objects, drop_void, read_objects, rgb, split_classes
from ovvis.errors import InputError, OvvisError, nearest
from ovvis.fields import JsonFile
from ovvis.files.output import make_way, whole_file
from ovvis.paths import user_path
from ovvis.sources.image_file import open_image, upright_size

FRAME_FOLDERS = ("JPEGImages", "frames", "images", "rgb")
MASK_FOLDERS = ("Annotations", "masks", "labels", "annotations")
OBJECT = "object"

Advance = Callable[[int, int], object]  # what is done, and how much there is
Names = Mapping[str, str | Mapping[str, str]]  # by id, or by sequence and id


@dataclass(frozen=True, slots=True)
class MaskFolder:
    """Frames and masks that belong together: `frames/SEQUENCE/00001.jpg` and `masks/SEQUENCE/00001.png`.

    `mask_layout` says which other names masks may have.
    """

    frames: Path
    masks: Path
    sequences: tuple[str, ...]  # folders of masks, in order; "." if the files lie in the two folders themselves

    @classmethod
    def find(cls, folder: Path, frames: Path | None = None, masks: Path | None = None) -> MaskFolder:
        """Find the frames and masks of a folder.

        Args:
            folder: holds both.
            frames: the folder of frames; None: one of `FRAME_FOLDERS`.
            masks: the folder of masks; None: one of `MASK_FOLDERS`.

        Raises:
            InputError: one of them is not there, or there is no mask.
        """
        folder = user_path(folder)
        if not folder.is_dir():
            raise InputError(f"{folder} must be a folder with frames and masks, and is not: check the path")
        frames = _below(folder, frames, FRAME_FOLDERS, "frames", "--frames")
        masks = _below(folder, masks, MASK_FOLDERS, "masks", "--masks")
        inside = mask_folders(masks)
        if not inside:
            raise InputError(f"{masks} must hold masks as images, and holds none: name their folder with --masks")
        return cls(frames, masks, inside)


@dataclass
class Converted:
    """What was written."""

    names: tuple[str, ...]
    videos: int = 0
    frames: int = 0
    tracks: int = 0
    warnings: list[str] = field(default_factory=list)


def read_names(path: Path) -> Names:
    """Read names by id, or by sequence and id.

    Raises:
        InputError: the file is no such JSON.
    """
    file = JsonFile(user_path(path), 'write {"1": "dog", "2": "person"}, or such an object for each sequence')
    return file.decode(dict[str, str | dict[str, str]])


def convert_masks(
    source: MaskFolder,
    target: Path,
    names: Names | None = None,
    void: int | None = None,
    advance: Advance | None = None,
    encoding: str | None = None,
    *,
    overwrite: bool = True,
) -> Converted:
    """Write a YouTube-VIS JSON. An instance is one value (or colour) over all masks of a sequence; 0 is background.

    Or it is one file or folder, where each object has its own (`mask_layout`). Frames without a mask are left out:
    nobody has said what is in them. What is dropped, split or guessed is said in `Converted.warnings`.

    Args:
        source: the frames and masks.
        target: the JSON; file names in it are below `source.frames`.
        names: categories; None: all are "object".
        void: the value of pixels that count as background; 0: none. None: 255 beside small ids in masks of 8 bits,
            65535 in wider ones.
        advance: is told how many masks are done, and how many there are.
        encoding: what values are: "ids", each as it is; "class-id", class * 1000 + instance as in Cityscapes and KITTI
            MOTS; "colours", one for each instance; "step", a class in red and an instance in green and blue as in
            KITTI STEP. None finds out, and refuses what may be several.
        overwrite: whether an older file may be replaced.

    Raises:
        InputError: a mask cannot be read, has another size than its frame, has no frame, or holds what are no ids; an
            id has no name; `target` cannot be written.
        ResourceError: the disk is full.
    """
    target = user_path(target)
    if not target.absolute().parent.is_dir():
        raise InputError(f"{target.absolute().parent} does not exist: make the folder, or choose another place")
    if target.is_dir():
        raise InputError(f"{target} must be a JSON file to write, and is a folder: add a file's name")
    make_way(target, overwrite)
    if encoding is not None and encoding not in ENCODINGS:
        raise InputError(f"encoding {encoding!r}: {nearest(str(encoding), ENCODINGS)}")
    kind_of_values = cast("Encoding | None", encoding)
    layout = find_layout(source.frames, source.masks, source.sequences)
    done = Converted((), warnings=layout.warnings)
    total = sum(len(sequence.masks) for sequence in layout.sequences)
    read: list[tuple[str, Objects]] = []
    named: dict[str, list[str]] = {}  # sequences with a file for each object: the objects
    for sequence in layout.sequences:
        tell = _progress(advance, done.frames, total)
        if set(sequence.masks[0]) == {""} and all(len(files) == 1 for files in sequence.masks):
            objects = _all_in_one(sequence, kind_of_values, tell)
        else:
            objects, named[sequence.name] = _one_each(sequence, tell)
        done.warnings += [f"{sequence.name}: {note}" for note in objects.notes]
        done.frames += len(sequence.masks)
        read.append((sequence.name, objects))
    plain = [(name, objects) for name, objects in read if name not in named]
    kind, said = split_classes(plain, kind_of_values)
    done.warnings += said
    if encoding in (None, "ids", "colours") or void is not None:
        done.warnings += drop_void(plain, void)
    videos, annotations, categories = _records(source, layout.sequences, read, named, names, kind, done)
    root = {
        "info": {"description": f"made by ovvis datasets convert from {source.masks.name}"},
        "videos": videos,
        "categories": [{"id": id, "name": name} for name, id in categories.items()],
        "annotations": annotations,
    }
    try:
        with whole_file(target, overwrite=overwrite) as partial:
            partial.write_bytes(msgspec.json.encode(root))
    except OvvisError:
        raise
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}): choose another place") from error
    done.names, done.videos, done.tracks = tuple(categories), len(videos), len(annotations)
    return done


def _records(
    source: MaskFolder,
    sequences: list[Sequence],
    read: list[tuple[str, Objects]],
    named: Mapping[str, list[str]],
    names: Names | None,
    kind: Callable[[int], int | None],
    done: Converted,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, int]]:
    """Return the JSON's videos and annotations, and its categories' ids by name."""
    categories: dict[str, int] = {}
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for sequence, (_, objects) in zip(sequences, read, strict=True):
        if sequence.unmasked:
            done.warnings.append(f"{sequence.name}: {sequence.unmasked} frames have no mask and are left out")
        if not objects.codes:
            done.warnings.append(f"{sequence.name}: its masks are all background")
        video = {
            "id": len(videos) + 1,
            "height": objects.size[0],
            "width": objects.size[1],
            "length": len(sequence.frames),
            "file_names": [frame.relative_to(source.frames).as_posix() for frame in sequence.frames],
        }
        videos.append(video)
        for value, codes in sorted(objects.codes.items()):
            if sequence.name in named:
                name = _name(names, sequence.name, [named[sequence.name][value - 1]])
            else:
                shown = [rgb(value)] if objects.form is Form.COLOUR else []
                keys = [*shown, *(str(v) for v in (value, kind(value)) if v is not None)]
                name = _name(names, sequence.name, keys)
            category = categories.setdefault(name, len(categories) + 1)
            annotations.append(_annotation(len(annotations) + 1, video, category, codes))
    return videos, annotations, categories


def _progress(advance: Advance | None, before: int, total: int) -> Callable[[int], object]:
    return lambda done: advance and advance(before + done, total)


def _all_in_one(sequence: Sequence, encoding: Encoding | None, tell: Callable[[int], object]) -> Objects:
    """Return the objects of a sequence whose masks hold all of a frame's."""

    def step(i: int, size: tuple[int, int]) -> None:
        _check_frame(sequence.frames[i], paths[i], size)
        tell(i + 1)

    paths = [files[""] for files in sequence.masks]
    return read_objects(paths, encoding, step)


def _one_each(sequence: Sequence, tell: Callable[[int], object]) -> tuple[Objects, list[str]]:
    """Return the objects of a sequence with a mask for each, numbered from 1, and their names in that order.

    Raises:
        InputError: a mask holds several values.
    """
    keys = natural(list({key: None for files in sequence.masks for key in files}))
    out = Objects(Form.INDEX, (0, 0), {})
    for number, key in enumerate(keys, 1):
        places = [i for i, files in enumerate(sequence.masks) if key in files]
        paths = [sequence.masks[i][key] for i in places]

        def step(i: int, size: tuple[int, int], paths: list[Path] = paths, places: list[int] = places) -> None:
            _check_frame(sequence.frames[places[i]], paths[i], size)

        found = read_objects(paths, None, step)
        if len(found.codes) > 1:
            shown = ", ".join(map(str, sorted(found.codes)[:4]))
            raise InputError(
                f"{paths[0]} and others of {key!r} hold {shown} where each is one object's: give each its own"
            )
        if out.size not in ((0, 0), found.size):
            raise InputError(f"{paths[0]} has another size than the masks of other objects: make them one size")
        out.size = found.size
        out.notes += [f"{key}: {note}" for note in found.notes]
        codes: Codes = [None] * len(sequence.masks)
        for only in found.codes.values():
            for place, code in zip(places, only, strict=True):
                codes[place] = code
        if any(codes):
            out.codes[number] = codes
        else:
            out.notes.append(f"{key}: its masks are all background")
        tell(len(sequence.masks) * number // len(keys))
    return out, keys


def _check_frame(frame: Path, mask: Path, size: tuple[int, int]) -> None:
    """Refuse a mask of another size than its frame."""
    with open_image(frame) as image:
        height, width = upright_size(image)
    if (height, width) != size:
        raise InputError(
            f"{mask} is {size[0]} x {size[1]} where its frame is {height} x {width}: give the frames that the masks "
            "were made of, or resize the masks without interpolation (nearest)"
        )


def _below(folder: Path, chosen: Path | None, names: tuple[str, ...], what: str, option: str) -> Path:
    if chosen is not None:
        chosen = user_path(chosen)
        if not chosen.is_dir():
            raise InputError(f"{option} {chosen} must be a folder, and is not: check the path")
        return chosen
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise InputError(f"{folder} must hold a folder of {what} ({', '.join(names)}), and does not: name it with {option}")


def _name(names: Names | None, sequence: str, keys: list[str]) -> str:
    """Return the category of an instance, by the first of its keys that has a name."""
    if names is None:
        return OBJECT
    own = names.get(sequence, names.get(Path(sequence).name, names))
    given = {key: name for key, name in own.items() if isinstance(name, str)} if not isinstance(own, str) else {}
    for key in keys:
        if key in given:
            return given[key]
    raise InputError(
        f"--names has no name for id {keys[-1]} of sequence {sequence}: add one; {nearest(keys[-1], sorted(given))}"
    )


def _annotation(id: int, video: dict[str, Any], category: int, codes: Codes) -> dict[str, Any]:
    return {
        "id": id,
        "video_id": video["id"],
        "category_id": category,
        "iscrowd": 0,
        "height": video["height"],
        "width": video["width"],
        "length": video["length"],
        "segmentations": [code and {"size": code["size"], "counts": code["counts"].decode("ascii")} for code in codes],
        "bboxes": [code and masks.box(code) for code in codes],
        "areas": [code and masks.area(code) for code in codes],
    }
