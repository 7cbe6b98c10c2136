"""The pictures of the video that results are of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ovvis.comparing.opening import Opened
from ovvis.comparing.sides import Aligned
from ovvis.errors import InputError
from ovvis.outputs.matching import result_frames
from ovvis.paths import find_source, user_path
from ovvis.results.reopening import frames_of, source_of
from ovvis.sources.source import TIME_SLACK
from ovvis.sources.video import open_source
from ovvis.structures import Frame, VideoResult

Pixels = NDArray[np.uint8]
_OPTIONS = ("fps", "stream", "levels")
NOT_HERE = "The video is not here: masks are shown on a plain ground. --source VIDEO says where it lies."


@dataclass(frozen=True, slots=True)
class Pictures:
    """The compared frames.

    Args:
        result: of the compared frames alone: which they are, and when they are shown.
        open: gives a pass over the video; None: it is not here.
        path: the video's place, if it is a file or folder.
        says: what a person should know.
    """

    result: VideoResult
    open: Callable[[], Iterable[Frame]] | None = field(default=None, repr=False)
    path: str | None = None
    says: tuple[str, ...] = field(default=())

    def each(self, wanted: Collection[int] | None = None) -> Iterator[tuple[int, Pixels | None]]:
        """Yield frames with their position; all, or some of them.

        Raises:
            InputError: the video is another one than the results'.
        """
        count = len(self.result.frame_indices)
        positions = range(count) if wanted is None else sorted(wanted)
        if self.open is None:
            yield from ((position, None) for position in positions)
            return
        left = set(positions)
        for position, frame in result_frames(self.result, self.open()):
            if position in left:
                self._see(position, frame)
                left.discard(position)
                yield position, frame.image
            if not left:
                return
        if wanted is None and left:
            raise InputError(
                f"{len(left):,} of the {count:,} compared frames are not in the video: give the one that was segmented"
            )

    def _see(self, position: int, frame: Frame) -> None:
        time = self.result.frame_times[position]
        if abs(time - frame.time) > 2 * TIME_SLACK:
            raise InputError(
                f"frame {frame.index} of the video is shown at {frame.time:.3f} s, that of the results at "
                f"{time:.3f} s: give the video that was segmented"
            )


def pictures_of(aligned: Aligned, source: str | PathLike[str] | None) -> Pictures:
    """Return the pictures of results: of a video that is given, or that a result or a dataset knows.

    Raises:
        InputError: the given video cannot be read.
    """
    first = aligned.first
    times = [first.result.frame_times[place] for place in aligned.places]
    result = replace(
        first.result, tracks=[], frame_indices=list(aligned.indices), frame_times=times, storage=None, notes=[]
    )
    if source is not None:
        return _given(result, source, first.timed)
    for one in aligned.given:
        if one.timed:
            try:
                source_of(one.result)
            except InputError:
                continue  # it lies elsewhere by now
            place = find_source(one.result.opened_as.get("source"), Path())
            return Pictures(result, partial(frames_of, one.result), place)
    for one in aligned.given:
        if one.frames is not None:
            return Pictures(result, partial(_renumbered, one, result))
    return Pictures(result, says=(NOT_HERE,))


def _given(result: VideoResult, source: str | PathLike[str], timed: bool) -> Pictures:
    known = {name: value for name, value in result.opened_as.items() if name in _OPTIONS}
    if isinstance(known.get("levels"), list):
        known["levels"] = tuple(known["levels"])
    opened = open_source(user_path(source), **known)
    if not timed:  # of their frames they know the numbers alone
        times = {frame.index: frame.time for frame in opened}
        if gone := [index for index in result.frame_indices if index not in times]:
            raise InputError(f"frame {gone[0]} of the results is not in {source}: give the video that was segmented")
        result = replace(result, frame_times=[times[i] for i in result.frame_indices], fps=opened.info.fps)
    return Pictures(result, lambda: opened, str(source))


def _renumbered(one: Opened, result: VideoResult) -> Iterator[Frame]:
    """Yield a dataset's frames under the numbers and times that the compared results have."""
    assert one.frames is not None
    times = dict(zip(result.frame_indices, result.frame_times, strict=True))
    for frame in one.frames():
        number = one.result.frame_indices[frame.index]
        if number in times:
            yield replace(frame, index=number, time=times[number])
