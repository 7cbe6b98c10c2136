"""What is measured of each video, in a file of its own, so that a run can stop anywhere and go on."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ovvis.errors import InputError
from ovvis.evaluation.evaluator import Compared
from ovvis.files.hidden import clear_leftovers
from ovvis.files.output import whole_file
from ovvis.reproduction.rows import Way

FORMAT = 2
ABOUT = "about.json"
Rows = tuple[tuple[int, int, float, float], ...]
Pairs = tuple[tuple[int, int, float], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What is measured of one video."""

    frames: int = 0
    seconds: dict[str, float] = field(default_factory=dict)  # of the pass, by stage
    peak: int | None = None  # bytes; the most memory held, where it was measured
    ways: dict[str, tuple[Rows, Pairs]] = field(default_factory=dict)  # by `way_key`: the results as numbers

    def compared(self, way: Way) -> Compared:
        """Return the results of a way.

        Raises:
            KeyError: it is not in here.
        """
        return Compared(*self.ways[way_key(way)])

    def lacks(self, way: Way) -> bool:
        """Return whether a way is still to be measured."""
        return way_key(way) not in self.ways


def way_key(way: Way) -> str:
    """Return the name of a way in a part, in hexadecimal digits."""
    # What was measured before there were detections keeps its name.
    settings = repr(way.settings).replace("followed='queries', ", "")
    told: list[Any] = [settings, way.pooling, sorted(way.given), way.one_label]
    if way.crops is not None or way.how is not None:
        told += [way.crops, repr(way.how)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


class Parts:
    """The parts of one pass over one set of videos.

    Args:
        folder: for all passes.
        about: everything that decides what is measured, as JSON knows it. Another `about` is another set of parts.

    Raises:
        InputError: the folder cannot be made.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        text = json.dumps({"format": FORMAT, **about}, indent=1, sort_keys=True, default=str) + "\n"
        self.path = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            clear_leftovers(self.path)
            with whole_file(self.path / ABOUT) as partial:
                partial.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"{self.path} cannot be written ({error.strerror}): choose another --output") from error

    def read(self, number: int) -> Part:
        """Return what is measured of a video; nothing if it was never looked at.

        Raises:
            InputError: its file is damaged.
        """
        path = self._file(number)
        if not path.is_file():
            return Part()
        try:
            return msgspec.json.decode(zlib.decompress(path.read_bytes()), type=Part)
        except (zlib.error, msgspec.MsgspecError) as error:
            raise InputError(f"{path} is damaged: remove it, and the same command measures it again") from error

    def write(self, number: int, part: Part) -> None:
        """Keep what is measured of a video.

        Raises:
            ResourceError: the disk is full.
        """
        with whole_file(self._file(number)) as partial:
            partial.write_bytes(zlib.compress(msgspec.json.encode(part), 6))

    def _file(self, number: int) -> Path:
        return self.path / f"{number:05}.json.z"
