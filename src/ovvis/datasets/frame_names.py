r"""From the names of frames in a file to places below a folder: backslashes, drives and absolute paths become parts.

A file that was made on Windows says `cam2\clip\00000.jpg`; another one says where its frames lay on some machine,
`D:\data\JPEGImages\clip\00000.jpg`. Only the folder of frames can tell which parts of such a path count. It is asked
once for a whole dataset: a rule for each name alone may give two names one picture.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ABSOLUTE = re.compile(r"(?:[A-Za-z]:)?[\\/]+")
_LOOKED_AT = 50  # videos, evenly spaced, of which one frame is looked for

Names = Sequence[tuple[str, ...]]  # of each video, its frames'


@dataclass(frozen=True, slots=True)
class PlacedNames:
    """Names of frames as places below the folder of frames."""

    names: Names
    note: str = ""  # what was done about them and may be wrong; empty: nothing


def place_names(given: Names, frames: Path, shorten: bool = False) -> PlacedNames:
    """Return the frames' names of each video with slashes between parts, below the folder of frames.

    Backslashes divide parts, unless the folder has files whose names hold them. Of absolute paths leading parts are
    left out: as few as let the frames be found, the same number for all, and never so many that two names become
    one. Where none are found, all parts stay and the note says so.

    Args:
        given: the names as the file has them.
        frames: the folder.
        shorten: leave leading parts out of relative paths with backslashes too (LV-VIS' own files hold such).
    """
    foreign = [[i for i, name in enumerate(video) if "\\" in name or _is_absolute(name)] for video in given]
    chosen = [(video, places[0]) for video, places in enumerate(foreign) if places]
    if not chosen:
        return PlacedNames(given)
    chosen = chosen[:: max(len(chosen) // _LOOKED_AT, 1)]

    def found(names: Names) -> bool:
        return all(_is_file(frames, names[video][frame]) for video, frame in chosen)

    plain = [tuple(map(_plain, video)) for video in given]
    example = repr(given[chosen[0][0]][chosen[0][1]])
    if not any(_is_absolute(name) for video in given for name in video) and found(given):
        if not found(plain):
            return PlacedNames(given)
        return PlacedNames(plain, f"names such as {example} are read as folders, but files of just these names exist")
    for dropped in range(max(name.count("/") for video in plain for name in video) + 1):
        names = [
            tuple(
                "/".join(new.split("/")[dropped:]) or new if _is_absolute(old) or (shorten and "\\" in old) else new
                for new, old in zip(video, olds, strict=True)
            )
            for video, olds in zip(plain, given, strict=True)
        ]
        if found(names):
            if _different(names) < _different(plain):
                break
            note = f"leading parts of paths such as {example} are left out, as the frames are found so below {frames}"
            return PlacedNames(names, note if dropped else "")
    if any(_is_absolute(name) for video in given for name in video):
        note = f"absolute paths such as {example} are not found below {frames}; --frames / reads them where they lie"
        return PlacedNames(plain, note)
    return PlacedNames(plain)


def inside(name: str) -> bool:
    """Return whether a name, its parts divided by slashes, stays below the folder that it is looked for in.

    >>> inside("a/../b.jpg"), inside("a/../../b.jpg"), inside("/b.jpg")
    (True, False, False)
    """
    path = posixpath.normpath(name)
    return path != ".." and not path.startswith(("../", "/"))


def _is_absolute(name: str) -> bool:
    return _ABSOLUTE.match(name) is not None


def _plain(name: str) -> str:
    return _ABSOLUTE.sub("", name, count=1).replace("\\", "/") if _is_absolute(name) else name.replace("\\", "/")


def _different(names: Names) -> int:
    return len({name for video in names for name in video})


def _is_file(frames: Path, name: str) -> bool:
    try:
        return inside(name) and (frames / name).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
