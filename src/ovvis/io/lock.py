"""Who works in a folder: a file that one living process can hold."""

from __future__ import annotations

import os
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TextIO


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
        held = not _lock(file)
        with suppress(FileNotFoundError):  # who held it has removed it in between
            if not held and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                _keep_from_children(file)
                return file
        file.close()
        if held:
            if time.monotonic() >= end:
                return None
            time.sleep(0.02)


def release_lock(lock: TextIO) -> None:
    """Give a lock back and remove its file: while it is held, no one else can have it."""
    with suppress(OSError):
        Path(lock.name).unlink()
    lock.close()


def _keep_from_children(file: TextIO) -> None:
    """Close a lock in processes that are forked later: those that load data outlive a killed one by seconds."""
    held = weakref.ref(file)

    def let_go() -> None:
        lock = held()
        if lock is not None:
            lock.close()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=let_go)


def _lock(file: TextIO) -> bool:
    """Lock a file for this process; without a word where the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
