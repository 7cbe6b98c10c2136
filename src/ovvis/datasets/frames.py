"""The frames of a dataset's video, held against what the dataset says of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ovvis.datasets.annotations import Video
from ovvis.sources.source import FrameError, Source
from ovvis.sources.video import open_frames


def open_video(paths: Sequence[Path], video: Video, levels: str | None = None) -> Source:
    """Return a video's frames.

    Args:
        paths: of the frames' files, in order.
        video: as its dataset lists it.
        levels: as `open_frames` takes them.

    Raises:
        FrameError: the first cannot be read, or has not the size that the dataset says.
    """
    source = open_frames(paths, video.name, levels=levels)
    if (source.info.height, source.info.width) != (video.height, video.width):
        raise FrameError(
            f"{paths[0]} is {source.info.width}x{source.info.height} pixels, but the dataset says "
            f"{video.width}x{video.height}; mend one of them"
        )
    return source
