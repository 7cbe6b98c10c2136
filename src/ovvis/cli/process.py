"""Settings of the process that only a program may make, not a library."""

from __future__ import annotations

import ctypes
import sys
import warnings

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's names of the two settings
_LARGE = 2**31 - 1


def quiet_libraries() -> None:
    """Keep other libraries' warnings off the terminal of a person who cannot mend them."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def keep_freed_memory() -> None:
    """Let glibc keep freed tensors for the next frame instead of giving their pages back and fetching them anew."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent from other C libraries
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, _LARGE)
            mallopt(_TRIM_THRESHOLD, _LARGE)
