"""What of a result is to be taken away: the tracks that were asked for, frame by frame or track by track."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ovvis import masks
from ovvis.errors import InputError, nearest
from ovvis.masks import Rle
from ovvis.outputs.matching import result_frames
from ovvis.structures import Frame, Track, VideoResult, one_label_each

NO_PIXEL = "masks without a pixel, left out"
MISSING = "frames of the result that did not come, and are left out"
SEVERAL = "further labels of an instance, left out: the format holds one, the best"

Advance = Callable[[int, int], object]  # how much is done, and how much there is
Shown = list[tuple[Track, Rle]]  # what is seen in a frame, best first


@dataclass
class Chosen:
    """The tracks of a result that were asked for, and where a writer says what it could not keep.

    Args:
        result: what they are of.
        tracks: best first.
        frames: the video's frames, where they go in.
        advance: is told how far a writer is.
    """

    result: VideoResult
    tracks: list[Track]
    frames: Iterable[Frame] | None = None
    advance: Advance | None = None
    notes: Counter[str] = field(default_factory=Counter)  # what was dropped or resolved, and how often
    written: int = 0  # masks

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the masks, pixels."""
        return self.result.height, self.result.width

    @property
    def name(self) -> str:
        """The video's name, fit for a file."""
        return file_name(PurePosixPath(self.result.source.replace("\\", "/")).stem, "video")

    def frame_name(self, position: int) -> str:
        """Return the name of a frame's files without an ending: its number in the source."""
        return f"{self.result.frame_indices[position]:05d}"

    def each_frame(self) -> Iterator[tuple[int, Shown]]:
        """Yield each frame's position in the result, and what is seen there."""
        count = len(self.result.frame_indices)
        for position in range(count):
            yield position, self._shown(position)
            self._tell(position + 1, count)

    def each_picture(self) -> Iterator[tuple[int, Frame, Shown]]:
        """Yield the same with the frame, for those frames that came.

        Raises:
            InputError: there are none, or they are not the result's.
        """
        for position, frame in self.each_given():
            yield position, frame, self._shown(position)

    def each_given(self) -> Iterator[tuple[int, Frame]]:
        """Yield each frame that came with its position.

        Raises:
            InputError: there are none, or they are not the result's.
        """
        if self.frames is None:
            raise ValueError("no frames were given")
        done, count = 0, len(self.result.frame_indices)
        for position, frame in result_frames(self.result, self.frames):
            yield position, frame
            done += 1
            self._tell(done, count)
        if done < count:
            self.notes[MISSING] = count - done  # the same each time that they are read

    def each_track(self) -> Iterator[Track]:
        """Yield each track."""
        for done, track in enumerate(self.tracks, 1):
            self.written += len(track.frames)
            yield track
            self._tell(done, len(self.tracks))

    def _shown(self, position: int) -> Shown:
        shown: Shown = []
        for track in self.tracks:
            mask = track.masks[position]
            if mask is None:
                continue
            if masks.area(mask):
                shown.append((track, mask))
            else:
                self.notes[NO_PIXEL] += 1
        self.written += len(shown)
        return shown

    def _tell(self, done: int, count: int) -> None:
        if self.advance is not None:
            self.advance(done, count)


def choose(
    result: VideoResult, *, min_score: float, labels: Iterable[str] | None, best: bool, notes: Counter[str]
) -> list[Track]:
    """Return the tracks that are asked for, best first.

    Args:
        result: what they are of.
        min_score: those below it are left out, in [0, 1].
        labels: those alone; None: all. An instance whose best label is another is left out where `best` holds.
        best: each instance once, under its best label.
        notes: takes how many further labels were left out for it.

    Raises:
        InputError: a number is out of range, or the result was not asked for a label.
    """
    if not 0 <= min_score <= 1:
        raise InputError(f"min_score {min_score:g} must lie in [0, 1]; 0 takes all")
    tracks = [track for track in result.tracks if track.score >= min_score]
    if best:
        one = one_label_each(tracks)
        if len(one) < len(tracks):
            notes[SEVERAL] += len(tracks) - len(one)
        tracks = one
    if labels is None:
        return tracks
    wanted = {name.casefold() for name in labels}
    known = {name.casefold(): name for name in result.labels}
    for name in sorted(wanted - known.keys()):
        raise InputError(f"label {name!r} is none that was asked for; {nearest(name, known.values())}")
    return [track for track in tracks if track.label.casefold() in wanted]


def file_name(text: str, otherwise: str) -> str:
    """Return a text as a part of a file's name.

    >>> file_name("traffic light/red", "video"), file_name("...", "video")
    ('traffic-light-red', 'video')
    """
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:100] or otherwise
