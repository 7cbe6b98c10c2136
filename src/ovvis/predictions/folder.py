"""A folder of predictions: a whole file for each video, so that a run can stop anywhere and go on.

DIR/settings.json            what made the results; a run with other settings is refused
DIR/results/VIDEO_ID.json    a video's results, an entry a line; the file is there when the video is done
DIR/broken/VIDEO_ID.json     why a video has none: its frames cannot be read
DIR/results.json, ...        the whole split: `ovvis.predictions.submission`
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from ovvis.datasets.annotations import Annotations, Video
from ovvis.errors import DISK_FULL, InputError
from ovvis.evaluation.records import ResultTrack
from ovvis.files.hidden import clear_leftovers, hidden_folder
from ovvis.files.lock import clear_locks, release_lock, take_lock
from ovvis.files.output import disk_full
from ovvis.places import FolderPlace, place_of
from ovvis.predictions.run_settings import SETTINGS, agree_on
from ovvis.predictions.submission import pack, packed_files
from ovvis.predictions.video_file import BROKEN, RESULTS, broken_name, is_done, mark_broken, results_name, write_video

PATIENCE = 0.5  # seconds; another process that starts may hold a lock for a moment, to see whether it is free


@dataclass(frozen=True, slots=True)
class Shard:
    """A share of a split's videos: each `count`-th, from the `index`-th on."""

    index: int = 1  # from 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "2/4", the second of four.

        Raises:
            InputError: it is no such pair, or the first number is above the second.

        >>> Shard.parse("2/4")
        Shard(index=2, count=4)
        """
        found = re.fullmatch(r"\s*([0-9]{1,6})\s*/\s*([0-9]{1,6})\s*", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise InputError(f"shard {text!r}: it must be i/n with 1 <= i <= n, such as 2/4; write it so")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def suffix(self) -> str:
        """What the hidden files of this shard end in."""
        return f".{self.index}-of-{self.count}"


class PredictionFolder:
    """The predictions of a split on disk, as one process sees them.

    Several processes may share a folder when each has its own shard: a video's file is written by one of them, under
    a hidden name until it is whole and on the disk.

    Args:
        place: the folder, made on entering, or an address in a bucket.
        dataset: the split.
        images: whether it is one of images (COCO's results) and not of videos (YouTube-VIS's).
        shard: the videos that this process works on.

    Raises:
        InputError: on entering: the folder cannot be used, or another process runs the same shard in it.
    """

    def __init__(
        self, place: str | Path, dataset: Annotations, images: bool = False, shard: Shard | None = None
    ) -> None:
        self.place = place_of(place)
        self.dataset, self.images, self.shard = dataset, images, shard or Shard()
        self._lock: TextIO | None = None

    @property
    def path(self) -> Path:
        """The folder, where it is one on this machine.

        Raises:
            ValueError: it lies in a bucket.
        """
        if not isinstance(self.place, FolderPlace):
            raise ValueError(f"{self.place} is no folder of this machine")
        return self.place.path

    def __enter__(self) -> PredictionFolder:
        if not isinstance(self.place, FolderPlace):  # there are no locks, and what is not whole is not there
            self.place.has(SETTINGS)  # what is wrong with the address is told before any work
            return self
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = take_lock(self.path, self.shard.suffix, PATIENCE)
            if self._lock is not None:
                _remove_leftovers(self.path, self.shard.suffix)
        except OSError as error:
            self.__exit__(None, None, None)
            if error.errno in DISK_FULL:
                raise disk_full(error, self.path) from error
            raise InputError(
                f"output folder {self.path} must be a writable folder ({error.strerror}): change its permissions or "
                "choose another --output"
            ) from error
        if self._lock is None:
            raise InputError(
                f"output folder {self.path}: another process is predicting shard {self.shard} in it; wait for it, or "
                "give each process its own --shard i/n"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            release_lock(self._lock)
            self._lock = None
        if isinstance(self.place, FolderPlace):
            with suppress(OSError):  # what is not empty stays
                self.path.rmdir()

    def clear(self) -> None:
        """Remove every prediction in the folder, whole or not, and nothing else.

        Raises:
            InputError: another shard is at work in it.
        """
        place = self.place
        if isinstance(place, FolderPlace) and clear_locks(place.path, self.shard.suffix):
            raise InputError(f"--restart would drop what other shards are predicting in {self.path}: wait for them")
        for folder in (place.below(RESULTS), place.below(BROKEN)):
            for name in folder.names():
                if name.endswith(".json"):
                    folder.remove(name)
        for name in (SETTINGS, *packed_files(self.dataset.categories)):
            place.remove(name)

    def keep_settings(self, settings: dict[str, Any]) -> list[str]:
        """Write what makes the results, or compare it with what made those that are there.

        Args:
            settings: values that JSON knows.

        Returns:
            Warnings: what differs but only moves the last digits, such as the device.

        Raises:
            InputError: a setting differs; names it, both values and the remedy.
        """
        if not self.place.has(SETTINGS) and (found := self._results()):
            raise InputError(
                f"output folder {self.place} holds results ({found}) without {SETTINGS}, so what made them is not "
                "known: choose another --output, or drop them with --restart"
            )
        return agree_on(self.place, SETTINGS, settings, self.shard.suffix)

    def _results(self) -> str | None:
        """Return the name of the first file of results, whoever wrote it."""
        for name in self.place.below(RESULTS).names():
            if name.endswith(".json"):
                return f"{RESULTS}/{name}"
        return next((name for name in packed_files(self.dataset.categories) if self.place.has(name)), None)

    def file(self, video: Video) -> Path:
        """Return the file of a video's results, in a folder of this machine."""
        return self.path / results_name(video)

    def done(self, video: Video) -> bool:
        """Return whether a video's results are there, whole."""
        return is_done(self.place, video)

    def _done(self, videos: Iterable[Video]) -> set[int]:
        """Return the ids of those of some videos whose results are there, whole; of a bucket by one listing."""
        if isinstance(self.place, FolderPlace):
            return {video.id for video in videos if self.done(video)}
        there = set(self.place.below(RESULTS).names())
        return {video.id for video in videos if f"{video.id}.json" in there}

    def _marked(self) -> set[str]:
        """Return the names of the files of broken videos."""
        return {f"{BROKEN}/{name}" for name in self.place.below(BROKEN).names()}

    def mine(self) -> list[Video]:
        """Return the videos of this shard, in the dataset's order."""
        return list(self.dataset.videos[self.shard.index - 1 :: self.shard.count])

    def pending(self) -> list[Video]:
        """Return the videos of this shard that have no results yet."""
        done = self._done(self.mine())
        return [video for video in self.mine() if video.id not in done]

    def write(self, video: Video, tracks: Iterable[ResultTrack]) -> int:
        """Write a video's results, one mask at a time, and return how many there are.

        Raises:
            ResourceError: the disk is full.
        """
        return write_video(self.place, video, tracks, self.images, self.shard.suffix)

    def mark_broken(self, video: Video, problem: str) -> None:
        """Write down why a video has no results."""
        mark_broken(self.place, video, problem, self.shard.suffix)

    def broken(self) -> list[Video]:
        """Return the videos of the whole split, other shards' too, that have no results because they are broken."""
        marked, done = self._marked(), self._done(self.dataset.videos)
        return [v for v in self.dataset.videos if broken_name(v) in marked and v.id not in done]

    def missing(self) -> list[Video]:
        """Return the videos of the whole split, other shards' too, that are neither done nor broken."""
        marked, done = self._marked(), self._done(self.dataset.videos)
        return [v for v in self.dataset.videos if v.id not in done and broken_name(v) not in marked]

    def pack(self, on_file: Callable[[int], None] | None = None) -> list[tuple[str, int]]:
        """Write the files of the whole split; see `submission.pack`.

        Args:
            on_file: called with the number of videos' files done.

        Returns:
            Names and bytes of what was written.
        """
        done = self._done(self.dataset.videos)
        names = [results_name(video) for video in self.dataset.videos if video.id in done]
        if isinstance(self.place, FolderPlace):
            files = [self.path / name for name in names]
            made = pack(self.path, self.dataset, files, self.shard.suffix, on_file)
            return [(path.name, path.stat().st_size) for path in made]
        written = []
        with hidden_folder(Path(tempfile.gettempdir()), "ovvis-packed") as folder:
            with closing(self._fetched(names)) as fetched:
                made = pack(folder, self.dataset, fetched, on_file=on_file)
            for path in made:
                written.append((path.name, path.stat().st_size))
                with self.place.writing(path.name) as target:
                    path.replace(target)
        return written

    def _fetched(self, names: Iterable[str]) -> Generator[Path]:
        for name in names:
            with self.place.reading(name) as path:
                yield path


def _remove_leftovers(folder: Path, own: str) -> None:
    """Remove what killed processes were writing, and their locks; what a living one writes stays."""
    living = clear_locks(folder, own)
    for place in (folder, folder / RESULTS, folder / BROKEN):
        clear_leftovers(place, spared=living)
