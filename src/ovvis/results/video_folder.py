"""A video's results as a folder: its tracks, and the video with them painted on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ovvis.files.output import OutputFolder
from ovvis.inference.stopwatch import Stopwatch
from ovvis.outputs.formats.tracks_json import TRACKS, save_tracks
from ovvis.outputs.render import NotPainted, render
from ovvis.outputs.style import Style
from ovvis.paths import user_path
from ovvis.progress import Bars, silent
from ovvis.sources.kept import KeptFrames
from ovvis.sources.source import Source
from ovvis.structures import SHOWN_SCORE, VideoResult

VIDEO = "overlay.mp4"
WRITTEN = (TRACKS, VIDEO)


@dataclass(frozen=True, slots=True)
class Making:
    """How the result of a video is made."""

    frames: Source
    load: Callable[[], Callable[..., VideoResult]]  # gives what makes the result of the frames, such as a segmenter
    watch: Stopwatch  # takes the time
    what: str = "segmenting"  # the bar's text


@dataclass(frozen=True, slots=True)
class Painting:
    """What people are shown of a result."""

    video: bool = True  # whether a painted video is written
    least: float = SHOWN_SCORE  # score of the tracks that are painted, listed and counted
    style: Style = field(default_factory=Style)


Reading = Callable[[Source, bool, ExitStack], AbstractContextManager[Source]]
"""Gives the source to read in a block: of a source, whether it is wanted again after the block, and what keeps it."""


@contextmanager
def as_it_is(source: Source, again: bool, kept: ExitStack) -> Iterator[Source]:
    """Read a source as it comes; one that comes once is kept where it is wanted again."""
    yield kept.enter_context(KeptFrames(source)) if again and not source.rereadable else source


def write_results(
    kept: ExitStack,
    folder: OutputFolder,
    making: Making,
    painting: Painting,
    *,
    bars: Bars = silent,
    reading: Reading = as_it_is,
) -> tuple[VideoResult, list[str]]:
    """Make a video's result and write it into a folder that is being written.

    Args:
        kept: holds the result's masks until it is closed.
        folder: entered.
        making: how the result is made.
        painting: what is painted of it.
        bars: shows the work.
        reading: how frames are read that come once, or have no end.

    Returns:
        The result, and what has to be told of frames that the painted video lacks.
    """
    frames = making.frames
    tracks_file, video_file = folder.file(TRACKS), folder.file(VIDEO)
    make = making.load()
    with (
        reading(frames, painting.video, kept) as taken,
        bars(making.what, "frames", frames.info.frame_count) as done,
    ):
        result = kept.enter_context(make(taken, on_frame=done))
    unpainted: list[str] = []
    if painting.video:
        with making.watch("paint"):
            unpainted = _paint(result, taken, video_file, painting, bars)
    result.seconds = {**making.watch.seconds, **result.seconds}
    save_tracks(result, tracks_file)
    return result, unpainted


def _paint(result: VideoResult, frames: Source, path: Path, painting: Painting, bars: Bars) -> list[str]:
    """Write the painted video; return what has to be told of frames that it lacks."""
    painted = 0
    with (
        bars("painting", "frames", len(result.frame_indices)) as done,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", NotPainted)

        def on_frame() -> None:
            nonlocal painted
            painted += 1
            done(painted, None)

        render(result, frames, path, min_score=painting.least, style=painting.style, on_frame=on_frame)
    return [str(warning.message) for warning in caught if issubclass(warning.category, NotPainted)]


def is_whole(path: Path, source: str, video: bool) -> bool:
    """Return whether a video's results are there, and are not older than the video.

    Args:
        path: the folder.
        source: the video, as it was named.
        video: whether a painted one belongs to them.
    """
    tracks = path / TRACKS
    if not tracks.exists() or (video and not (path / VIDEO).exists()):
        return False
    file = user_path(source)
    try:
        return not file.exists() or file.stat().st_mtime <= tracks.stat().st_mtime
    except OSError:
        return False
