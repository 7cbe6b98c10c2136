"""Which mask belongs to which frame, and to which object: by the names of folders and files."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ovvis.errors import InputError
from ovvis.sources.listing import IMAGE_SUFFIXES, natural_key

MASK_SUFFIXES = (".png", *(suffix for suffix in IMAGE_SUFFIXES if suffix != ".png"), ".gif")
_BETWEEN = "_-. "  # what parts a frame's name from an object's in `00001_dog.png`

Files = dict[str, Path]  # by their names without the ending


@dataclass
class Sequence:
    """The frames of one video and their masks."""

    name: str
    frames: list[Path]  # those with a mask, in order
    masks: list[Files]  # for each, an object's mask by its name; by "" where one image holds all objects
    unmasked: int  # frames without a mask


@dataclass
class Layout:
    """All sequences, and what was passed over."""

    sequences: list[Sequence] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def find_layout(frames: Path, masks: Path, folders: tuple[str, ...]) -> Layout:
    """Return which masks belong to which frames.

    A mask has its frame's name, and holds all objects; or it holds one, and has the object's name before or behind
    the frame's (`00001_dog.png`), or lies in a folder of the object's name below the sequence's.

    Args:
        frames: the folder of frames.
        masks: the folder of masks.
        folders: those below it that hold masks, in order.

    Raises:
        InputError: a mask has no frame, a frame has two masks, or masks are named in several ways.
    """
    out = Layout()
    grouped: dict[str, dict[str, Files]] = {}  # sequence, object ("" for all), frame
    known: dict[str, Files] = {}
    for folder in folders:
        found = _masks(masks / folder, out.warnings)
        own = _images(frames / folder, IMAGE_SUFFIXES, "frames")
        if own:
            known[folder] = own
            for key, files in _by_object(found, own, frames / folder).items():
                grouped.setdefault(folder, {})[key] = files
            continue
        parent = Path(folder).parent.as_posix()
        above = {} if folder == "." else _images(frames / parent, IMAGE_SUFFIXES, "frames")
        for stem, path in found.items():
            if stem not in above:
                raise _no_frame(path, frames / folder)
        known[parent] = above
        grouped.setdefault(parent, {})[Path(folder).name] = found
    for name, objects in grouped.items():
        if "" in objects and len(objects) > 1:
            one = next(iter(objects[""].values()))
            other = next(iter(next(files for key, files in objects.items() if key).values()))
            raise InputError(f"{one} holds all objects and {other} one, for the same frames: keep one kind of masks")
        if len(objects) == 1:  # one folder or ending for all: its images may hold any number of objects
            objects = {"": next(iter(objects.values()))}
        own = known[name]
        stems = sorted({stem for files in objects.values() for stem in files}, key=lambda stem: natural_key(Path(stem)))
        per_frame = [{key: files[stem] for key, files in objects.items() if stem in files} for stem in stems]
        out.sequences.append(Sequence(name, [own[stem] for stem in stems], per_frame, len(own) - len(stems)))
    _note_frames_without_masks(frames, set(known), out.warnings)
    return out


def mask_folders(masks: Path) -> tuple[str, ...]:
    """Return the folders below one that hold images, in order; hidden ones hold none."""
    inside = set()
    for path in masks.rglob("*"):
        place = path.relative_to(masks)
        if path.suffix.lower() in MASK_SUFFIXES and not any(hidden(part) for part in place.parts) and path.is_file():
            inside.add(place.parent.as_posix())
    return tuple(sorted(inside, key=lambda name: natural_key(Path(name))))


def hidden(name: str) -> bool:
    """Return whether a file or folder is none that a person put there."""
    return name.startswith(".") or name == "__MACOSX"


def _masks(folder: Path, warnings: list[str]) -> Files:
    """Return a folder's masks: its PNG images if it has any, else those of other kinds."""
    found = [path for path in _listed(folder) if path.suffix.lower() in MASK_SUFFIXES]
    if any(path.suffix.lower() == ".png" for path in found):
        others = [path for path in found if path.suffix.lower() != ".png"]
        if others:
            warnings.append(
                f"{folder}: {len(others)} images beside its PNG masks are left out (first: {others[0].name})"
            )
        return _images(folder, (".png",), "masks")
    return _images(folder, MASK_SUFFIXES, "masks")


def _images(folder: Path, suffixes: tuple[str, ...], what: str) -> Files:
    """Return a folder's images by their names without the ending."""
    out: Files = {}
    for path in _listed(folder):
        if path.suffix.lower() in suffixes:
            if path.stem in out:
                raise InputError(f"{path} and {out[path.stem].name} are two {what} of one name: keep one of them")
            out[path.stem] = path
    return out


def _listed(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not hidden(path.name)) if folder.is_dir() else []


def _by_object(found: Files, frames: Files, folder: Path) -> dict[str, Files]:
    """Return a folder's masks by object, each by its frame's name."""
    split = {stem: _split(stem, frames) for stem in found}
    for stem, place in split.items():
        if place is None:
            raise _no_frame(found[stem], folder)
    keys = Counter(place[1] for place in split.values() if place)
    if "" in keys and len(keys) > 1:
        one, other = (next(stem for stem, p in split.items() if p and (p[1] == "") == plain) for plain in (True, False))
        raise InputError(
            f"{found[one]} has a frame's name and {found[other].name} an object's too: name all masks one way"
        )
    out: dict[str, Files] = {}
    for stem, place in split.items():
        assert place is not None
        out.setdefault("" if len(keys) == 1 else place[1], {})[place[0]] = found[stem]
    return out


def _split(stem: str, frames: Files) -> tuple[str, str] | None:
    """Return the frame's and the object's part of a mask's name; None if it has no frame's."""
    if stem in frames:
        return stem, ""
    for i in range(len(stem) - 1, 0, -1):  # the longest frame's name first
        if stem[i] in _BETWEEN and stem[:i] in frames:
            return stem[:i], stem[i:].strip(_BETWEEN)
    for i in range(len(stem)):
        if stem[i] in _BETWEEN and stem[i + 1 :] in frames:
            return stem[i + 1 :], stem[:i].strip(_BETWEEN)
    return None


def _no_frame(path: Path, folder: Path) -> InputError:
    return InputError(
        f"{path} must have a frame of the same name in {folder}, and has none: "
        "name the folders with --frames and --masks"
    )


def _note_frames_without_masks(frames: Path, used: set[str], warnings: list[str]) -> None:
    """Tell of folders of frames that no mask belongs to."""
    lonely = []
    for folder in sorted({path.parent for path in frames.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES}):
        place = folder.relative_to(frames)
        if place.as_posix() not in used and not any(map(hidden, place.parts)):
            lonely.append(place.as_posix())
    if lonely:
        lonely.sort(key=lambda name: natural_key(Path(name)))
        noun = "folder of frames has" if len(lonely) == 1 else "folders of frames have"
        warnings.append(f"{len(lonely)} {noun} no masks and are left out (first: {lonely[0]})")


def natural(keys: list[str]) -> list[str]:
    """Return names in natural order."""
    return sorted(keys, key=lambda key: natural_key(Path(re.sub(r"[/\\]", "_", key))))
