"""How the threads of a program share the processor's cores with other programs."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

SECONDS, SHARE = 2.0, 0.2  # of a run; and of it that is waited for a core, from which a late setting is told
_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
_STATISTICS = Path("/proc/thread-self/schedstat")  # of Linux: nanoseconds that ran, and that waited for a core
_log = logging.getLogger(__name__)
_late = False


def share_cores() -> None:
    """Let OpenMP's threads sleep when they have waited a little for each other; before PyTorch is imported, or in vain.

    Where other programs have the cores, threads that wait by spinning keep the one that they wait for off them:
    everything then takes many times as long. A little they should spin: to sleep at once costs half as much again on a
    quiet machine. A setting of the user's own stays.
    """
    global _late
    if any(name in os.environ for name in _VARIABLES):
        return
    if "torch" in sys.modules:
        _late = sys.platform == "linux"
    else:
        os.environ["GOMP_SPINCOUNT"] = "10000"  # rounds, some microseconds; GNU's OpenMP, of PyTorch on Linux


class CoresWatch:
    """Tells, once in a process, that threads which spin cost a run its time, where `share_cores` came too late.

    Args:
        spins: whether the run has threads that wait for each other: more than one, of a network on the CPU.
    """

    def __init__(self, spins: bool) -> None:
        self._spins = spins
        self._start, self._waited = time.monotonic(), waited()

    def close(self) -> None:
        """End the run, in the thread that began it."""
        global _late
        took, late = time.monotonic() - self._start, waited() - self._waited
        if _late and self._spins and took >= SECONDS and late >= SHARE * took:
            _late = False
            _log.warning(
                "other programs use the cores, and PyTorch's threads wait for each other without letting go of them, "
                "so that a run may take many times as long: import ovvis before torch, or set GOMP_SPINCOUNT=10000 "
                "before Python starts"
            )


def waited() -> float:
    """Return for how many seconds this thread could have run and had no core, so far; 0 where nobody knows."""
    try:
        return int(_STATISTICS.read_bytes().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
