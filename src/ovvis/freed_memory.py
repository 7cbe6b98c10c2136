"""What the C library does with freed memory: settings of the process that only a program may make, not a library.

Only glibc is known here; with another C library nothing happens.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's names of the two settings
_SMALL, _LARGE = 2**16, 2**31 - 1  # bytes


def keep_freed_memory() -> None:
    """Let glibc keep freed tensors for the next frame instead of giving their pages back and fetching them anew."""
    _set_thresholds(_LARGE)


@contextmanager
def freed_at_once() -> Iterator[None]:
    """Have glibc give freed tensors back to the system for the block, then keep them again, as a run does."""
    _set_thresholds(_SMALL)
    try:
        yield
    finally:
        keep_freed_memory()


def give_back() -> None:
    """Give back what is free now: tensors that took the place of earlier ones in the heap stay there when freed."""
    _call("malloc_trim", 0)


def _set_thresholds(size: int) -> None:
    for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
        _call("mallopt", name, size)


def _call(name: str, *given: int) -> None:
    function = getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
    if function is not None:
        function(*given)
