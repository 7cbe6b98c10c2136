"""What the page allows, in numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ovvis.errors import InputError

_SIZES = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_TIMES = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds that keep one person from taking all of the machine.

    Attributes:
        upload: bytes of a video.
        seconds: length of a video.
        keep: seconds that a result is kept after its job has ended.
        waiting: jobs that have not ended, of everyone.
        own_waiting: those of one person.
        own_kept: results of one person.
        silence: seconds that an upload may bring nothing.
        camera: seconds that a camera may have the model while somebody waits for it.
    """

    upload: int = 2**30
    seconds: float = 600.0
    keep: float = 3600.0
    waiting: int = 20
    own_waiting: int = 4
    own_kept: int = 20
    silence: float = 60.0
    camera: float = 120.0


def parse_size(what: str, text: str) -> int:
    """Return bytes of a size such as "500M"; a bare number is bytes.

    Raises:
        InputError: it is none, or below 1.

    >>> parse_size("--max-upload", "1.5G")
    1610612736
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    size = 0 if found is None else round(float(found[1]) * _SIZES.get(found[2], 1))
    if size < 1:
        raise InputError(f"{what} {text!r}: it must be a size above 0, such as 500M or 2G")
    return size


def parse_duration(what: str, text: str) -> float:
    """Return seconds of a duration such as "90s", "30m", "2h" or "1d"; a bare number is seconds.

    Raises:
        InputError: it is none, or 0.

    >>> parse_duration("--keep", "2h")
    7200.0
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd]?)", text.strip().lower())
    seconds = 0.0 if found is None else float(found[1]) * _TIMES.get(found[2], 1)
    if seconds <= 0:
        raise InputError(f"{what} {text!r}: it must be a time above 0, such as 90s, 30m, 2h or 1d")
    return seconds


def size_in_words(size: float) -> str:
    """Return a number of bytes for people.

    >>> size_in_words(2**30), size_in_words(1.5 * 2**20), size_in_words(10)
    ('1 GiB', '1.5 MiB', '10 bytes')
    """
    for unit, one in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= one:
            return f"{size / one:.3g} {unit}"
    return f"{size:g} bytes"


def time_in_words(seconds: float) -> str:
    """Return a duration for people.

    >>> time_in_words(3600), time_in_words(90), time_in_words(45), time_in_words(86400)
    ('1 hour', '1.5 minutes', '45 seconds', '1 day')
    """
    for unit, one in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= one or one == 1:
            return f"{seconds / one:.3g} {unit}{'' if seconds == one else 's'}"
    raise AssertionError
