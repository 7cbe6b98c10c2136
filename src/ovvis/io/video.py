"""The way in: any source to frames."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ovvis.errors import InputError
from ovvis.io.frames import (
    IMAGE_SUFFIXES,
    ArraySource,
    ImageSource,
    images_in_folder,
    images_of_pattern,
)
from ovvis.io.source import FrameError, Source, check_fps, parse_span
from ovvis.io.video_file import FileSource
from ovvis.paths import user_path

__all__ = ["Source", "open_frames", "open_source"]


def open_source(
    source: str | PathLike[str] | Iterable[Any],
    *,
    every: int = 1,
    start: float | str | None = None,
    end: float | str | None = None,
    max_frames: int | None = None,
    fps: float | None = None,
    stream: int | None = None,
) -> Source:
    """Return the frames of a video file, a folder, a glob pattern, an image file, or arrays.

    Every frame is uint8 RGB (H, W, 3), all of one size; its index and time count in the source itself.

    Args:
        source: a path to a video or image file or to a folder of images (natural order); a glob pattern
            ("frames/*.jpg"); a URL that ffmpeg reads; or an array (N, H, W, 3), a sequence or an iterator of
            uint8 arrays: (H, W, 3) in RGB, (H, W) or (H, W, 1) in grey, (H, W, 4) with an alpha to drop.
        every: keep each n-th frame, counted from the first one kept; 1 or more.
        start: where to begin, inclusive: seconds, "[hh:]mm:ss[.frac]", or a frame number as "120f".
        end: where to stop, exclusive; written like `start`.
        max_frames: stop after so many frames; 1 or more.
        fps: frames a second of images and arrays, which have no clock of their own; 24 if left out. A
            video file brings its own.
        stream: which of a file's video streams, from 0; its default one if left out.

    Raises:
        InputError: the source cannot be read, an option makes no sense, or no frame is left.
    """
    span = parse_span(every, start, end, max_frames)
    rate = check_fps(fps)
    _check_stream(stream)
    if not isinstance(source, (str, PathLike)):
        if isinstance(source, (bytes, bytearray, dict, set, frozenset)) or not isinstance(source, Iterable):
            raise InputError(
                f"the source is of type {type(source).__name__}: it must be a path, a glob pattern, or arrays"
                " in a sequence or an iterator; give one of these"
            )
        if isinstance(source, np.ndarray) and source.ndim != 4:
            raise InputError(
                f"the source is an array of shape {source.shape}: it must be (N, H, W, 3); put a single image in a list"
            )
        return ArraySource(source, span, rate)
    text = str(source)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        return FileSource(text, text, span, fps, stream)
    path = user_path(text)
    try:
        exists = path.exists()
    except (OSError, ValueError) as error:  # no permission on the way, a name too long
        raise InputError(f"{text!r} cannot be opened ({error}): give a path that can be read") from error
    if path.is_dir():
        return ImageSource(images_in_folder(path), path.resolve().name or str(path), span, rate)
    if not exists and re.search(r"[*?[]", text):
        return ImageSource(images_of_pattern(str(path)), text, span, rate)
    if not exists:
        raise InputError(f"{text} does not exist: the source must be a file, a folder or a pattern; check the path")
    if not path.is_file():
        raise InputError(f"{text} is neither a file nor a folder: pipes and devices cannot be read; give a file")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource([path], path.name, span, rate)
    return FileSource(f"file:{path}", path.name, span, fps, stream)


def _check_stream(stream: int | None) -> None:
    if stream is not None and (isinstance(stream, bool) or not isinstance(stream, int) or stream < 0):
        raise InputError(
            f"stream is {stream!r}: it must be the number of a video stream, from 0; leave it out for the default"
        )


def open_frames(paths: Sequence[Path], name: str, fps: float | None = None) -> Source:
    """Return image files, in the order given, as the frames of a video called `name`.

    Raises:
        FrameError: there is none, or the first cannot be read; the others raise it when it is their turn.
    """
    if not paths:
        raise FrameError(f"video {name} lists no frame: it must have one or more; mend or remove it")
    return ImageSource(paths, name, parse_span(1, None, None, None), check_fps(fps))
