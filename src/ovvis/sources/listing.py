"""Which files of a folder or a pattern are frames, in which order, and which are left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from ovvis.errors import InputError

IMAGE_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif"),
    *(".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".avif", ".tga", ".qoi"),
)
"""The endings, in any case, by which a file counts as a frame image."""

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv"),
    *(".ogv", ".3gp", ".mxf", ".y4m", ".h264", ".h265", ".hevc", ".vob", ".asf", ".f4v"),
)
"""The endings, in any case, by which a file in a folder counts as a video."""

OTHER_MEDIA = (
    *(".heic", ".heif", ".hif", ".jxl", ".exr", ".dpx", ".hdr", ".psd", ".svg", ".ico", ".eps", ".sgi", ".dds", ".pcx"),
    *(".fits", ".dcm", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"),
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv"),
)
"""Endings of pictures and videos that are no frame images: where they lie among frames, it is said."""


def images_in_folder(folder: Path) -> tuple[list[Path], list[str]]:
    """Return a folder's frame images in natural order, hidden files left out, and what is to be said of them.

    Raises:
        InputError: the folder holds none, or may not be read.
    """
    try:
        files = [p for p in folder.iterdir() if not p.name.startswith(".") and p.is_file()]
    except OSError as error:
        raise InputError(
            f"{folder} could not be listed ({error.strerror}): the folder must be readable; change its permissions"
        ) from error
    return _frames_among(files, f"{folder} holds", "a folder must hold", "give the folder that does, or a video file")


def images_of_pattern(pattern: str) -> tuple[list[Path], list[str]]:
    """Return the images that match a glob pattern in natural order, hidden files left out, and what is to be said.

    Raises:
        InputError: nothing matches, or no image does.
    """
    path = Path(pattern)
    root = Path(path.anchor or ".")
    try:
        matches = [p for p in root.glob(str(path.relative_to(path.anchor))) if p.is_file() and p.name[0] != "."]
    except (ValueError, NotImplementedError, OSError) as error:
        raise InputError(
            f"{pattern} is no usable pattern ({_one_line(str(error))}); write it like frames/*.jpg"
        ) from error
    return _frames_among(matches, f"{pattern} matches", "a pattern must match", "check the folder and the ending")


def pattern_of_numbers(text: str) -> str | None:
    """Return a text that is a pattern of numbered files, such as "frames/%05d.png", else None."""
    name = text.replace("\\", "/").rpartition("/")[2]
    return text if re.fullmatch(r"[^%]*%(0[1-9])?d[^%]*", name) else None


def images_of_numbers(pattern: str) -> tuple[list[Path], list[str]]:
    """Return the images "frames/%05d.png" names, by their numbers, and which numbers are missing between them.

    Raises:
        InputError: none is there.
    """
    folder, before, width, after = _numbered(pattern)
    kind = re.compile(rf"{re.escape(before)}(\d+){re.escape(after)}")
    try:
        names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    except OSError as error:
        raise InputError(f"{folder} could not be listed ({error.strerror}): change its permissions") from error
    found: dict[int, Path] = {}
    for name in names:
        match = kind.fullmatch(name)
        # %05d writes 00012 and 123456, never 012 or 0123456.
        if match and match[1] == f"{int(match[1]):0{width}d}":
            found[int(match[1])] = folder / name
    if not found:
        raise InputError(
            f"{pattern} matches no file, such as {before}{1:0{width}d}{after} in {folder}: check the folder, the"
            " digits and the ending"
        )
    numbers = sorted(found)
    missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    notes = []
    if missing:
        first = next(a + 1 for a, b in pairwise(numbers) if b > a + 1)
        notes.append(f"{pattern}: {missing} numbers are missing, the first is {first}; frames are counted without them")
    return [found[number] for number in numbers], notes


def _numbered(pattern: str) -> tuple[Path, str, int, str]:
    """Return folder, what stands before the number, its least digits, and what stands behind it."""
    path = Path(pattern)
    match = re.fullmatch(r"([^%]*)%(?:0([1-9]))?d([^%]*)", path.name)
    assert match is not None
    return path.parent, match[1], int(match[2] or 1), match[3]


def _frames_among(files: Sequence[Path], what: str, rule: str, remedy: str) -> tuple[list[Path], list[str]]:
    """Return those of some files that are frames, in natural order, and what is to be said of the others.

    Raises:
        InputError: none is; `what`, `rule` and `remedy` are its words.
    """
    paths = sorted((p for p in files if p.suffix.lower() in IMAGE_SUFFIXES), key=natural_key)
    if not paths:
        found = f" but {_counted(files)}" if files else ""
        raise InputError(f"{what} no images{found}: {rule} frames ({', '.join(IMAGE_SUFFIXES)}); {remedy}")
    notes = []
    others = [p for p in files if p.suffix.lower() in OTHER_MEDIA]
    if others:
        notes.append(f"left out: {_counted(others)}, which are not read as frames")
    names = Counter(p.with_suffix("") for p in paths)
    twice = [p for p in paths if names[p.with_suffix("")] > 1]
    if twice:
        count = len({p.with_suffix("") for p in twice})
        notes.append(
            f"{count} {'name stands' if count == 1 else 'names stand'} there with several endings, such as"
            f" {twice[0].name} and {twice[1].name}: every file is a frame; choose with a pattern, such as '*.png'"
        )
    return paths, notes


def _counted(files: Sequence[Path]) -> str:
    """Return how many files there are of each ending: "2 .heic, 1 .mp4"."""
    endings = Counter(p.suffix.lower() or "without ending" for p in files)
    return ", ".join(f"{count} {ending}" for ending, count in endings.most_common(5))


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Return a sort key under which numbers in names count as numbers.

    >>> [p.name for p in sorted([Path("img10.png"), Path("img2.png")], key=natural_key)]
    ['img2.png', 'img10.png']
    """
    parts = re.split(r"([0-9]+)", str(path).casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], str(path)


def _one_line(text: str) -> str:
    return " ".join(text.split())
