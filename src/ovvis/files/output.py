"""Results that are whole or absent: a single file, a folder, or files that appear together; never over older ones."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TextIO

from ovvis.errors import DISK_FULL, InputError, ResourceError
from ovvis.files import lock as lock_module
from ovvis.files.hidden import clear_leftovers, hidden_file, hidden_folder, partial_name
from ovvis.files.lock import release_lock, take_lock
from ovvis.files.signals import uninterrupted
from ovvis.paths import user_path

__all__ = ["OutputFolder", "disk_full", "make_way", "partial_name", "whole_file", "whole_folder"]

LOCK = "-output"  # suffix of the lock of a folder that results are being written to


def disk_full(error: OSError, path: Path) -> ResourceError:
    """Return the one-line error for a disk, or a quota, that is full.

    Args:
        error: what the system said.
        path: the file or folder that was being written.
    """
    reason = (error.strerror or str(error)).lower()
    said = f": {reason}" if error.errno != errno.ENOSPC else ""
    return ResourceError(f"no space left on the disk of {path}{said}; free some or choose another --output")


def make_way(path: Path, overwrite: bool = False) -> None:
    """Refuse to write what is there already, before any work; clear what killed processes left of it.

    Raises:
        InputError: there is something of that name, and it is not to be overwritten.
    """
    clear_leftovers(path.parent, path.name)
    if not overwrite:
        _refuse(path)


def _refuse(path: Path) -> None:
    if os.path.lexists(path):
        raise InputError(f"{path} is there already: choose another name, or replace it with --overwrite")


@contextmanager
def whole_file(path: Path, suffix: str = "", *, overwrite: bool = True, anew: bool = False) -> Iterator[Path]:
    """Give a hidden file to write to; at the end of the block it becomes the file, or replaces it.

    Whenever the program or the machine stops, the file is the old one, the new one, or absent; never a part. What
    a killed program leaves is the hidden file alone, `partial_name(path, suffix)`, which the next run writes over.
    Several processes may write the same file at once: the last one's is there in the end, whole.

    Args:
        path: the final file; its folder must exist.
        suffix: of the hidden name.
        overwrite: whether an older file may be replaced.
        anew: for a writer that makes a new file of the name that it is given, instead of writing to the one there.

    Raises:
        InputError: there is an older file, and it is not to be overwritten.
        ResourceError: the disk is full.
    """
    if not overwrite:
        make_way(path)
    try:
        with ExitStack() as stack:
            if anew or lock_module.OPEN_FILES_STAY:  # the lock of a file that is no longer there would hold nothing
                partial = stack.enter_context(hidden_folder(path.parent, path.name)) / path.name
            else:
                partial = stack.enter_context(hidden_file(path.parent, path.name, suffix))
            yield partial
            _flush(partial)
            with uninterrupted():
                if not overwrite:
                    _refuse(path)  # it may have come since
                os.replace(partial, path)  # noqa: PTH105  the name says what it does to an older file
                if os.name == "posix":
                    _flush(path.parent)  # the new name, too, must outlive the machine's stop
    except OSError as error:
        if error.errno in DISK_FULL and not isinstance(error, ResourceError):
            raise disk_full(error, path) from error
        raise


@contextmanager
def whole_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give an empty folder to fill; at the end of the block it gets its name, and nothing is there before.

    Args:
        path: the final folder; its parents are made where they are missing, and gone again if the block fails.
        overwrite: whether an older folder of that name is replaced: it goes when the new one is whole.

    Raises:
        InputError: it is there already, or another process is writing it.
    """
    with ExitStack() as stack:
        stack.enter_context(_made(path.parent))
        lock = take_lock(path.parent, f"-{path.name}")
        if lock is None:
            raise InputError(f"{path}: another process is writing it; wait for it, or choose another folder")
        stack.callback(release_lock, lock)
        make_way(path, overwrite)
        hidden = stack.enter_context(hidden_folder(path.parent, path.name))
        whole = hidden / "whole"
        whole.mkdir()
        yield whole
        with uninterrupted():
            if not overwrite:
                _refuse(path)
            elif os.path.lexists(path):
                path.rename(hidden / "old")
            whole.rename(path)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder where it is missing; remove what was made, if it is empty, when the block fails."""
    made: list[Path] = []
    try:
        for missing in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
            missing.mkdir(exist_ok=True)
            made.append(missing)
        yield
    except BaseException:
        for empty in reversed(made):
            with suppress(OSError):  # somebody has put a file there
                empty.rmdir()
        raise


def _flush(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk and not only in the system's memory."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class OutputFolder:
    """A folder that receives its files only once all of them are whole, and belongs to one process until then.

    Inside the block files are written into a hidden folder. At the end each is moved to its final name; other files in
    the folder are kept. After an exception, Ctrl-C included, nothing has appeared, and a folder that was made for it
    is gone. Results that are there already are never replaced unasked.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home, OutputFolder(Path(home) / "results", ["note.txt"]) as output:
    ...     output.file("note.txt").write_text("whole")
    5

    Args:
        path: the folder; it and its parents are created where they are missing.
        names: every file that such a block may write. Where one of them is there, the folder holds results.
        overwrite: replace older results: those of `names` that the block does not write go too.
        another: where the folder holds results, or another process is writing to it, take the next free of
            `path-2`, `path-3`, ... instead of refusing; `path` is then that one.
        patience: seconds to wait for another process that is writing to the folder.
        growing: the files are good at every moment of their writing, as logs are: they have their names from the
            beginning, and stay whatever becomes of the block.

    Raises:
        InputError: on entering, if the folder cannot be made or written, or holds results.
        ResourceError: if the disk is full, on entering or inside the block.
    """

    def __init__(
        self,
        path: str | Path,
        names: Iterable[str],
        *,
        overwrite: bool = False,
        another: bool = False,
        patience: float = 0.0,
        growing: bool = False,
    ) -> None:
        self.path = user_path(path).absolute()
        self.names = tuple(names)
        self._overwrite, self._another, self._patience = overwrite, another and not overwrite, patience
        self._growing = growing
        self.whole = False  # whether the files have their names
        self._partial: Path | None = None
        self._stack = ExitStack()
        for name in self.names:
            if Path(name).name != name or name in ("", ".."):
                raise ValueError(f"file name {name!r} must be a plain name without a folder")

    def file(self, name: str) -> Path:
        """Return where to write the file that will be called `name` in the folder."""
        if self._partial is None:
            raise RuntimeError("OutputFolder.file is for use inside the `with` block: enter it first")
        if name not in self.names:
            raise ValueError(f"file name {name!r} must be one of those that the folder was asked for: {self.names}")
        return self._partial / name

    def __enter__(self) -> OutputFolder:
        try:
            self._enter()
        except OSError as error:
            self._stack.close()
            if error.errno in DISK_FULL:
                raise disk_full(error, self.path) from error
            raise InputError(
                f"output folder {self.path} must be writable ({error.strerror}): "
                "change its permissions or choose another --output"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._publish()
        except BaseException as problem:
            error = problem
            raise
        finally:
            self._partial = None
            self._stack.__exit__(type(error) if error else None, error, trace)
            if isinstance(error, OSError) and error.errno in DISK_FULL and not isinstance(error, ResourceError):
                raise disk_full(error, self.path) from error

    def _enter(self) -> None:
        with ExitStack() as stack:
            self._take(stack)
            self._partial = self.path
            if not self._growing:
                self._partial = stack.enter_context(hidden_folder(self.path, self.path.name))
            elif self._overwrite:
                for name in self.names:
                    (self.path / name).unlink(missing_ok=True)  # those of another run
            self._stack = stack.pop_all()

    def _take(self, stack: ExitStack) -> None:
        """Make and lock the folder, or the first that is free."""
        asked = self.path
        for number in count(2):
            problem = self._problem(stack)
            if problem is None:
                return
            if not self._another:
                raise InputError(problem)
            self.path = asked.with_name(f"{asked.name}-{number}")

    def _problem(self, stack: ExitStack) -> str | None:
        """Make and lock the folder; return what is against it."""
        if self.path.exists() and not self.path.is_dir():
            return f"output folder {self.path} must not be a file: remove it or choose another --output"
        lock: TextIO | None = None
        for last in (False, False, True):  # another process that stopped may remove what it had made
            try:
                stack.enter_context(_made(self.path))
                lock = take_lock(self.path, LOCK, self._patience)
                break
            except FileNotFoundError:
                if last:
                    raise
        if lock is None:
            return f"output folder {self.path}: another process is writing to it; wait for it, or choose another"
        stack.callback(release_lock, lock)
        for name in self.names:
            if (self.path / name).is_dir():
                return f"output file {self.path / name} must not be a folder: remove it or choose another --output"
            if not self._overwrite and os.path.lexists(self.path / name):
                return f"{self.path} holds {name} already: choose another --output, or replace it with --overwrite"
        return None

    def _publish(self) -> None:
        assert self._partial is not None
        made = [name for name in self.names if (self._partial / name).exists()]
        for name in made:
            _flush(self._partial / name)
        if self._growing:
            self.whole = True
            return
        with uninterrupted():
            if not self._overwrite and any(os.path.lexists(self.path / name) for name in made):
                self._another = True  # somebody else's have come since: neither they nor these are lost
                self._take(self._stack)
            for name in self.names:
                if name in made:
                    os.replace(self._partial / name, self.path / name)  # noqa: PTH105  it replaces an older file
                elif self._overwrite:
                    (self.path / name).unlink(missing_ok=True)  # of another run: it would not belong to the others
            self.whole = True
