"""Where files lie that are whole or absent: a folder on a disk, or one in a bucket; one face for both."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ovvis import bucket
from ovvis.files.hidden import clear_leftovers, hidden_folder
from ovvis.files.output import whole_file
from ovvis.paths import user_path


class Place(Protocol):
    """A folder. It need not be there; it can be sent to another process, also on another machine.

    A name may lead into folders below it: "results/7.json".
    """

    def __str__(self) -> str:
        """Return it as it is named."""

    def below(self, name: str) -> Place:
        """Return a folder in it."""

    def has(self, name: str) -> bool:
        """Return whether a file is there."""

    def names(self) -> list[str]:
        """Return the names of the files that are there, whole, in order."""

    def writing(self, name: str, suffix: str = "") -> AbstractContextManager[Path]:
        """Return a context that gives a file to write to, which has its name after it, or is not there.

        Args:
            name: of the file.
            suffix: of a hidden name, for processes that may write the same at once.
        """

    def reading(self, name: str) -> AbstractContextManager[Path]:
        """Return a context that gives a file to read.

        Raises:
            InputError: it is not there.
        """

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def tidy(self, name: str) -> None:
        """Remove what killed processes left of a file."""

    def leave(self) -> None:
        """Remove what killed processes left in it, and the folder itself if nothing else is in it."""


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """A folder on a disk; of several machines, one that all of them see under this path."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def below(self, name: str) -> FolderPlace:
        """See `Place`."""
        return FolderPlace(self.path / name)

    def has(self, name: str) -> bool:
        """See `Place`."""
        return (self.path / name).exists()

    def names(self) -> list[str]:
        """See `Place`."""
        try:
            return sorted(file.name for file in self.path.iterdir() if not file.name.startswith(".") and file.is_file())
        except OSError:
            return []

    @contextmanager
    def writing(self, name: str, suffix: str = "") -> Iterator[Path]:
        """See `Place`."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target, suffix) as partial:
            yield partial

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """See `Place`; who opens the file is told if it is not there."""
        yield self.path / name

    def remove(self, name: str) -> None:
        """See `Place`."""
        (self.path / name).unlink(missing_ok=True)

    def tidy(self, name: str) -> None:
        """See `Place`."""
        target = self.path / name
        clear_leftovers(target.parent, target.name)

    def leave(self) -> None:
        """See `Place`."""
        with suppress(OSError):
            clear_leftovers(self.path)
            self.path.rmdir()  # what is not empty stays


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """A folder in a bucket, where a file is whole when it has its name."""

    address: str

    def __str__(self) -> str:
        return self.address

    def below(self, name: str) -> BucketPlace:
        """See `Place`."""
        return BucketPlace(bucket.below(self.address, name))

    def has(self, name: str) -> bool:
        """See `Place`."""
        return bucket.exists(bucket.below(self.address, name))

    def names(self) -> list[str]:
        """See `Place`."""
        return [address.rpartition("/")[2] for address in bucket.files(self.address)]

    @contextmanager
    def writing(self, name: str, suffix: str = "") -> Iterator[Path]:
        """See `Place`."""
        del suffix
        with hidden_folder(Path(tempfile.gettempdir()), "ovvis-results") as hidden:
            made = hidden / name.rpartition("/")[2]
            yield made
            bucket.put(made, bucket.below(self.address, name))

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """See `Place`."""
        path, remove = bucket.fetched(bucket.below(self.address, name))
        try:
            yield path
        finally:
            remove()

    def remove(self, name: str) -> None:
        """See `Place`."""
        bucket.remove(bucket.below(self.address, name))

    def tidy(self, name: str) -> None:
        """Do nothing: nothing there is half written."""

    def leave(self) -> None:
        """Do nothing: an empty folder of a bucket is none, and nothing there is half written."""


def place_of(text: Path | str) -> Place:
    """Return the place that an option names."""
    if bucket.is_bucket(str(text)):
        return BucketPlace(str(text).rstrip("/"))
    return FolderPlace(user_path(text).absolute())
