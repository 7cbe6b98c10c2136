"""A result: the tracks of a video, and what they answer together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import import_module
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from ovvis import masks
from ovvis.errors import InputError, nearest
from ovvis.structures.frames import FrameSource
from ovvis.structures.instances import Instance
from ovvis.structures.track import SHOWN_SCORE, Track, one_label_each, position_of

if TYPE_CHECKING:
    from PIL.Image import Image

_SLACK = 0.0006
"""Seconds by which a moment may miss a frame and still be on it: Matroska rounds times to milliseconds."""


class Storage(Protocol):
    """Where a result's masks lie until it is closed."""

    def close(self) -> None:
        """Free the memory or the temporary file; the masks cannot be read after it."""


class Span(NamedTuple):
    """Where an instance is seen without a gap."""

    first: int  # position in the result
    last: int  # likewise; within
    start: float  # seconds: when the first frame is shown
    end: float  # seconds: when the last frame is no longer shown


@dataclass(slots=True)
class VideoResult:
    """What a person gets for a video and a vocabulary: a sequence of tracks, best first.

    `len`, `[i]`, slices and `for` go over `tracks`, which is everything that was found: an instance may come under
    several labels, and many scores are low. `best_tracks()` is what the command's table shows; what is asked of a frame
    (`at`, `plot`, `to_supervision`, ...) goes by it.

    A `frame` is a position in the result, from 0: `frame_indices[frame]` is its number in the source, `frame_times`
    its time. Where frames were skipped, both differ; `position` finds one from the other.

    The masks may lie in a temporary file: use the result as a context manager, or call `close`, to remove it
    early. It goes with the object otherwise.
    """

    tracks: list[Track]  # best first
    source: str
    height: int  # pixels of the masks, which are those that the source stores
    width: int
    fps: float
    frame_indices: list[int]  # of the frames that were seen, in the source's own count
    frame_times: list[float]  # seconds
    labels: tuple[str, ...]  # the vocabulary
    settings: dict[str, Any] = field(default_factory=dict)  # what made it: model, sizes, options, versions
    seconds: dict[str, float] = field(default_factory=dict)  # where the time went, by stage
    problem: str | None = None  # why the video ended early; None if it did not
    notes: list[str] = field(default_factory=list)  # what of the source was left out, guessed or converted
    pixel_aspect: Fraction = Fraction(1)  # width of a pixel by its height, as the video is shown
    storage: Storage | None = field(default=None, repr=False)
    opened_as: dict[str, Any] = field(default_factory=dict)  # what `open_source` opens the whole source by; or empty
    video: FrameSource | None = field(default=None, repr=False, compare=False)  # the source itself, where it is at hand

    def __repr__(self) -> str:
        best = f", the best {self.tracks[0].label!r} {self.tracks[0].score:.3f}" if self.tracks else ""
        size = f"{len(self.frame_indices)} frames of {self.width}x{self.height}"
        return f"VideoResult({self.source!r}: {size}, {len(self.tracks)} tracks{best})"

    def __len__(self) -> int:
        return len(self.tracks)

    def __iter__(self) -> Iterator[Track]:
        return iter(self.tracks)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Track: ...
    @overload
    def __getitem__(self, index: slice) -> list[Track]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Track | list[Track]:
        return self.tracks[index]

    def best_tracks(self, min_score: float = SHOWN_SCORE) -> list[Track]:
        """Return one track for each tube, under its best label, best first.

        Args:
            min_score: tracks below it are left out, in [0, 1]; 0 gives all. `tracks` is the whole list, as released.
        """
        return [track for track in one_label_each(self.tracks) if track.score >= min_score]

    def track(self, id: int, label: str | None = None) -> Track:
        """Return the track of an id: the best of its labels, or that of a given one.

        Raises:
            InputError: there is none; says which there are.
        """
        named = [track for track in self.tracks if track.id == id]
        if not named:
            ids = sorted({track.id for track in self.tracks})
            held = ", ".join(map(str, ids[:20])) + (f" and {len(ids) - 20} more" if len(ids) > 20 else "")
            raise InputError(f"id {id!r}: the result has no such track; its ids are {held or 'none'}")
        found = next((track for track in named if label in (None, track.label)), None)
        if found is None:
            raise InputError(f"id {id} has no label {label!r}; {nearest(str(label), [track.label for track in named])}")
        return found

    def position(
        self,
        frame: SupportsIndex | None = None,
        *,
        source_frame: int | None = None,
        time: float | None = None,
    ) -> int:
        """Return a frame's position in the result, from one of three.

        Args:
            frame: a position; negative ones count from the end.
            source_frame: the frame's number in the source, from 0.
            time: seconds since the source's first frame: the frame that is shown then.

        Raises:
            InputError: none or several are given, or the result has no such frame; says which are near.
        """
        given = [value for value in (frame, source_frame, time) if value is not None]
        if len(given) != 1:
            raise InputError("one frame is meant: give its position, or source_frame=, or time=, and one of them alone")
        if frame is not None:
            return position_of(frame, len(self.frame_indices))
        if source_frame is not None:
            return self._by_number(source_frame)
        assert time is not None
        return self._by_time(time)

    def at(
        self,
        frame: SupportsIndex | None = None,
        *,
        source_frame: int | None = None,
        time: float | None = None,
        min_score: float = SHOWN_SCORE,
    ) -> list[Instance]:
        """Return the instances that are seen in a frame, best first, each under its best label.

        Their scores are those of the whole video.

        Args:
            frame: position in the result; or `source_frame` or `time`, as in `position`.
            source_frame: the frame's number in the source.
            time: seconds.
            min_score: tracks below it are left out, in [0, 1]; 0 gives all.

        Raises:
            InputError: there is no such frame.
        """
        position = self.position(frame, source_frame=source_frame, time=time)
        return [
            Instance(track.id, track.label, track.score, code, masks.box(code))
            for track in self.best_tracks(min_score)
            if (code := track.seen(position)) is not None
        ]

    def count(self, frame: SupportsIndex, min_score: float = SHOWN_SCORE) -> dict[str, int]:
        """Return how many instances of each label are seen in a frame; labels without one are left out."""
        return dict(Counter(instance.label for instance in self.at(frame, min_score=min_score)))

    def counts(self, min_score: float = SHOWN_SCORE) -> dict[str, NDArray[np.int64]]:
        """Return how many instances of each label are seen in every frame (T), for labels that are seen at all."""
        found: dict[str, NDArray[np.int64]] = {}
        for track in self.best_tracks(min_score):
            if frames := track.frames:
                found.setdefault(track.label, np.zeros(len(self.frame_indices), dtype=np.int64))[frames] += 1
        return found

    def spans(self, track: Track) -> list[Span]:
        """Return where a track is seen without a gap, in frames and in seconds."""
        return [Span(a, b, self.frame_times[a], self._end(b)) for a, b in track.spans()]

    def image(self, frame: SupportsIndex) -> NDArray[np.uint8]:
        """Return a frame's picture (H, W, 3; RGB) as the source stores it: the source is opened again.

        Raises:
            InputError: the source is not to be found, or is another video by now; says how to give it.
        """
        image: NDArray[np.uint8] = _asked("picture").image_of(self, self.position(frame))
        return image

    def crop(
        self, track: Track, frame: SupportsIndex, *, margin: int = 0, background: bool = True, image: Any = None
    ) -> NDArray[np.uint8]:
        """Return what a frame shows of a track: the picture within the mask's box.

        Args:
            track: a track of this result.
            frame: position in the result.
            margin: pixels around the box, as far as the picture goes.
            background: whether what is not the instance stays; else it is transparent.
            image: the frame's picture (H, W, 3; RGB), where it is at hand; None opens the source again.

        Returns:
            (h, w, 3), RGB; without background (h, w, 4), RGB and alpha. (0, 0, 3 or 4) where the track is not seen.
        """
        cut: NDArray[np.uint8] = _asked("picture").crop(self, track, self.position(frame), margin, background, image)
        return cut

    def plot(
        self, frame: SupportsIndex, *, min_score: float = SHOWN_SCORE, style: Any = None, image: Any = None
    ) -> Image:
        """Return a frame's picture with its instances painted over it, as wide as the video is shown.

        Args:
            frame: position in the result.
            min_score: tracks below it are not painted, in [0, 1].
            style: "masks", "outlines", "fills", "boxes", or an `ovvis.Style`.
            image: the frame's picture (H, W, 3; RGB), where it is at hand; None opens the source again.

        Raises:
            InputError: the source is not to be found, or is another video by now; says how to give it.
        """
        painted: Image = _asked("picture").plot(self, self.position(frame), min_score, style, image)
        return painted

    def show(self, frame: SupportsIndex | None = None, *, min_score: float = SHOWN_SCORE, style: Any = None) -> None:
        """Show the result in the viewer, or one frame of it painted: below the cell of a notebook, else on the screen.

        The viewer plays the source where it is at hand, else it shows the masks alone; it is a page in the folder for
        temporary files, which stays for a day, and opens in the system's browser. A picture opens in the system's
        program for pictures.

        Args:
            frame: position in the result; None: all of it, in the viewer.
            min_score: tracks that score less are not painted; in the viewer they are not shown at first. In [0, 1].
            style: of a picture: as in `plot`.

        Raises:
            InputError: as in `plot`, or the source is another video by now.
            ResourceError: nothing here shows pictures or opens a browser, or the page would be too large for one.
        """
        _asked("showing").show(self, None if frame is None else self.position(frame), min_score, style)

    def save(
        self,
        path: str | PathLike[str],
        format: str | None = None,
        *,
        min_score: float | None = None,
        labels: Iterable[str] | None = None,
        best: bool | None = None,
        style: Any = None,
        source: Any = None,
        overwrite: bool = False,
    ) -> Any:
        """Write the result into a file or a folder, whole or not at all.

        Args:
            path: what to write: `.json` for everything (`ovvis.load_result` reads it), `.mp4` for a painted video,
                `.html` for the viewer's page, `.csv` for a table; or another file or folder together with `format`.
            format: "video", "view" or one of `ovvis export --help`, such as "coco".
            min_score: tracks below it are left out, in [0, 1]; None: 0.3, or 0 for the viewer and what scorers read.
            labels: of an export: those alone; None: all.
            best: of an export: each instance once, under its best label; None: as the format is used.
            style: of a video: as in `plot`.
            source: the video's frames (`ovvis.open_source`); None opens the source again for formats that need it.
            overwrite: replace what is there.

        Returns:
            What was written: its path, how many tracks and masks, and in `notes` what the format could not hold.

        Raises:
            InputError: the ending says no format, something is there already, or it cannot be written.
        """
        options = {"labels": labels, "best": best, "style": style, "source": source, "overwrite": overwrite}
        return _asked("saving").save(self, path, format, min_score=min_score, **options)

    def to_supervision(self, frame: SupportsIndex, *, min_score: float = SHOWN_SCORE) -> Any:
        """Return a frame's instances as `supervision.Detections`.

        `class_id` is the label's position in `labels`, `tracker_id` the track's id, `confidence` its score,
        `data["class_name"]` the label; `xyxy` and `mask` in the source's pixels.
        """
        return _asked("detections").to_supervision(self, self.position(frame), min_score)

    def to_pandas(self, *, min_score: float = SHOWN_SCORE) -> Any:
        """Return a `pandas.DataFrame` with a row for each instance and frame in which it is seen, frame after frame.

        Columns: `position` (in the result), `frame` (the source's number), `time` (seconds), `id`, `label`, `score`,
        `x`, `y`, `width`, `height` (of the box), `area`, `centre_x`, `centre_y`; pixels.

        Raises:
            ResourceError: pandas is not installed.
        """
        return _asked("table").to_pandas(self, min_score)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        html: str = _asked("notebook").html(self)
        return html

    def close(self) -> None:
        """Remove the temporary file of the masks, if there is one, and let go of the source."""
        self.video = None
        if self.storage is not None:
            self.storage.close()

    def __enter__(self) -> VideoResult:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _by_number(self, number: int) -> int:
        indices = self.frame_indices
        if indices.count(number) == 1:
            return indices.index(number)
        if number in indices:
            raise InputError(f"source_frame {number}: the result has it twice, so its masks may be another frame's")
        near = sorted(sorted(indices, key=lambda index: abs(index - number))[:2])
        raise InputError(
            f"source_frame {number}: the result holds {len(indices)} frames of the source, and not this one; the"
            f" nearest: {', '.join(map(str, near)) or 'none'}"
        )

    def _by_time(self, time: float) -> int:
        shown = [i for i, since in enumerate(self.frame_times) if since <= time + _SLACK]
        place = max(shown, key=self.frame_times.__getitem__, default=-1)
        if place < 0 or not time < self._end(place):
            held = f"{self.frame_times[0]:.3f} to {self._end(-1):.3f} s" if self.frame_times else "no frame"
            raise InputError(f"time {time:g}: the result holds {held}; give a moment within")
        return place

    def _end(self, frame: int) -> float:
        """Return when a frame is no longer shown, seconds."""
        following = frame % len(self.frame_times) + 1
        if following < len(self.frame_times):
            return self.frame_times[following]
        return self.frame_times[-1] + (1 / self.fps if self.fps > 0 else 0.0)


def _asked(name: str) -> Any:
    """Return what answers more than the result itself holds: pictures, files, tables.

    It lies above this room, so it is called by name, here alone and not before it is asked for.
    """
    return import_module(f"ovvis.results.{name}")
