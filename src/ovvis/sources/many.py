"""Several videos at once: which they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ovvis.bucket import files, is_bucket
from ovvis.errors import InputError
from ovvis.paths import user_path
from ovvis.sources.devices import is_device
from ovvis.sources.listing import IMAGE_SUFFIXES, VIDEO_SUFFIXES, natural_key
from ovvis.sources.place import is_address
from ovvis.sources.video_list import ListFile, VideoList, shown

LIST_SUFFIXES = (".txt", ".lst", ".list", ".m3u")


@dataclass(frozen=True, slots=True)
class Videos:
    """What was given to work on."""

    sources: Sequence[str]  # each a video of its own
    several: bool  # whether several were meant, though there may be one
    home: str  # a name for all of them: of the folder or the list that they come from
    notes: list[str]


def videos_of(given: Sequence[str]) -> Videos:
    """Return the videos that sources stand for: a folder or pattern of videos all of them, a list its lines.

    A folder or a pattern that holds images is one video, its frames; a folder of nothing but folders of images is a
    video each. A list's lines are not held in memory.

    Raises:
        InputError: a list cannot be read or is empty.
    """
    parts: list[Iterable[str]] = []
    notes: list[str] = []
    several, home = len(given) > 1, ""
    for text in given:
        found = _found(text)
        if found is None:
            parts.append([text])
            continue
        several = True
        parts.append(found)
        home = home or _home(text)
    unique = VideoList(parts)
    if unique.twice is not None:
        notes.append(f"named more than once, such as {shown(unique.twice)}: each video is done once")
    return Videos(unique, several, home or _shared_folder(unique), notes)


def _found(text: str) -> Iterable[str] | None:
    """Return the videos that one source stands for; None where it is one itself."""
    if is_bucket(text.removeprefix("@")):
        return _of_bucket(text)
    if text == "-" or is_device(text) or is_address(text):
        return None
    listed = text.startswith("@")
    path = user_path(text[1:] if listed else text)
    if listed or (path.suffix.lower() in LIST_SUFFIXES and path.is_file()):
        return ListFile(path)
    if path.is_dir():
        return _of_folder(path)
    if not path.exists() and re.search(r"[*?[]", text):
        return _of_pattern(str(path))
    return None


def _of_bucket(text: str) -> Iterable[str] | None:
    name = text.rpartition("/")[2]
    suffix = Path(name).suffix.lower()
    if text.startswith("@") or suffix in LIST_SUFFIXES:
        return ListFile(text.removeprefix("@"))
    if re.search(r"[*?[]", name) or not suffix:
        found = [file for file in files(text) if Path(file).suffix.lower() in VIDEO_SUFFIXES]
        if not found:
            raise InputError(f"{text} holds no video: give a folder of videos, a pattern, a list (.txt) or one video")
        return found
    return None


def _of_folder(path: Path) -> list[str] | None:
    try:
        files = [p for p in path.iterdir() if not p.name.startswith(".")]
    except OSError:
        return None  # told by whoever opens it
    if any(p.suffix.lower() in IMAGE_SUFFIXES and p.is_file() for p in files):
        return None
    videos = [p for p in files if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()]
    return _sorted(videos or [p for p in files if p.is_dir() and _has_images(p)]) or None


def _of_pattern(pattern: str) -> list[str] | None:
    path = Path(pattern)
    try:
        found = [p for p in Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))) if p.name[0] != "."]
    except (ValueError, NotImplementedError, OSError):
        return None
    if any(p.suffix.lower() in IMAGE_SUFFIXES and p.is_file() for p in found):
        return None
    videos = [p for p in found if p.is_file() and p.suffix.lower() in VIDEO_SUFFIXES]
    return _sorted([*videos, *(p for p in found if p.is_dir() and _has_images(p))]) or None


def _has_images(folder: Path) -> bool:
    try:
        return any(p.suffix.lower() in IMAGE_SUFFIXES for p in folder.iterdir() if not p.name.startswith("."))
    except OSError:
        return False


def _sorted(paths: Iterable[Path]) -> list[str]:
    return [str(path) for path in sorted(paths, key=natural_key)]


def _home(text: str) -> str:
    """Return the name of the folder or the list that a source is."""
    text = text.removeprefix("@")
    if is_bucket(text):
        plain, *pattern = re.split(r"[*?[]", text, maxsplit=1)
        return Path(plain.rpartition("/")[0] if pattern else plain.rstrip("/")).stem
    path = user_path(text)
    if path.is_dir():
        return path.resolve().name
    if path.is_file():
        return path.stem
    plain = re.split(r"[*?[]", str(path), maxsplit=1)[0]
    return Path(plain if plain.endswith("/") else str(Path(plain).parent)).resolve().name


def _shared_folder(sources: Sequence[str]) -> str:
    """Return the name of the folder that all sources lie in, else a general one."""
    parents = {"" if is_address(s) or is_device(s) else str(user_path(s).resolve().parent) for s in sources}
    return Path(parents.pop()).name or "videos" if len(parents) == 1 else "videos"
