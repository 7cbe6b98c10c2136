"""A folder of frames and a folder of PNG masks, such as DAVIS, as a YouTube-VIS JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovvis import masks
from ovvis.errors import InputError, nearest
from ovvis.fields import JsonFile
from ovvis.io.frames import IMAGE_SUFFIXES, natural_key
from ovvis.io.output import whole_file
from ovvis.paths import user_path

FRAME_FOLDERS = ("JPEGImages", "frames", "images", "rgb")
MASK_FOLDERS = ("Annotations", "masks", "labels", "annotations")
VOID = 255
OBJECT = "object"

Advance = Callable[[int, int], object]  # what is done, and how much there is
Names = Mapping[str, str | Mapping[str, str]]  # by id, or by sequence and id


@dataclass(frozen=True, slots=True)
class MaskFolder:
    """Frames and masks that belong together: `frames/SEQUENCE/00001.jpg` and `masks/SEQUENCE/00001.png`."""

    frames: Path
    masks: Path
    sequences: tuple[str, ...]  # folders below both, in order; "." if the files lie in the two folders themselves

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
        inside = {path.parent.relative_to(masks).as_posix() for path in masks.rglob("*.[pP][nN][gG]")}
        if not inside:
            raise InputError(f"{masks} must hold PNG masks, and holds none: name their folder with --masks")
        sequences = tuple(sorted(inside, key=lambda name: natural_key(Path(name))))
        return cls(frames, masks, sequences)


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
) -> Converted:
    """Write a YouTube-VIS JSON. An instance is one pixel value over all masks of a sequence; 0 is background.

    Frames without a mask are left out: nobody has said what is in them.

    Args:
        source: the frames and masks.
        target: the JSON; file names in it are below `source.frames`.
        names: categories; None: all are "object".
        void: the value of pixels that count as background; None: 255, unless it is the only one besides 0 in a
            sequence: then it is the instance (DAVIS 2016).
        advance: is told how many masks are done, and how many there are.

    Raises:
        InputError: a mask is no palette or grey image, is of another size than the first of its sequence, or has
            no frame; an id has no name; `target` cannot be written.
        ResourceError: the disk is full.
    """
    target = user_path(target)
    if not target.absolute().parent.is_dir():
        raise InputError(f"{target.absolute().parent} does not exist: make the folder, or choose another place")
    if target.is_dir():
        raise InputError(f"{target} must be a JSON file to write, and is a folder: add a file's name")
    files = {sequence: _pairs(source, sequence) for sequence in source.sequences}
    total = sum(len(pairs) for pairs, _ in files.values())
    categories: dict[str, int] = {}
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    done = Converted(())
    for sequence, (pairs, unmasked) in files.items():
        tracks, size = _tracks([mask for _, mask in pairs], void, lambda n: advance and advance(done.frames + n, total))
        done.frames += len(pairs)
        if unmasked:
            done.warnings.append(f"{sequence}: {unmasked} frames have no mask and are left out")
        if not tracks:
            done.warnings.append(f"{sequence}: its masks are all background")
        video = {
            "id": len(videos) + 1,
            "height": size[0],
            "width": size[1],
            "length": len(pairs),
            "file_names": [frame.relative_to(source.frames).as_posix() for frame, _ in pairs],
        }
        videos.append(video)
        for value, codes in tracks.items():
            name = _name(names, sequence, value)
            category = categories.setdefault(name, len(categories) + 1)
            annotations.append(_annotation(len(annotations) + 1, video, category, codes))
    root = {
        "info": {"description": f"made by ovvis datasets convert from {source.masks.name}"},
        "videos": videos,
        "categories": [{"id": id, "name": name} for name, id in categories.items()],
        "annotations": annotations,
    }
    try:
        with whole_file(target) as partial:
            partial.write_bytes(msgspec.json.encode(root))
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}): choose another place") from error
    done.names, done.videos, done.tracks = tuple(categories), len(videos), len(annotations)
    return done


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


def _pairs(source: MaskFolder, sequence: str) -> tuple[list[tuple[Path, Path]], int]:
    """Return the frames of a sequence with their masks, in order, and how many frames have none."""
    frames = _images(source.frames / sequence, IMAGE_SUFFIXES)
    found = _images(source.masks / sequence, (".png",))
    for stem, path in found.items():
        if stem not in frames:
            raise InputError(
                f"{path} must have a frame of the same name in {source.frames / sequence}, and has none: "
                "name the folders with --frames and --masks"
            )
    ordered = sorted(found, key=lambda stem: natural_key(Path(stem)))
    return [(frames[stem], found[stem]) for stem in ordered], len(frames) - len(found)


def _images(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Return a folder's images by their names without the ending."""
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != "."}


def _tracks(
    paths: list[Path], void: int | None, advance: Callable[[int], object]
) -> tuple[dict[int, list[masks.Rle | None]], tuple[int, int]]:
    """Return the masks of each value over a sequence, and the frames' height and width."""
    tracks: dict[int, list[masks.Rle | None]] = {}
    size: tuple[int, int] | None = None
    for i, path in enumerate(paths):
        values = _read(path)
        size = size or (values.shape[0], values.shape[1])
        if values.shape != size:
            rule = f"is {values.shape[0]} x {values.shape[1]} where the first of its sequence is {size[0]} x {size[1]}"
            raise InputError(f"{path} {rule}: make them one size")
        for value in np.unique(values).tolist():
            if value:
                tracks.setdefault(value, [None] * len(paths))[i] = masks.encode(values == value)
        advance(i + 1)
    if void is not None:
        tracks.pop(void, None)
    elif set(tracks) != {VOID}:
        tracks.pop(VOID, None)
    return dict(sorted(tracks.items())), size or (0, 0)


def _read(path: Path) -> NDArray[Any]:
    """Return a mask's values (H, W)."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("1", "L", "P", "I", "I;16"):
                rule = f"must be a palette or grey image, and is {image.mode}"
                raise InputError(f"{path} {rule}: save it with one channel")
            values = np.asarray(image)
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path} cannot be read ({' '.join(str(error).split())}): write it again") from error
    return values.astype(np.uint8) if values.dtype == np.bool_ else values


def _name(names: Names | None, sequence: str, value: int) -> str:
    """Return the category of an instance."""
    if names is None:
        return OBJECT
    own = names.get(sequence, names.get(Path(sequence).name, names))
    if isinstance(own, str) or str(value) not in own or not isinstance(name := own[str(value)], str):
        given = sorted(own) if not isinstance(own, str) else []
        raise InputError(
            f"--names has no name for id {value} of sequence {sequence}: add one; {nearest(str(value), given)}"
        )
    return name


def _annotation(id: int, video: dict[str, Any], category: int, codes: list[masks.Rle | None]) -> dict[str, Any]:
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
