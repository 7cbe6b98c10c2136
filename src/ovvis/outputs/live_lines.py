"""What a live stream shows as lines of JSON, each whole in itself: `start`, a `frame` each, `labels`, `end`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol

import msgspec

from ovvis.masks import Rle
from ovvis.structures import LiveFrame, SourceInfo

_PLACES = 4  # digits behind the point of a score, a box and a time


class Lines(Protocol):
    """Where lines go."""

    may_wait: bool  # for whoever reads them, without end

    def write(self, line: bytes) -> None:
        """Take a line, its end included.

        Raises:
            OSError: it could not be written.
        """

    def close(self) -> None:
        """Send what is still on its way."""


def start_line(info: SourceInfo, labels: tuple[str, ...], settings: Mapping[str, Any]) -> bytes:
    """Return the first line: what is read, what is looked for, by what."""
    source = {"source": info.name, "height": info.height, "width": info.width, "fps": info.fps}
    return _line({"kind": "start", **source, "labels": labels, "settings": settings})


def frame_line(live: LiveFrame, latency: float, masks: bool = True) -> bytes:
    """Return a frame's line.

    Args:
        live: the frame.
        latency: seconds from capture to now.
        masks: whether masks are in it (COCO's run-length codes), or boxes alone.
    """
    instances = [
        {
            "id": one.id,
            "label": one.label,
            "score": round(one.score, _PLACES),
            "box": [round(value, _PLACES) for value in one.box],
            **({"mask": _as_text(one.mask)} if masks else {}),
        }
        for one in live.instances
    ]
    moment = {"frame": live.frame.index, "time": round(live.time, _PLACES), "latency": round(latency, _PLACES)}
    return _line({"kind": "frame", **moment, "left_out": live.left_out, "instances": instances})


def labels_line(live: LiveFrame) -> bytes:
    """Return the line before a frame that is the first under other labels."""
    return _line({"kind": "labels", "frame": live.frame.index, "labels": live.labels})


def end_line(figures: Mapping[str, Any], problem: str | None) -> bytes:
    """Return the last line: the run's figures, and why it ended early, or null."""
    return _line({"kind": "end", **figures, "problem": problem})


def _as_text(mask: Rle) -> dict[str, Any]:
    return {"size": mask["size"], "counts": mask["counts"].decode("ascii")}


def _line(record: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(record, enc_hook=str) + b"\n"  # versions that are kinds of their own


class LinesFile:
    """A file of lines, each of which is there as soon as it is written; a file that is killed lacks no whole line.

    Args:
        path: the file; a pipe or a device too.
        stream: an open binary stream in its place, such as standard output, which stays open.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path | None = None, stream: BinaryIO | None = None) -> None:
        self._own, self._path = stream is None, path
        if stream is None:
            assert path is not None
            stream = path.open("ab", buffering=0)
        self._stream = stream
        self.may_wait = path is None or not path.is_file()

    def write(self, line: bytes) -> None:
        """Write a line through to the system.

        Raises:
            OSError: it could not be written; of a file, a part of it is taken back.
        """
        if not self._own:
            self._stream.write(line)
            self._stream.flush()
            return
        written = 0
        try:
            while written < len(line):
                written += self._stream.write(line[written:])
        except OSError:
            if written:
                with suppress(OSError):
                    os.ftruncate(self._stream.fileno(), os.fstat(self._stream.fileno()).st_size - written)
            raise

    def close(self) -> None:
        """Close the file, if it is one of its own; one that nothing was written to goes."""
        if self._own and not self._stream.closed:
            empty = self._path is not None and self._path.is_file() and not os.fstat(self._stream.fileno()).st_size
            self._stream.close()
            if empty and self._path is not None:
                self._path.unlink(missing_ok=True)

    def __enter__(self) -> LinesFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def is_regular(path: Path) -> bool:
    """Return whether a path is a file in which lines would stay, not a pipe or a device."""
    return not os.path.lexists(path) or path.is_file()
