"""Several videos at once: which they are, and a name for each that no other has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ovvis.errors import InputError
from ovvis.paths import user_path
from ovvis.sources.devices import is_device
from ovvis.sources.listing import IMAGE_SUFFIXES, natural_key
from ovvis.sources.place import address_stem, is_address, shown_address

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv"),
    *(".ogv", ".3gp", ".mxf", ".y4m", ".h264", ".h265", ".hevc", ".vob", ".asf", ".f4v"),
)
"""The endings, in any case, by which a file in a folder counts as a video."""

LIST_SUFFIXES = (".txt", ".lst", ".list", ".m3u")
_LONGEST = 10 << 20  # bytes of a list


@dataclass(frozen=True, slots=True)
class Videos:
    """What was given to work on."""

    sources: list[str]  # each a video of its own
    several: bool  # whether several were meant, though there may be one
    home: str  # a name for all of them: of the folder or the list that they come from
    notes: list[str]


def videos_of(given: Sequence[str]) -> Videos:
    """Return the videos that sources stand for: a folder or pattern of videos all of them, a list its lines.

    A folder or a pattern that holds images is one video, its frames; a folder of nothing but folders of images is a
    video each.

    Raises:
        InputError: a list cannot be read or is empty.
    """
    sources: list[str] = []
    notes: list[str] = []
    several, home = len(given) > 1, ""
    for text in given:
        found = _found(text)
        if found is None:
            sources.append(text)
            continue
        several = True
        sources += found
        home = home or _home(text)
    unique = list(dict.fromkeys(sources))
    if len(unique) < len(sources):
        twice = next(text for text, count in Counter(sources).items() if count > 1)
        notes.append(f"named more than once, such as {_shown(twice)}: each video is done once")
    return Videos(unique, several, home or _shared_folder(unique), notes)


def _found(text: str) -> list[str] | None:
    """Return the videos that one source stands for; None where it is one itself."""
    if text == "-" or is_device(text) or is_address(text):
        return None
    listed = text.startswith("@")
    path = user_path(text[1:] if listed else text)
    if listed or (path.suffix.lower() in LIST_SUFFIXES and path.is_file()):
        return _lines(path)
    if path.is_dir():
        return _of_folder(path)
    if not path.exists() and re.search(r"[*?[]", text):
        return _of_pattern(str(path))
    return None


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise InputError(f"list {path} cannot be read ({error.strerror}): give a text file, a video a line") from error
    if len(data) > _LONGEST:
        raise InputError(f"list {path} is longer than {_LONGEST >> 20} MB: it must be a text file, a video a line")
    if data.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"#EXTM3U") and b"#EXT-X-" in data:
        raise InputError(f"{path} is a playlist of one stream: call it .m3u8, or give its address")
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"list {path} is no text in UTF-8 (byte {error.start}): save it as UTF-8") from error
    named = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not named:
        raise InputError(f"list {path} names no video: write a path or an address a line")
    return [_beside(path, line) for line in named]


def _beside(path: Path, line: str) -> str:
    """Return what a line of a list names; paths count from the list's folder."""
    if len(line) > 1 and line[0] == line[-1] and line[0] in "\"'":
        line = line[1:-1]
    if is_address(line):
        return line
    if line == "-" or is_device(line):
        raise InputError(f"list {path} names {line}, which does not end: give it alone")
    return str(path.parent / user_path(line))


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
    path = user_path(text.removeprefix("@"))
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


def source_name(text: str) -> str:
    """Return a short name for a source, which a folder can have.

    >>> source_name("films/my dog.mp4"), source_name("rtsp://me:secret@10.0.0.7/ch1"), source_name("camera:0")
    ('my-dog', 'ch1', 'camera-0')
    """
    if is_address(text):
        return _plain(address_stem(text))
    if text == "-":
        return "stdin"
    path = user_path(text)
    return _plain(path.resolve().stem if path.exists() else path.stem if path.suffix in VIDEO_SUFFIXES else text)


def distinct_names(sources: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a name for each source that differs from all others, on any disk, and what to say of those that did not.

    The names do not depend on the order: another run with the same sources gives the same.

    >>> distinct_names(["a/dog.mp4", "b/dog.mp4", "cat.mp4", "cat.avi"])[0]
    ['a-dog', 'b-dog', 'cat-mp4', 'cat-avi']
    """
    names = [source_name(text) for text in sources]
    shared = _twice(names)
    if not shared:
        return names, []
    kinds, parents, both = zip(*(_longer(text) for text in sources), strict=True)
    chosen = list(names)
    for key in shared:
        places = [i for i, name in enumerate(names) if name.casefold() == key]
        for other in (kinds, parents, both):
            if len({other[i].casefold() for i in places}) == len(places):
                break
        for i in places:
            chosen[i] = other[i]
    numbers: Counter[str] = Counter()
    for i in sorted(range(len(chosen)), key=lambda i: sources[i]):
        key = chosen[i].casefold()
        numbers[key] += 1
        if numbers[key] > 1:
            chosen[i] = f"{chosen[i]}-{numbers[key]}"
    count = sum(name.casefold() in shared for name in names)
    example = next(i for i, name in enumerate(names) if name.casefold() in shared)
    return chosen, [f"{count} videos share their names, such as {names[example]}: its folder is {chosen[example]}"]


def _twice(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]


def _longer(text: str) -> tuple[str, str, str]:
    """Return a source's name with its ending, with its folder, and with both."""
    if is_address(text):
        whole = _plain(re.sub(r"^\w+://", "", _shown(text)))
        return whole, whole, whole
    path, name = user_path(text), source_name(text)
    kind, folder = path.suffix.lower(), path.resolve().parent.name
    return _plain(f"{name}-{kind[1:]}"), _plain(f"{folder}-{name}"), _plain(f"{folder}-{name}-{kind[1:]}")


def _plain(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "frames"


def _shown(text: str) -> str:
    return shown_address(text) if is_address(text) else text
