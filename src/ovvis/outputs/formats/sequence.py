"""What MOT's and MOTS's folders have beside their lines: `seqinfo.ini` and `labels.txt`; and reading such lines."""

from __future__ import annotations

import configparser
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ovvis.errors import InputError
from ovvis.outputs.chosen import Chosen
from ovvis.outputs.read_back import REMEDY
from ovvis.plain import visible

MOST_BYTES = 2**20  # of a file of facts
NUMBERS = "sourceFrames"  # the frames' numbers in their source, where they are not 0, 1, ...
LINE = 2**24  # characters of a line


@dataclass(frozen=True, slots=True)
class SequenceFacts:
    """What `seqinfo.ini` says of a video."""

    name: str
    size: tuple[int, int]  # height, width
    frames: int
    fps: float
    indices: tuple[int, ...] | None = None  # of the frames in their source, where it is stated


def write_sequence(chosen: Chosen, folder: Path, numbers: dict[str, int]) -> None:
    """Write `seqinfo.ini` as MOTChallenge has it, and `labels.txt`: a number and a label a line."""
    result = chosen.result
    skipped = sum(1 for i, index in enumerate(result.frame_indices) if index != i)
    if skipped:
        chosen.notes["frames with another number than in their source: the format counts those that are there"] = (
            skipped
        )
    facts: dict[str, object] = {
        "name": chosen.name,
        "imDir": "img1",
        "frameRate": f"{result.fps:g}",
        "seqLength": len(result.frame_indices),
        "imWidth": result.width,
        "imHeight": result.height,
        "imExt": ".jpg",
    }
    if skipped:  # our own line, which others pass over
        facts[NUMBERS] = " ".join(map(str, result.frame_indices))
    text = "[Sequence]\n" + "".join(f"{key}={value}\n" for key, value in facts.items())
    (folder / "seqinfo.ini").write_text(text, encoding="utf-8")
    lines = (f"{number} {visible(label)}\n" for label, number in numbers.items())
    (folder / "labels.txt").write_text("".join(lines), encoding="utf-8")


def read_sequence(folder: Path) -> SequenceFacts | None:
    """Return what a folder's `seqinfo.ini` says; None if there is none.

    Raises:
        InputError: it is no such file.
    """
    path = folder / "seqinfo.ini"
    if not path.is_file():
        return None
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(small_text(path))
        facts = parser["Sequence"]
        fps = float(facts.get("frameRate", "24"))
        size = int(facts["imHeight"]), int(facts["imWidth"])
        given = facts.get(NUMBERS)
        indices = None if given is None else tuple(map(int, given.split()))
        found = SequenceFacts(facts.get("name", folder.name), size, int(facts["seqLength"]), fps, indices)
    except (configparser.Error, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0][:80]
        raise InputError(
            f"{path} must state imWidth, imHeight and seqLength, and does not ({reason}): {REMEDY}"
        ) from error
    if not (math.isfinite(fps) and fps > 0):
        raise InputError(f"{path}: frameRate {fps:g} must be above 0: {REMEDY}")
    if indices is not None and (len(indices) != found.frames or any(b <= a for a, b in pairwise((-1, *indices)))):
        raise InputError(f"{path}: {NUMBERS} must be {found.frames} rising numbers, from 0: {REMEDY}")
    return found


def read_labels(folder: Path) -> dict[str, int]:
    """Return the numbers of a folder's `labels.txt`; none if there is none.

    Raises:
        InputError: a line is no number and label.
    """
    path = folder / "labels.txt"
    if not path.is_file():
        return {}
    out: dict[str, int] = {}
    for i, line in enumerate(small_text(path).splitlines(), 1):
        number, _, label = line.strip().partition(" ")
        if not line.strip():
            continue
        if not (number.isascii() and number.isdigit() and len(number) < 10 and label.strip()):
            raise InputError(f"{path}: line {i} must be a number and a label, not {line[:40]!r}: {REMEDY}")
        out[label.strip()] = int(number)
    return out


def small_text(path: Path) -> str:
    """Return a short text file.

    Raises:
        InputError: it cannot be read, is no text, or is larger than such files are.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise InputError(f"{path} has more than {MOST_BYTES >> 20} MiB: it is no such file")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be UTF-8 text, and is not: {REMEDY}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path") from error


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield a text file's lines that hold something, with their numbers from 1.

    Raises:
        InputError: it cannot be read, is no text, or has a line that is longer than any mask.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            while line := file.readline(LINE + 1):
                number += 1
                if len(line) > LINE:
                    raise InputError(f"{path}: line {number} has more than {LINE:,} characters: {REMEDY}")
                if line.strip():
                    yield number, line.strip()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be text, and is not from line {number + 1} on: {REMEDY}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path") from error


def whole_numbers(path: Path, line: int, parts: Sequence[str], fields: int) -> list[int]:
    """Return the fields of a line but the last as whole numbers from 0.

    Raises:
        InputError: there are more or fewer, or one is no such number.
    """
    numbers = [part for part in parts[: fields - 1] if part.isascii() and part.isdigit() and len(part) < 16]
    if len(parts) != fields or len(numbers) != fields - 1:
        raise InputError(f"{path}: line {line} must have {fields} fields, whole numbers first: {REMEDY}")
    return [int(part) for part in numbers]


def find_files(path: Path, patterns: Sequence[str]) -> list[Path]:
    """Return a file, or the files of a folder that the first pattern with any names.

    Raises:
        InputError: there is none.
    """
    if path.is_file():
        return [path]
    for pattern in patterns:
        if found := sorted(file for file in path.glob(pattern) if file.is_file() and not file.name.startswith(".")):
            return found
    if not path.exists():
        raise InputError(f"{path} does not exist: check the path")
    raise InputError(f"{path} must be such a file or hold {' or '.join(patterns)}, and does not")
