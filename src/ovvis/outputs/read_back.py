"""What was read back of a file that results were taken away in, perhaps corrected since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ovvis import masks
from ovvis.errors import InputError
from ovvis.masks import Rle
from ovvis.structures import Track, VideoResult

MOST_FRAMES = 10_000_000  # of all tracks of a video together: what states more is damaged
MOST_PIXELS = 2**28
REMEDY = "mend it, or export it again"
UNSCORED = "tracks without a score in the file: they get 1, as what is true"
_BEYOND = "scores that do not lie in 0 to 1, taken as none"


@dataclass(frozen=True, slots=True)
class ReadVideo:
    """One video with its tracks, and its frames' files below their folder."""

    result: VideoResult
    files: Sequence[str]  # T
    notes: Mapping[str, int] = field(default_factory=dict)  # what was left out or guessed, and how often


@dataclass
class Gathered:
    """Puts masks that a file lists one by one into tracks.

    Args:
        path: the file, for errors.
        size: height and width of the frames, pixels.
        frames: how many there are.
    """

    path: Path
    size: tuple[int, int]
    frames: int
    notes: Counter[str] = field(default_factory=Counter)
    _masks: dict[int, list[Rle | None]] = field(default_factory=dict)
    _named: dict[int, tuple[str, float | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        height, width = self.size
        if min(self.size) < 1 or height * width > MOST_PIXELS or not 0 <= self.frames <= MOST_FRAMES:
            raise InputError(f"{self.path}: {self.frames:,} frames of {width} x {height} pixels cannot be: {REMEDY}")

    def add(self, where: str, frame: int, id: int, label: str, score: float | None, mask: Rle) -> None:
        """Take a mask.

        Args:
            where: its place in the file, for errors.
            frame: its frame's position, from 0.
            id: the track's number.
            label: the track's label; the first one counts, and others are counted.
            score: the track's score; the highest counts. None: the file has none here.
            mask: of the frames' size.

        Raises:
            InputError: the frame is none of the video's, the track has one there, or the code is damaged.
        """
        if not 0 <= frame < self.frames:
            raise InputError(f"{self.path}: {where}: frame {frame} is none of the {self.frames:,}: {REMEDY}")
        if mask["size"] != list(self.size) or masks.unsound([mask["counts"]], self.size[0] * self.size[1]) is not None:
            raise InputError(
                f"{self.path}: {where} must be the mask of {self.size[0]} x {self.size[1]} pixels, and is not: {REMEDY}"
            )
        score = usable_score(score, self.notes)
        if id not in self._masks:
            if (len(self._masks) + 1) * self.frames > MOST_FRAMES:
                raise InputError(f"{self.path}: its tracks have more than {MOST_FRAMES:,} frames together: split it")
            self._masks[id], self._named[id] = [None] * self.frames, (label, score)
        if self._masks[id][frame] is not None:
            raise InputError(f"{self.path}: {where}: instance {id} is in frame {frame} twice: {REMEDY}")
        name, best = self._named[id]
        if name != label:
            self.notes["masks whose label is not their track's first one, which counts"] += 1
        self._named[id] = name, max((s for s in (best, score) if s is not None), default=None)
        if masks.area(mask):
            self._masks[id][frame] = mask
        else:
            self.notes["masks without a pixel, left out"] += 1

    def video(
        self,
        source: str,
        files: Sequence[str],
        *,
        labels: Iterable[str] = (),
        indices: Sequence[int] | None = None,
        times: Sequence[float] | None = None,
        fps: float = 24.0,
    ) -> ReadVideo:
        """Return the video.

        Args:
            source: its name.
            files: its frames' files.
            labels: the vocabulary; that of the tracks follows where it lacks some.
            indices: the frames' numbers in the source; None: 0, 1, ...
            times: seconds of each; None: by `fps`.
            fps: frames a second.
        """
        used = (name for name, _ in self._named.values())
        vocabulary = tuple(dict.fromkeys((*labels, *used)))
        places = {label: place for place, label in enumerate(vocabulary)}
        numbers = list(range(self.frames)) if indices is None else list(indices)
        tracks = []
        for id, (label, stated) in self._named.items():
            score = scored(stated, self.notes)
            tracks.append(Track(id, label, places[label], score, ((label, score),), self._masks[id]))
        result = VideoResult(
            tracks=sorted(tracks, key=lambda track: -track.score),
            source=source,
            height=self.size[0],
            width=self.size[1],
            fps=fps,
            frame_indices=numbers,
            frame_times=[number / fps for number in numbers] if times is None else list(times),
            labels=vocabulary,
        )
        return ReadVideo(result, tuple(files), self.notes)


def usable_score(stated: float | None, notes: Counter[str]) -> float | None:
    """Return a score that a file states; None, and a note, if it can be none."""
    if stated is None or 0 <= stated <= 1:
        return stated
    notes[_BEYOND] += 1
    return None


def scored(stated: float | None, notes: Counter[str]) -> float:
    """Return a track's score: 1 where its file states none, which is noted."""
    if stated is None:
        notes[UNSCORED] += 1
        return 1.0
    return stated


def frame_files(source: str, indices: Iterable[int]) -> list[str]:
    """Return the names that exports give a video's frames.

    >>> frame_files("dog", [0, 5])
    ['dog/00000.jpg', 'dog/00005.jpg']
    """
    return [f"{source}/{index:05d}.jpg" for index in indices]
