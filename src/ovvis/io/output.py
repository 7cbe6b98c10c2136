"""Results that are whole or absent: a folder whose files appear together, and a single file."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from ovvis.errors import DISK_FULL, InputError, ResourceError
from ovvis.paths import user_path


def disk_full(error: OSError, path: Path) -> ResourceError:
    """Return the one-line error for a disk, or a quota, that is full.

    Args:
        error: what the system said.
        path: the file or folder that was being written.
    """
    reason = (error.strerror or str(error)).lower()
    said = f": {reason}" if error.errno != errno.ENOSPC else ""
    return ResourceError(f"no space left on the disk of {path}{said}; free some or choose another --output")


@contextmanager
def whole_file(path: Path, suffix: str = "") -> Iterator[Path]:
    """Give a hidden name to write to; at the end of the block what is there becomes the file, or replaces it.

    Whenever the program or the machine stops, the file is the old one, the new one, or absent; never a part. What
    a killed program leaves is the hidden file alone, `partial_name(path, suffix)`, which the next run writes over.

    Args:
        path: the final file; its folder must exist.
        suffix: tells apart programs that may write the same file at once.

    Raises:
        ResourceError: the disk is full.
    """
    partial = path.with_name(partial_name(path.name, suffix))
    try:
        yield partial
        _flush(partial)
        os.replace(partial, path)  # noqa: PTH105  the name says what it does to an older file
        if os.name == "posix":
            _flush(path.parent)  # the new name, too, must outlive the machine's stop
    except OSError as error:
        if error.errno in DISK_FULL:
            raise disk_full(error, path) from error
        raise
    finally:
        with suppress(OSError):
            partial.unlink()


def partial_name(name: str, suffix: str = "") -> str:
    """Return the name under which `whole_file` writes a file until it is whole."""
    return f".{name}.partial{suffix}"


def _flush(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk and not only in the system's memory."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class OutputFolder:
    """A folder that receives its files only once all of them are whole.

    Inside the block files are written into a hidden folder on the same disk. At the end of the block each is
    moved to its final name, and replaces an older file of that name; other files in the folder are kept.
    After an exception, Ctrl-C included, nothing has appeared, and a folder that was made for it is gone.

    >>> with tempfile.TemporaryDirectory() as home, OutputFolder(Path(home) / "results") as output:
    ...     output.file("note.txt").write_text("whole")
    5

    Args:
        path: the folder; it and its parents are created where they are missing.

    Raises:
        InputError: on entering, if the folder cannot be made or written.
        ResourceError: if the disk is full, on entering or inside the block.
    """

    def __init__(self, path: str | Path):
        self.path = user_path(path).absolute()
        self._partial: Path | None = None
        self._created: list[Path] = []  # folders that did not exist before, the outermost first

    def file(self, name: str) -> Path:
        """Return where to write the file that will be called `name` in the folder.

        Raises:
            InputError: if a folder of that name stands in the way.
        """
        if self._partial is None:
            raise RuntimeError("OutputFolder.file is for use inside the `with` block: enter it first")
        if Path(name).name != name or name in ("", ".."):
            raise ValueError(f"file name {name!r} must be a plain name without a folder")
        if (self.path / name).is_dir():
            raise InputError(
                f"output file {self.path / name} must not be a folder: remove it or choose another --output"
            )
        return self._partial / name

    def __enter__(self) -> OutputFolder:
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"output folder {self.path} must not be a file: remove it or choose another --output")
        try:
            self._create()
            Path(tempfile.mkdtemp(dir=self.path)).rmdir()  # permissions alone do not tell: try it
            self._partial = self._make_partial()
        except OSError as error:
            self._remove()
            if error.errno in DISK_FULL:
                raise disk_full(error, self.path) from error
            raise InputError(
                f"output folder {self.path} must be writable ({error.strerror}): "
                "change its permissions or choose another --output"
            ) from error
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._publish()
                self._created.clear()
        except OSError as problem:
            error = problem
            raise
        finally:
            self._remove()
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise disk_full(error, self.path) from error

    def _create(self) -> None:
        missing = [p for p in (self.path, *self.path.parents) if not p.exists()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            self._created.append(folder)

    def _make_partial(self) -> Path:
        prefix = f".{self.path.name}.partial-"
        parent = self.path.parent
        # The folder may be a mount point, and its parent may belong to someone else: then it hides inside.
        if parent.stat().st_dev == self.path.stat().st_dev:
            with suppress(PermissionError):
                return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        return Path(tempfile.mkdtemp(prefix=prefix, dir=self.path))

    def _publish(self) -> None:
        assert self._partial is not None
        self.path.mkdir(parents=True, exist_ok=True)
        for file in sorted(self._partial.iterdir()):
            os.replace(file, self.path / file.name)  # noqa: PTH105  the name says what it does to an older file

    def _remove(self) -> None:
        if self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial = None
        for folder in reversed(self._created):
            with suppress(OSError):  # someone else has put a file there
                folder.rmdir()
        self._created.clear()
