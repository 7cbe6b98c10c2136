"""A video's results as a folder: its tracks, and the video with them painted on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from ovvis.files.output import OutputFolder
from ovvis.inference.stopwatch import Stopwatch
from ovvis.outputs.formats.tracks_json import save_tracks
from ovvis.outputs.render import NotPainted, render
from ovvis.outputs.style import Style
from ovvis.paths import user_path
from ovvis.progress import Bars, silent
from ovvis.sources.kept import KeptFrames
from ovvis.sources.source import Source
from ovvis.structures import VideoResult

WRITTEN = TRACKS, VIDEO = "tracks.json", "overlay.mp4"


Reading = Callable[[Source, bool, ExitStack], AbstractContextManager[Source]]
"""Gives the source to read in a block: of a source, whether it is wanted again after the block, and what keeps it."""


@contextmanager
def as_it_is(source: Source, again: bool, kept: ExitStack) -> Iterator[Source]:
    """Read a source as it comes; one that comes once is kept where it is wanted again."""
    yield kept.enter_context(KeptFrames(source)) if again and not source.rereadable else source


def write_results(
    kept: ExitStack,
    folder: OutputFolder,
    frames: Source,
    load: Callable[[], Callable[..., VideoResult]],
    watch: Stopwatch,
    video: bool,
    least: float,
    style: Style | None,
    what: str = "segmenting",
    *,
    bars: Bars = silent,
    reading: Reading = as_it_is,
) -> tuple[VideoResult, list[str]]:
    """Segment a video and write its results into a folder that is being written.

    Args:
        kept: holds the result's masks until it is closed.
        folder: entered.
        frames: the video.
        load: gives what makes the result of the frames, such as a segmenter.
        watch: takes the time.
        video: whether to paint one.
        least: score of the tracks that are painted.
        style: how they are painted.
        what: the bar's text.
        bars: shows the work.
        reading: how frames are read that come once, or have no end.

    Returns:
        The result, and what has to be told of frames that the painted video lacks.
    """
    tracks_file, video_file = folder.file(TRACKS), folder.file(VIDEO)
    segmenter = load()
    with reading(frames, video, kept) as taken, bars(what, "frames", frames.info.frame_count) as done:
        result = kept.enter_context(segmenter(taken, on_frame=done))
    unpainted: list[str] = []
    if video:
        with watch("paint"):
            unpainted = _paint(result, taken, video_file, least, style, bars)
    result.seconds = {**watch.seconds, **result.seconds}
    save_tracks(result, tracks_file)
    return result, unpainted


def _paint(result: VideoResult, frames: Source, path: Path, least: float, style: Style | None, bars: Bars) -> list[str]:
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

        render(result, frames, path, min_score=least, style=style, on_frame=on_frame)
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
