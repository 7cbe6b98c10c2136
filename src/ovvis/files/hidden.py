"""Work in progress, under hidden names that belong to a living process; what a killed one left is cleared.

`.NAME.partial*` is a file or a folder that will become NAME. The process that writes it holds a lock on the file
itself, or on a file in the folder, which the system frees when the process ends in whatever way.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ovvis.files import lock as lock_module
from ovvis.files.lock import lock_file, release_lock, take_lock
from ovvis.files.signals import uninterrupted


def partial_name(name: str, suffix: str = "") -> str:
    """Return the hidden name of what is to be called `name`."""
    return f".{name}.partial{suffix}"


@contextmanager
def hidden_folder(parent: Path, name: str) -> Iterator[Path]:
    """Give a hidden folder that is gone after the block; those that killed processes left for `name` go first.

    Args:
        parent: where it lies; it must exist.
        name: of what is being made.
    """
    clear_leftovers(parent, name)
    lock = None
    while lock is None:  # another process that clears may come between
        folder = Path(tempfile.mkdtemp(prefix=f"{partial_name(name)}-", dir=parent))
        with suppress(FileNotFoundError):
            lock = take_lock(folder)
    try:
        yield folder
    finally:
        with uninterrupted():
            if lock_module.OPEN_FILES_STAY:
                release_lock(lock)
            shutil.rmtree(folder, ignore_errors=True)
            release_lock(lock)


@contextmanager
def hidden_file(parent: Path, name: str, suffix: str = "") -> Iterator[Path]:
    """Give a hidden file, empty, that is gone after the block unless it has got another name.

    One that a killed process left is written over; one that a living process writes stays, and this one is called
    otherwise.

    Args:
        parent: where it lies; it must exist.
        name: of what is being made.
        suffix: follows the hidden name.
    """
    path, handle = parent / partial_name(name, suffix), -1
    while handle < 0:
        handle = _own(path)
        path = path if handle >= 0 else parent / partial_name(name, f"{suffix}-{secrets.token_hex(4)}")
    try:
        yield path
    finally:
        with uninterrupted():
            os.close(handle)
            _clear(path, False)  # not what another process has begun under this name since it was given away


def clear_leftovers(parent: Path, name: str | None = None, spared: Collection[str] = ()) -> None:
    """Remove hidden files and folders that no living process writes.

    Args:
        parent: the folder that they lie in.
        name: of what was being made; None: of anything.
        spared: suffixes that stay.
    """
    start = "." if name is None else partial_name(name)
    with suppress(OSError):
        found = [entry for entry in os.scandir(parent) if entry.name.startswith(start) and ".partial" in entry.name]
        for entry in found:
            if not entry.name.rpartition(".partial")[2].startswith(tuple(spared)):
                _clear(Path(entry.path), entry.is_dir(follow_symlinks=False))


def _clear(path: Path, folder: bool) -> None:
    with suppress(OSError):
        if not folder:
            handle = _own(path, create=False)
            if handle >= 0 and lock_module.OPEN_FILES_STAY:
                os.close(handle)
                path.unlink()
            elif handle >= 0:
                path.unlink()
                os.close(handle)
            return
        lock = take_lock(path)
        if lock is not None:
            # By another name first, so that nobody takes it for the new one of a process that is beginning.
            gone = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
            if lock_module.OPEN_FILES_STAY:
                release_lock(lock)
            path.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
            lock.close()


def _own(path: Path, create: bool = True) -> int:
    """Return an open, locked handle of a file, or -1 if a living process holds it."""
    while True:
        handle = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o666)
        if not lock_file(handle):
            os.close(handle)
            return -1
        with suppress(FileNotFoundError):  # who held it has given it its final name, or removed it, in between
            if path.stat().st_ino == os.fstat(handle).st_ino:
                if create:
                    os.ftruncate(handle, 0)
                return handle
        os.close(handle)
