"""The way in: any source to frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import wraps
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec, TypedDict

from ovvis.errors import InputError
from ovvis.sources.frames import ImageSource
from ovvis.sources.levels import parse_levels
from ovvis.sources.on_gpu import check_decode, decoded_on
from ovvis.sources.opening import open_kind
from ovvis.sources.place import is_address
from ovvis.sources.region import RoiLike, parse_region, region_of
from ovvis.sources.source import FrameError, Source, check_fps, parse_span

__all__ = ["Source", "open_frames", "open_source", "opened"]


Given = ParamSpec("Given")


def _remembered(opens: Callable[Given, Source]) -> Callable[Given, Source]:
    """Have a source know the options that open it again, where it lies on this machine and can be read again."""

    @wraps(opens)
    def remembering(*args: Given.args, **options: Given.kwargs) -> Source:
        opened = opens(*args, **options)
        given = args[0] if args else options["source"]
        text = str(given) if isinstance(given, (str, PathLike)) else ""
        if text and opened.rereadable and (text.startswith("file://") or not is_address(text)):
            chosen = {name: value for name, value in options.items() if value is not None}
            opened.opened_as = {**chosen, "source": text}
        return opened

    return remembering


@_remembered
def open_source(
    source: str | PathLike[str] | Iterable[Any],
    *,
    every: int = 1,
    start: float | str | None = None,
    end: float | str | None = None,
    max_frames: int | None = None,
    fps: float | None = None,
    stream: int | None = None,
    levels: str | tuple[float, float] | None = None,
    bgr: bool = False,
    duration: float | str | None = None,
    transport: str | None = None,
    timeout: float | None = None,
    reconnect: float | None = None,
    roi: RoiLike | None = None,
    decode: str | None = None,
) -> Source:
    """Return the frames of a video file, a folder, a glob pattern, an image file, or of images in memory.

    Every frame is uint8 RGB (H, W, 3), all of one size; its index and time count in the source itself.

    Args:
        source: a path to a video or image file or to a folder of images (natural order); a glob pattern
            ("frames/*.jpg") or a numbered one ("frames/%05d.png"); an address (http, https, rtsp, udp, ...);
            "camera:0" or "screen:"; "-" for standard input; or frames in memory: an array (N, H, W, 3), a sequence or
            an iterator of frames, or one frame. A frame is a uint8 array (H, W, 3) in RGB, (H, W) or (H, W, 1) in grey,
            or (H, W, 4) with an alpha to drop; a PyTorch tensor of these shapes or with its channels first; or a
            Pillow image. Animated and multi-page image files are all their pictures.
        every: keep each n-th frame, counted from the first one kept; 1 or more.
        start: where to begin, inclusive: seconds, "[hh:]mm:ss[.frac]", or a frame number as "120f".
        end: where to stop, exclusive; written like `start`.
        max_frames: stop after so many frames; 1 or more.
        fps: frames a second of images and arrays, which have no clock of their own; 24 if left out. A
            video file or an animated image brings its own.
        stream: which of a file's video streams, from 0; its default one if left out.
        levels: the values that become black and white in images of more than 8 bits, and in arrays that are not
            uint8: two numbers, or "LOW,HIGH". If left out: what the files state, or their kind's whole range (floats:
            0 to 1) if they use a quarter of it or more, else an error that says what was found.
        bgr: arrays and tensors have their channels as OpenCV has them: blue, green, red.
        duration: how much of it, from `start` on, in place of `end`; written like `start`.
        transport: how an RTSP stream comes: "tcp", "udp", or "auto" for TCP where it can be had; "auto" if left out.
        timeout: seconds that a source on the network, a camera or a screen may stay silent: 30 for files, 10 for
            streams if left out.
        reconnect: seconds to wait for a live source that broke off to come back; 30 if left out, 0 does not wait.
        roi: the part of the picture that the network sees, in pixels: (x, y, width, height), or the corners of a
            polygon; or text, "x,y,width,height" or "x1,y1;x2,y2;x3,y3". Masks are of the whole picture.
        decode: what decodes a video file: "cpu", which is taken if left out, or "cuda" (or "cuda:1"): the GPU's own
            decoder through torchcodec, if it is installed and shows the same; a note says if not.

    Raises:
        InputError: the source cannot be read, an option makes no sense, or no frame is left.
    """
    corners, device = None if roi is None else parse_region(roi), check_decode(decode)
    opened = open_kind(
        source,
        parse_span(every, start, end, max_frames, duration),
        fps=fps,
        stream=stream,
        levels=levels,
        bgr=bgr,
        transport=transport,
        timeout=timeout,
        reconnect=reconnect,
    )
    if device is not None:
        opened = decoded_on(device, opened)
    if corners is not None:
        opened.info = replace(opened.info, region=region_of(corners, opened.info))
    return opened


class OpenOptions(TypedDict, total=False):
    """The options of `open_source`, for who passes them on."""

    every: int
    start: float | str | None
    end: float | str | None
    max_frames: int | None
    fps: float | None
    stream: int | None
    levels: str | tuple[float, float] | None
    bgr: bool
    duration: float | str | None
    transport: str | None
    timeout: float | None
    reconnect: float | None
    roi: RoiLike | None
    decode: str | None


def opened(source: Source | str | Path | Iterable[Any], options: OpenOptions) -> Source:
    """Return what `open_source` makes of a source that is not open yet.

    Raises:
        InputError: it cannot be read.
    """
    if not isinstance(source, Source):
        return open_source(source, **options)
    if options:
        names = ", ".join(options)
        raise InputError(f"{names}: the source is open already; give this to open_source, where it was opened")
    return source


def open_frames(
    paths: Sequence[Path],
    name: str,
    fps: float | None = None,
    levels: str | tuple[float, float] | None = None,
) -> Source:
    """Return image files of one picture each, in the order given, as the frames of a video called `name`.

    Raises:
        FrameError: there is none, or the first cannot be read; the others raise it when it is their turn.
    """
    if not paths:
        raise FrameError(f"video {name} lists no frame: it must have one or more; mend or remove it")
    check_fps(fps)
    return ImageSource(paths, name, parse_span(1, None, None, None), fps, parse_levels(levels), one_each=True)
