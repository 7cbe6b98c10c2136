"""A folder of predictions: a whole file for each video, so that a run can stop anywhere and go on.

DIR/settings.json            what made the results; a run with other settings is refused
DIR/results/VIDEO_ID.json    a video's results, an entry a line; the file is there when the video is done
DIR/broken/VIDEO_ID.json     why a video has none: its frames cannot be read
DIR/results.json, ...        the whole split: `ovvis.predictions.submission`
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from ovvis.datasets.annotations import Annotations, Video
from ovvis.errors import DISK_FULL, InputError
from ovvis.evaluation.records import ResultTrack
from ovvis.files.hidden import clear_leftovers
from ovvis.files.lock import clear_locks, release_lock, take_lock
from ovvis.files.output import disk_full
from ovvis.paths import user_path
from ovvis.predictions.run_settings import SETTINGS, keep_settings
from ovvis.predictions.submission import packed_files
from ovvis.predictions.video_file import BROKEN, RESULTS, broken_file, is_done, mark_broken, results_file, write_video

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
        path: the folder; made on entering.
        dataset: the split.
        images: whether it is one of images (COCO's results) and not of videos (YouTube-VIS's).
        shard: the videos that this process works on.

    Raises:
        InputError: on entering: the folder cannot be used, or another process runs the same shard in it.
    """

    def __init__(
        self, path: str | Path, dataset: Annotations, images: bool = False, shard: Shard | None = None
    ) -> None:
        self.path = user_path(path).absolute()
        self.dataset, self.images, self.shard = dataset, images, shard or Shard()
        self._lock: TextIO | None = None

    def __enter__(self) -> PredictionFolder:
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
        with suppress(OSError):  # what is not empty stays
            self.path.rmdir()

    def clear(self) -> None:
        """Remove every prediction in the folder, whole or not, and nothing else.

        Raises:
            InputError: another shard is at work in it.
        """
        if clear_locks(self.path, self.shard.suffix):
            raise InputError(f"--restart would drop what other shards are predicting in {self.path}: wait for them")
        for folder in (self.path / RESULTS, self.path / BROKEN):
            for file in folder.glob("*.json"):
                file.unlink()
        for name in (SETTINGS, *packed_files(self.dataset.categories)):
            (self.path / name).unlink(missing_ok=True)

    def keep_settings(self, settings: dict[str, Any]) -> list[str]:
        """Write what makes the results, or compare it with what made those that are there.

        Args:
            settings: values that JSON knows.

        Returns:
            Warnings: what differs but only moves the last digits, such as the device.

        Raises:
            InputError: a setting differs; names it, both values and the remedy.
        """
        if not (self.path / SETTINGS).exists() and (found := self._results()):
            raise InputError(
                f"output folder {self.path} holds results ({found}) without {SETTINGS}, so what made them is not "
                "known: choose another --output, or drop them with --restart"
            )
        return keep_settings(self.path / SETTINGS, settings, self.shard.suffix)

    def _results(self) -> str | None:
        """Return the name of the first file of results, whoever wrote it."""
        whole = [self.path / name for name in packed_files(self.dataset.categories)]
        found = [*(self.path / RESULTS).glob("*.json"), *(path for path in whole if path.exists())]
        return found[0].relative_to(self.path).as_posix() if found else None

    def file(self, video: Video) -> Path:
        """Return the file of a video's results."""
        return results_file(self.path, video)

    def done(self, video: Video) -> bool:
        """Return whether a video's results are there, whole."""
        return is_done(self.path, video)

    def mine(self) -> list[Video]:
        """Return the videos of this shard, in the dataset's order."""
        return list(self.dataset.videos[self.shard.index - 1 :: self.shard.count])

    def pending(self) -> list[Video]:
        """Return the videos of this shard that have no results yet."""
        return [video for video in self.mine() if not self.done(video)]

    def write(self, video: Video, tracks: Iterable[ResultTrack]) -> int:
        """Write a video's results, one mask at a time, and return how many there are.

        Raises:
            ResourceError: the disk is full.
        """
        return write_video(self.path, video, tracks, self.images, self.shard.suffix)

    def mark_broken(self, video: Video, problem: str) -> None:
        """Write down why a video has no results."""
        mark_broken(self.path, video, problem, self.shard.suffix)

    def broken(self) -> list[Video]:
        """Return the videos of the whole split, other shards' too, that have no results because they are broken."""
        return [
            video for video in self.dataset.videos if broken_file(self.path, video).exists() and not self.done(video)
        ]

    def missing(self) -> list[Video]:
        """Return the videos of the whole split, other shards' too, that are neither done nor broken."""
        return [v for v in self.dataset.videos if not self.done(v) and not broken_file(self.path, v).exists()]


def _remove_leftovers(folder: Path, own: str) -> None:
    """Remove what killed processes were writing, and their locks; what a living one writes stays."""
    living = clear_locks(folder, own)
    for place in (folder, folder / RESULTS, folder / BROKEN):
        clear_leftovers(place, spared=living)
