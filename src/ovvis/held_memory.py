"""The most memory that this process has held: so far, and since a mark that Linux lets it set."""

from __future__ import annotations

import sys
from pathlib import Path

from ovvis.freed_memory import give_back

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def most_held() -> int | None:
    """Return the most bytes so far; None on Windows, which does not say."""
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def mark_held() -> bool:
    """Give back what is free and begin anew what `most_held_since` tells; return whether the system can."""
    give_back()
    try:
        _RESET.write_text("5", encoding="ascii")
    except OSError:
        return False
    return most_held_since() is not None


def most_held_since() -> int | None:
    """Return the most bytes since the last mark; None where the system does not say."""
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
