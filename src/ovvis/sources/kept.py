"""Frames of a source that is read once, kept in a temporary video so that they can be painted afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, final

import av

from ovvis.sources.container import decode
from ovvis.sources.place import file_place
from ovvis.sources.rgb import RgbFrames
from ovvis.sources.source import Source
from ovvis.structures import Frame

_OPTIONS = {"crf": "10", "preset": "ultrafast", "tune": "zerolatency", "g": "250"}  # nothing of it is seen when painted


class _Nothing:
    """A watcher for which all is well: what is read was written here."""

    def fed(self, packet: Any) -> None:
        """Note nothing."""

    def failed(self, reason: str) -> None:
        """Note nothing."""

    doubted = broke = failed


@final
class KeptFrames(Source):
    """A source that is read once, and again from what was kept of it: frames look the same to the eye, not to a bit.

    Use it as a context manager: the temporary video goes with it.

    Args:
        source: any.
    """

    rereadable = True

    def __init__(self, source: Source) -> None:
        self.info, self.endless, self.live = source.info, source.endless, source.live
        self._source = source
        self._places: list[tuple[int, float]] = []  # index and time of the frames that were kept
        self._read = False

    def __enter__(self) -> KeptFrames:
        self._stack = ExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="ovvis-"))
        self._path = Path(folder) / "frames.mkv"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def notes(self) -> list[str]:  # type: ignore[override]
        """What the source says."""
        return list(self._source.notes)

    @property
    def problem(self) -> str | None:  # type: ignore[override]
        """What the source says."""
        return self._source.problem

    def __iter__(self) -> Iterator[Frame]:
        if self._read:
            return self._again()
        self._read = True
        return self._first()

    def _first(self) -> Iterator[Frame]:
        height, width = self.info.height, self.info.width
        with av.open(str(self._path), "w") as out:
            stream: Any = out.add_stream("libx264rgb", rate=25, options=_OPTIONS)
            stream.height, stream.width, stream.pix_fmt = height, width, "rgb24"
            try:
                for frame in self._source:
                    picture = av.VideoFrame.from_ndarray(frame.image, format="rgb24")
                    picture.pts, picture.time_base = len(self._places), Fraction(1, 25)
                    out.mux(stream.encode(picture))
                    self._places.append((frame.index, frame.time))
                    yield frame
            finally:
                out.mux(stream.encode(None))

    def _again(self) -> Iterator[Frame]:
        place, rgb = file_place(self._path), None
        for (index, time), picture in zip(self._places, decode(place, _Nothing()), strict=False):
            rgb = rgb or RgbFrames(self.info.name, picture)
            yield Frame(rgb(picture, picture.height, picture.width), index, time)
