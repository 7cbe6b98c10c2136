"""The most memory that a process holds in each stage of its work."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's names of the two settings
_SMALL, _LARGE = 2**16, 2**31 - 1  # bytes


class StagePeaks:
    """Tells for each stage how much memory was held in it at most, above what was held before the first.

    Of a GPU it is what PyTorch holds there; else the process's resident memory, which Linux alone tells of a part of
    its life. A stage that runs within another counts for both.

    Args:
        device: where the work is done.

    Attributes:
        mib: of each stage.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._open: list[str] = []
        self.mib: dict[str, float] = {}
        self._peak()
        self._base = self._peak()

    def begin(self, stage: str) -> None:
        """Enter a stage."""
        self._take()
        self._open.append(stage)

    def end(self) -> None:
        """Leave the stage that was entered last."""
        self._take()
        self._open.pop()

    def _take(self) -> None:
        most = self._peak() - self._base
        for stage in self._open:
            self.mib[stage] = max(self.mib.get(stage, 0.0), most)

    def _peak(self) -> float:
        """Return the most that was held since the last call."""
        if self._device.type == "cuda":
            most = torch.cuda.max_memory_allocated(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
            return most / 2**20
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        most = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
        # Tensors that took the place of earlier ones in the heap do not go back to the system when they are freed.
        if (trim := getattr(_libc(), "malloc_trim", None)) is not None:
            trim(0)
        _RESET.write_text("5", encoding="ascii")  # the peak is what is held now
        return most / 1024


def can_tell(device: torch.device) -> bool:
    """Return whether the memory of stages can be told here."""
    if device.type == "cuda":
        return True
    try:
        _RESET.write_text("5", encoding="ascii")
    except OSError:
        return False
    return "VmHWM:" in _STATUS.read_text(encoding="ascii", errors="replace")


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


@contextmanager
def freed_at_once() -> Iterator[None]:
    """Have glibc give freed tensors back to the system for the block, then keep them again, as a run does."""
    mallopt = getattr(_libc(), "mallopt", None)
    if mallopt is None:  # another C library
        yield
        return
    for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
        mallopt(name, _SMALL)
    try:
        yield
    finally:
        for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            mallopt(name, _LARGE)
