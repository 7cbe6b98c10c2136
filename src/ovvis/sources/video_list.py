"""Names of videos that are read as they are needed: a list of a million of them is no reason to hold it in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from ovvis.bucket import below, is_bucket, lines
from ovvis.errors import InputError
from ovvis.paths import user_path
from ovvis.sources.devices import is_device
from ovvis.sources.names import Keys, key_of
from ovvis.sources.place import is_address, shown_address

_LONGEST = 64 << 10  # bytes of a line


class ListFile:
    """The videos that a text file names, a path or an address a line; `#` begins a comment.

    Args:
        path: the file, here or in a bucket. Paths in it count from its folder.

    Raises:
        InputError: it cannot be read, is no such list, or names no video.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._state = self._of_disk()
        if next(iter(self), None) is None:
            raise InputError(f"list {path} names no video: write a path or an address a line")

    def _of_disk(self) -> tuple[int, int] | None:
        if isinstance(self._path, str):
            return None
        try:
            found = self._path.stat()
        except OSError as error:
            raise self._unreadable(error) from error
        return found.st_size, found.st_mtime_ns

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(f"list {self._path} cannot be read ({error.strerror}): give a text file, a video a line")

    def __iter__(self) -> Iterator[str]:
        if self._of_disk() != self._state:
            raise InputError(f"list {self._path} was changed while it was read: run it again, with a list that rests")
        try:
            with lines(self._path) if isinstance(self._path, str) else self._path.open("rb") as file:
                yield from self._videos(file)
        except OSError as error:
            if isinstance(error, InputError):
                raise
            raise self._unreadable(error) from error

    def _videos(self, file: IO[bytes]) -> Iterator[str]:
        place = 0
        stream = False
        while data := file.readline(_LONGEST + 1):
            if len(data) > _LONGEST:
                raise InputError(
                    f"list {self._path} has a line of {_LONGEST >> 10} KB: it must be text, a video a line"
                )
            content = data.removeprefix(b"\xef\xbb\xbf") if place == 0 else data
            try:
                line = content.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                byte = place + error.start
                raise InputError(f"list {self._path} is no text in UTF-8 (byte {byte}): save it as UTF-8") from error
            stream = stream or (place == 0 and line.startswith("#EXTM3U"))
            place += len(data)
            if stream and line.startswith("#EXT-X-"):
                raise InputError(f"{self._path} is a playlist of one stream: call it .m3u8, or give its address")
            if line and not line.startswith("#"):
                yield self._beside(line)

    def _beside(self, line: str) -> str:
        """Return what a line names; paths count from the list's folder."""
        if len(line) > 1 and line[0] == line[-1] and line[0] in "\"'":
            line = line[1:-1]
        if is_address(line):
            return line
        if line == "-" or is_device(line):
            raise InputError(f"list {self._path} names {line}, which does not end: give it alone")
        if isinstance(self._path, str):
            return below(self._path.rpartition("/")[0], line) if not line.startswith("/") else line
        return str(self._path.parent / user_path(line))


class VideoList(Sequence[str]):
    """Videos in an order, each once.

    Args:
        parts: what was given, in its order; each is read several times.
    """

    def __init__(self, parts: Sequence[Iterable[str]]) -> None:
        self._parts = parts
        keys = Keys(self._all())
        self._repeated = keys.repeated()
        twice: set[str] = set()
        extra = 0
        self.twice: str | None = None  # one that was named more than once
        if self._repeated:
            for text in self._all():
                if key_of(text) in self._repeated:
                    if text in twice:
                        extra, self.twice = extra + 1, self.twice or text
                    twice.add(text)
        self._length = len(keys) - extra

    def _all(self) -> Iterator[str]:
        for part in self._parts:
            yield from part

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        for text in self._all():
            if key_of(text) in self._repeated:
                if text in seen:
                    continue
                seen.add(text)
            yield text

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int | slice) -> str | list[str]:  # type: ignore[override]
        if isinstance(index, slice):
            return list(self)[index]
        if index < 0:
            index += len(self)
        for at, text in enumerate(self):
            if at == index:
                return text
        raise IndexError(index)


def shown(text: str) -> str:
    """Return a video's name as a message shows it."""
    return shown_address(text) if is_address(text) or is_bucket(text) else text
