"""Who works in a folder: a file that one living process can hold."""

from __future__ import annotations

import math
import os
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from ovvis.files.signals import uninterrupted

OPEN_FILES_STAY = os.name == "nt"
"""Whether a file that is open can neither be renamed nor removed, nor the folder that it lies in: so on Windows."""


def take_lock(folder: Path, suffix: str = "", patience: float = 0.0) -> TextIO | None:
    """Return the open lock of a folder, or None if another process holds it for `patience` seconds or more.

    The system frees the locks of a killed process; where it knows no such locks, everyone gets one.

    Args:
        folder: it must exist.
        suffix: tells apart processes that may share the folder.
        patience: seconds.
    """
    path, end = folder / f".lock{suffix}", time.monotonic() + patience
    while True:
        file = path.open("a", encoding="ascii")
        held = not lock_file(file.fileno())
        with suppress(FileNotFoundError):  # who held it has removed it in between
            if not held and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                _keep_from_children(file)
                return file
        file.close()
        if held:
            if time.monotonic() >= end:
                return None
            time.sleep(0.02)


@contextmanager
def hold(folder: Path, suffix: str = "", on_wait: Callable[[], object] | None = None) -> Iterator[bool]:
    """Hold the lock of a folder for the block, however long another process has it; yields whether it had.

    Args:
        folder: it must exist.
        suffix: tells apart what may be done at once.
        on_wait: called once if another process holds the lock.
    """
    lock = take_lock(folder, suffix)
    waited = lock is None
    if waited and on_wait:
        on_wait()
    lock = lock or take_lock(folder, suffix, math.inf)
    assert lock is not None
    try:
        yield waited
    finally:
        release_lock(lock)


def release_lock(lock: TextIO) -> None:
    """Give a lock back and remove its file: while it is held, no one else can have it."""
    with uninterrupted():
        if OPEN_FILES_STAY:
            lock.close()
        with suppress(OSError):
            Path(lock.name).unlink()
        lock.close()


def clear_locks(folder: Path, own: str = "") -> list[str]:
    """Remove the locks of processes that were killed; return the suffixes of those that others hold.

    Args:
        folder: it must exist.
        own: the suffix of a lock that this process holds.
    """
    held = []
    for path in sorted(folder.glob(".lock.*")):
        suffix = path.name.removeprefix(".lock")
        if suffix != own:
            with suppress(OSError):
                lock = take_lock(folder, suffix)
                if lock is None:
                    held.append(suffix)
                else:
                    release_lock(lock)
    return held


def _keep_from_children(file: TextIO) -> None:
    """Close a lock in processes that are forked later: those that load data outlive a killed one by seconds."""
    held = weakref.ref(file)

    def let_go() -> None:
        lock = held()
        if lock is not None:
            lock.close()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=let_go)


def lock_file(handle: int) -> bool:
    """Lock an open file for this process; False if another holds it, True where the system has no such locks."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # nobody reads or writes the byte: it need not be there
        except PermissionError:
            return False
        except OSError:
            return True
        return True
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
