"""A long video in stretches: the network's answers to each by whoever has time, then one who follows them in order.

The network sees each window by itself, in batches; so a stretch that begins with a batch gets the same answers wherever
it is looked at. Following needs their order, and a hundredth of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING

from ovvis.errors import InputError
from ovvis.inference.exact import exactly
from ovvis.inference.look import WIDE
from ovvis.inference.lost import LostWindowsError
from ovvis.inference.seen import Seen
from ovvis.inference.whole import segment
from ovvis.inference.window_file import read_windows, write_windows
from ovvis.sources.source import Source
from ovvis.structures import VideoResult, Window

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter


def why_whole(segmenter: VideoSegmenter) -> str | None:
    """Return why a segmenter must see a video from its first frame to its last, in a clause; None where it need not."""
    settings = segmenter.settings
    if settings.learnt != "none":
        return f"the tracker {settings.learnt} is a network that sees the window before"
    if settings.followed != "queries":
        return f"the tracker {settings.followed} follows whole masks"
    if settings.window is None:
        return f"{segmenter.model.name} sees the whole video at once"
    if len(segmenter.text.labels) > WIDE:
        return f"what is said of a frame is too much to keep with more than {WIDE:,} labels"
    return None


def even_stretch(segmenter: VideoSegmenter, frames: int) -> int:
    """Return how long stretches are that begin with a batch: `frames` or a few more.

    Raises:
        ValueError: the segmenter sees whole videos.
    """
    if segmenter.settings.window is None:
        raise ValueError("a network that sees the whole video at once has no stretches")
    batch = segmenter.settings.window * segmenter.batch
    return -(-frames // batch) * batch


def write_stretch(
    segmenter: VideoSegmenter, source: Source, path: Path, key: str, on_frame: Callable[[int], None] = lambda _: None
) -> int:
    """Write what the network says of a source's windows to a file; return of how many frames.

    Args:
        segmenter: one that `why_whole` says nothing against.
        source: a stretch of a video.
        path: the file.
        key: says what makes it.
        on_frame: called with the number of frames done.

    Raises:
        InputError: the source cannot be read, or the network overflows.
    """
    look = segmenter.look(source, ahead="overlap" in segmenter.model.accelerated)
    with exactly(segmenter.model.device), closing(iter(look)) as windows:
        return write_windows(path, key, windows, look.watch, on_frame)


def follow_stretches(
    segmenter: VideoSegmenter,
    source: Source,
    names: Sequence[str],
    reading: Callable[[str], AbstractContextManager[Path]],
    on_frame: Callable[[int], None] | None = None,
) -> VideoResult:
    """Return what the segmenter makes of a video, from the files of its stretches; one window is in memory at a time.

    Args:
        segmenter: one like those that wrote them.
        source: the whole video. Its frames are not read.
        names: of the files, in order, which are their keys.
        reading: gives a file by its name.
        on_frame: called with the number of frames done.

    Raises:
        LostWindowsError: a file is gone, or not what it must be.
    """
    spent: dict[str, float] = {}

    def windows() -> Generator[tuple[Window, Seen]]:
        device, scale = segmenter.model.device, segmenter.model.clip.logit_scale
        for name in names:
            try:
                with reading(name) as path:
                    yield from read_windows(path, name, device, scale, spent)
            except (FileNotFoundError, InputError) as error:
                raise LostWindowsError(f"{name}: {error}") from error

    with exactly(segmenter.model.device), closing(windows()) as told:
        result = segment(segmenter, source, on_frame, None, told)
    result.seconds = {
        stage: spent.get(stage, 0.0) + result.seconds.get(stage, 0.0) for stage in [*spent, *result.seconds]
    }
    return result
