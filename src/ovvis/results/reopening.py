"""The source of a result, opened again: masks are kept, pictures are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ovvis.errors import InputError
from ovvis.paths import find_source
from ovvis.sources.source import TIME_SLACK, Source
from ovvis.sources.video import open_source
from ovvis.structures import Frame, FrameSource, VideoResult

_OPTIONS = ("every", "start", "end", "max_frames", "duration", "fps", "stream", "levels")


def source_of(result: VideoResult) -> FrameSource:
    """Return the source of a result: the one at hand, else that of its file, which the result then keeps.

    Raises:
        InputError: it is not here, or cannot be opened; says how to give it.
    """
    if result.video is None:
        place = find_source(result.opened_as.get("source"), Path())
        if place is None:
            raise _missing(result)
        result.video = _Again(result, open_source(place, **_options(result.opened_as)))
    return result.video


def frames_of(result: VideoResult) -> Iterator[Frame]:
    """Return a pass over the frames of a result's source.

    Raises:
        InputError: as `source_of`.
    """
    source = source_of(result)
    if isinstance(source, (Source, _Again)):
        return iter(source)
    return (source.frame(index) for index in result.frame_indices)


class _Again:
    """A source that was opened again: each frame must lie where the result has it."""

    def __init__(self, result: VideoResult, source: Source) -> None:
        self._source, self._name = source, result.source
        self._times = dict(zip(result.frame_indices, result.frame_times, strict=True))

    def frame(self, index: int) -> Frame:
        """Return a frame by its number."""
        return self._checked(self._source.frame(index))

    def __iter__(self) -> Iterator[Frame]:
        return map(self._checked, self._source)

    def _checked(self, frame: Frame) -> Frame:
        time = self._times.get(frame.index, frame.time)
        if abs(time - frame.time) > 2 * TIME_SLACK:
            raise InputError(
                f"{self._name} is another video by now: its frame {frame.index} is shown at {frame.time:.3f} s, that of"
                f" the result at {time:.3f} s; give the video that was segmented"
            )
        return frame


def _options(opened_as: dict[str, Any]) -> dict[str, Any]:
    chosen = {name: opened_as[name] for name in _OPTIONS if name in opened_as}
    if isinstance(chosen.get("levels"), list):
        chosen["levels"] = tuple(chosen["levels"])
    return chosen


def _missing(result: VideoResult) -> InputError:
    where = result.opened_as.get("source")
    looked = f" (it was {where})" if where else ""
    return InputError(
        f"{result.source} is not here{looked}, and its pictures are needed: set result.video ="
        " ovvis.open_source(VIDEO), or load_result(..., source=VIDEO)"
    )
