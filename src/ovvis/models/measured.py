"""How many seconds a frame took on this machine, by model, size, device and precision: of the last run of each.

One small file in the cache folder. It helps a person to choose and decides nothing: where it cannot be read or written,
there are no such figures.
"""

from __future__ import annotations

import json
import math
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ovvis.files.lock import release_lock, take_lock
from ovvis.files.output import whole_file
from ovvis.paths import cache_folder

FILE = "seconds.json"
FEWEST = 8  # frames of a run that counts: the first ones pay for what is made once
MOST = 300  # entries that are kept, the newest
PATIENCE = 2.0  # seconds to wait for another process that writes


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run took."""

    model: str
    height: int  # pixels of the network's input
    width: int
    device: str  # "cpu", or a GPU's name
    precision: str
    seconds: float  # a frame, without loading, texts and painting
    frames: int
    machine: str = ""  # its name in the network; a home folder may serve several

    @property
    def what(self) -> tuple[object, ...]:
        """All but the outcome: a later run of the same takes its place."""
        return self.model, self.height, self.width, self.device, self.precision, self.machine


def measured() -> list[Measured]:
    """Return what was measured on this machine, the latest last."""
    return [one for one in _read(_path()) if one.machine == platform.node()]


def keep_measured(one: Measured) -> None:
    """Keep what a run took, if it was long enough to say something; what goes wrong is nobody's trouble."""
    if one.frames < FEWEST or not _sound(one):
        return
    one = Measured(**{**asdict(one), "machine": platform.node()})
    path = _path()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = take_lock(path.parent, "-seconds", PATIENCE)
        if lock is None:
            return
        try:
            kept = [*(other for other in _read(path) if other.what != one.what), one][-MOST:]
            with whole_file(path) as partial:
                partial.write_text(json.dumps([asdict(entry) for entry in kept], indent=1), encoding="utf-8")
        finally:
            release_lock(lock)


def _path() -> Path:
    return cache_folder() / FILE


def _read(path: Path) -> list[Measured]:
    """Return the sound entries of the file; a damaged one counts as empty."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    found = (_entry(value) for value in listed) if isinstance(listed, list) else ()
    return [entry for entry in found if entry is not None][-MOST:]


_KINDS: dict[str, type] = {"str": str, "int": int, "float": float}


def _entry(value: Any) -> Measured | None:
    kinds = {field.name: _KINDS[str(field.type)] for field in fields(Measured)}
    if not isinstance(value, dict) or {name: type(part) for name, part in value.items()} != kinds:
        return None
    entry = Measured(**value)
    return entry if _sound(entry) else None


def _sound(one: Measured) -> bool:
    return math.isfinite(one.seconds) and one.seconds > 0 and min(one.height, one.width, one.frames) > 0
