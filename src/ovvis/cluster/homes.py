"""Where the folders of many videos' results lie: on a disk, or in a bucket. Each is whole, or is not done."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ovvis import bucket
from ovvis.cluster.spreading import stretches_name
from ovvis.errors import InputError
from ovvis.files.hidden import clear_leftovers, hidden_file, hidden_folder
from ovvis.files.lock import release_lock, take_lock
from ovvis.files.output import LOCK, OutputFolder
from ovvis.outputs.formats.tracks_json import TRACKS
from ovvis.paths import user_path
from ovvis.places import BucketPlace, FolderPlace, Place
from ovvis.predictions.run_settings import agree_on
from ovvis.results.video_folder import VIDEO, WRITTEN, is_whole

DYING = 3.0  # seconds that a killed process may take to go


class Home(Protocol):
    """A place for results. It can be sent to another process, also on another machine."""

    def __str__(self) -> str:
        """Return it as it is named."""

    def is_done(self, name: str, source: str, video: bool) -> bool:
        """Return whether a video's results are there, and are not older than the video.

        Args:
            name: of the folder.
            source: the video, as it was named.
            video: whether a painted one belongs to its results.
        """

    def writing(self, name: str, patience: float) -> Any:
        """Return a context that gives an entered `OutputFolder`, whose files are there after it, or none is.

        Args:
            name: of the folder.
            patience: seconds to wait for another process that writes it.
        """

    def stretches(self, name: str) -> Place:
        """Return where what is said of a video's stretches lies until its results are there."""

    def tidy(self, name: str) -> None:
        """Remove what killed processes left of a folder."""

    def with_results(self, names: Iterable[str]) -> str | None:
        """Return one of the names under which there are results, if there is one; read only if any are there."""

    def begin(self) -> bool:
        """Make the place where it is missing, and return whether it was there.

        Raises:
            InputError: it cannot be made.
        """

    def agree(self, name: str, facts: Mapping[str, Any], anew: str) -> list[str]:
        """Write what makes the results, or compare it with what made those that are there: see `agree_on`."""

    def has(self, name: str) -> bool:
        """Return whether a file of the home itself is there."""

    def forget(self, *names: str) -> None:
        """Remove files of the home itself."""

    def leave(self) -> None:
        """Remove the home if nothing is in it."""

    def shown(self) -> AbstractContextManager[list[Path]]:
        """Return a context that gives what another machine must see if it is to see this home."""


@contextmanager
def shown(place: Place) -> Iterator[list[Path]]:
    """Give what another machine must see if it is to see a place: of a folder a hidden file in it."""
    if not isinstance(place, FolderPlace):
        yield []
        return
    with hidden_file(place.path, "seen-by-all") as token:
        yield [token]


@dataclass(frozen=True, slots=True)
class FolderHome:
    """A folder on a disk; of several machines, one that all of them see under this path."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def is_done(self, name: str, source: str, video: bool) -> bool:
        """See `Home`."""
        return is_whole(self.path / name, source, video)

    @contextmanager
    def writing(self, name: str, patience: float) -> Iterator[OutputFolder]:
        """See `Home`."""
        with OutputFolder(self.path / name, WRITTEN, overwrite=True, patience=patience) as folder:
            yield folder

    def stretches(self, name: str) -> Place:
        """See `Home`."""
        return FolderPlace(self.path / stretches_name(name))

    def tidy(self, name: str) -> None:
        """See `Home`."""
        folder = self.path / name
        with suppress(OSError):
            lock = take_lock(folder, LOCK, DYING)
            if lock is not None:
                clear_leftovers(folder, folder.name)
                release_lock(lock)
                folder.rmdir()  # what is not empty stays

    def with_results(self, names: Iterable[str]) -> str | None:
        """See `Home`."""
        with suppress(OSError):
            there = {entry.name for entry in self.path.iterdir() if (entry / TRACKS).exists()}
            return next((name for name in names if name in there), None) if there else None
        return None

    def begin(self) -> bool:
        """See `Home`."""
        there = self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"output folder {self.path} cannot be made ({error.strerror}): choose another --output"
            ) from error
        return there

    def agree(self, name: str, facts: Mapping[str, Any], anew: str) -> list[str]:
        """See `Home`."""
        return agree_on(FolderPlace(self.path), name, facts, "", anew)

    def has(self, name: str) -> bool:
        """See `Home`."""
        return (self.path / name).exists()

    def forget(self, *names: str) -> None:
        """See `Home`."""
        for name in names:
            (self.path / name).unlink(missing_ok=True)

    def leave(self) -> None:
        """See `Home`."""
        with suppress(OSError):  # what is not empty stays
            self.path.rmdir()

    @contextmanager
    def shown(self) -> Iterator[list[Path]]:
        """See `Home`."""
        with shown(FolderPlace(self.path)) as token:
            yield token


@dataclass(frozen=True, slots=True)
class BucketHome:
    """A folder in a bucket. A file appears there when it is whole, the tracks after all others."""

    address: str

    def __str__(self) -> str:
        return self.address

    def is_done(self, name: str, source: str, video: bool) -> bool:
        """See `Home`."""
        tracks = bucket.below(self.address, f"{name}/{TRACKS}")
        if not bucket.exists(tracks):
            return False
        if video and not bucket.exists(bucket.below(self.address, f"{name}/{VIDEO}")):
            return False
        made, newest = bucket.modified(tracks), _modified(source)
        return made is None or newest is None or newest <= made

    @contextmanager
    def writing(self, name: str, patience: float) -> Iterator[OutputFolder]:
        """See `Home`."""
        with hidden_folder(Path(tempfile.gettempdir()), "ovvis-results") as hidden:
            with OutputFolder(hidden / name, WRITTEN, patience=patience) as folder:
                yield folder
            made = [folder.path / file for file in WRITTEN if (folder.path / file).exists()]
            for file in sorted(made, key=lambda path: path.name == TRACKS):
                bucket.put(file, bucket.below(self.address, f"{name}/{file.name}"))

    def stretches(self, name: str) -> Place:
        """See `Home`."""
        return BucketPlace(bucket.below(self.address, stretches_name(name)))

    def tidy(self, name: str) -> None:
        """Do nothing: what was not whole never was there."""

    def with_results(self, names: Iterable[str]) -> str | None:
        """See `Home`."""
        for name in names if bucket.folders(self.address) else ():
            if bucket.exists(bucket.below(self.address, f"{name}/{TRACKS}")):
                return name
        return None

    def begin(self) -> bool:
        """See `Home`."""
        return bool(bucket.folders(self.address))

    def agree(self, name: str, facts: Mapping[str, Any], anew: str) -> list[str]:
        """See `Home`."""
        return agree_on(BucketPlace(self.address), name, facts, "", anew)

    def has(self, name: str) -> bool:
        """See `Home`."""
        return bucket.exists(bucket.below(self.address, name))

    def forget(self, *names: str) -> None:
        """See `Home`."""
        for name in names:
            bucket.remove(bucket.below(self.address, name))

    def leave(self) -> None:
        """Do nothing: an empty folder of a bucket is none."""

    @contextmanager
    def shown(self) -> Iterator[list[Path]]:
        """See `Home`: nothing."""
        yield []


def _modified(source: str) -> float | None:
    if bucket.is_bucket(source):
        return bucket.modified(source)
    with suppress(OSError):
        return user_path(source).stat().st_mtime
    return None


def home_of(place: Path | str) -> Home:
    """Return the home of results that an option names."""
    text = str(place)
    if bucket.is_bucket(text):
        return BucketHome(text.rstrip("/"))
    return FolderHome(user_path(text).absolute())
