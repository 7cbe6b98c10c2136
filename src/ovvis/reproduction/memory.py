"""The most memory that the process holds while something runs, without what it held before and has freed."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(slots=True)
class Peak:
    """What `peak_memory` found."""

    bytes: int | None = None  # of the GPU if one is used; None where the system does not tell


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Measure the block; the figure is there when it ends. On a CPU it takes Linux, and holds the whole process."""
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated(device)
        return
    known = sys.platform == "linux" and _reset()
    yield peak
    if known:
        peak.bytes = _high_water()


def _reset() -> bool:
    """Give freed memory back and begin the system's mark anew; return whether that can be done."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim is None:
        return False
    trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _high_water() -> int | None:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    found = next((line.split() for line in lines if line.startswith("VmHWM:")), None)
    return None if found is None else int(found[1]) * 1024
