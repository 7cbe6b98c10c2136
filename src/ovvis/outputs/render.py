"""The painted video: every instance in its own colour, with its label, score and number."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import import_module
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from ovvis import masks
from ovvis.errors import InputError
from ovvis.files.output import whole_file
from ovvis.outputs.fragments import keep_whole
from ovvis.outputs.matching import result_frames
from ovvis.outputs.painting import PALETTE as PALETTE  # beside what writes the painted frames
from ovvis.outputs.painting import Image as Image
from ovvis.outputs.painting import Painted as Painted
from ovvis.outputs.painting import colour as colour
from ovvis.outputs.painting import paint as paint
from ovvis.outputs.style import Style, find_style
from ovvis.paths import user_path
from ovvis.structures import SHOWN_SCORE, Frame, Track, VideoResult

_TICKS = 90_000  # a second, for frames that carry their own time: 24, 25, 30 and 29.97 fall on whole ticks
_GROWING = {
    "movflags": "+empty_moov+default_base_moof",
    "frag_duration": "1000000",  # microseconds
    "flush_packets": "1",
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a video is written."""

    container: str
    codec: str
    pixels: str  # ffmpeg's name of the pixels' form
    options: dict[str, str]  # of the codec
    flags: dict[str, str] = field(default_factory=dict)  # of the container
    channels: int = 3  # of the frames given: RGB, or RGB and alpha


H264 = Encoding("mp4", "libx264", "yuv420p", {"crf": "20", "preset": "veryfast"}, {"movflags": "+faststart"})


# What x264 may use where it could use AVX-512: there its look ahead (mbtree) reads memory that nobody wrote, and the
# same frames gave other bytes in another process.
_UP_TO_AVX2 = "mmx2,sse2fast,ssse3,sse4.2,avx,fma3,bmi1,bmi2,lzcnt,avx2"


def _has_avx512() -> bool:
    try:
        features = import_module("numpy._core._multiarray_umath").__cpu_features__
    except (ImportError, AttributeError):  # not a public name
        return False
    return bool(features.get("AVX512F"))


class VideoWriter:
    """Writes frames: as an mp4 (H.264, 4:2:0, BT.709) that plays everywhere and starts before it is loaded, or another.

    An odd height or width grows by a repeated row or column, which the codec needs.

    Args:
        path: the file.
        fps: frames a second; the rate of the video if the frames carry no times.
        size: height and width of the frames, pixels.
        pixel_aspect: width of a pixel by its height; players stretch the picture by it.
        encoding: container, codec and pixels.
        growing: for a video without an end: the file plays at any moment, also if the program is killed, in which case
            it lacks the last second. It is written in fragments, so its memory does not grow with it.

    Raises:
        InputError: if `fps` is not a positive number.
        OSError: on entering or writing, if the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        fps: float,
        size: tuple[int, int],
        pixel_aspect: Fraction = Fraction(1),
        encoding: Encoding = H264,
        growing: bool = False,
    ):
        if not (math.isfinite(fps) and fps > 0):
            raise InputError(f"frame rate {fps} must be a positive number of frames a second")
        self.path, self.size, self._aspect = path, size, pixel_aspect
        self._encoding = encoding
        self._options, self._muxing = dict(encoding.options), dict(encoding.flags)
        if encoding.codec == H264.codec and _has_avx512():
            self._options["x264-params"] = f"asm={_UP_TO_AVX2}"
        self._growing = growing
        if growing:
            self._options["tune"] = "zerolatency"  # else the encoder keeps up to a second to itself
            self._muxing = dict(_GROWING)
        self._rate = max(Fraction(fps).limit_denominator(1001), Fraction(1, 1001))
        self._stream: Any = None
        self._timed = False
        self._last = -1  # pts of the last frame

    def __enter__(self) -> VideoWriter:
        self._container = av.open(str(self.path), "w", format=self._encoding.container, options=self._muxing)
        return self

    def write(self, image: Image, time: float | None = None) -> None:
        """Append a frame.

        Args:
            image: H, W, 3; RGB. With an encoding of four channels H, W, 4; RGB and alpha.
            time: seconds from the first frame, for every frame or for none. A time that is not later than the
                last frame's is moved just behind it.
        """
        shape = (*self.size, self._encoding.channels)
        if image.shape != shape:
            raise ValueError(f"frame of shape {image.shape} must have the video's, {shape}")
        if self._stream is None:
            self._open(timed=time is not None)
        if self._timed != (time is not None):
            raise ValueError("either every frame must carry a time or none")
        self._last = self._last + 1 if time is None else max(round(time * _TICKS), self._last + 1)
        height, width = self.size
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24" if shape[2] == 3 else "rgba")
        # Players take untagged HD for BT.709 and ffmpeg makes BT.601 unless told: convert and tag alike.
        frame = frame.reformat(
            format=self._encoding.pixels, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        frame.pts, frame.time_base = self._last, self._time_base
        self._mux(frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            with suppress(OSError, ValueError):  # the first error is the one to tell
                self._container.close()
            self._save_fragments()
            return
        try:
            if self._stream is not None:
                self._mux(None)
            self._container.close()
        except BaseException:
            with suppress(OSError, ValueError):
                self._container.close()
            self._save_fragments()
            raise

    def _save_fragments(self) -> None:
        """Make the best of a growing file whose writing failed."""
        if self._growing:
            with suppress(OSError):
                keep_whole(self.path)

    def _open(self, timed: bool) -> None:
        self._timed = timed
        self._time_base = Fraction(1, _TICKS) if timed else 1 / self._rate
        options = dict(self._options)
        if timed and self._encoding is H264:
            options["bf"] = "0"  # frames out of order would make an uneven video end before its last frame
        self._stream = self._container.add_stream(self._encoding.codec, rate=self._rate, options=options)
        height, width = self.size
        context = self._stream.codec_context
        context.height, context.width = height + height % 2, width + width % 2
        context.pix_fmt = self._encoding.pixels
        context.sample_aspect_ratio = self._aspect
        context.time_base = self._time_base
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries = context.color_trc = 1  # BT.709

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            # Without it the last frame has no length and the video ends one frame early.
            packet.duration = round(1 / self._rate / packet.time_base)
            self._container.mux(packet)


def seen_in(tracks: Iterable[Track], position: int) -> list[Painted]:
    """Return what tracks show in a frame of their result, decoded to be painted."""
    found = ((track, track.seen(position)) for track in tracks)
    return [Painted(t.id, t.label, t.score, masks.decode(code)) for t, code in found if code is not None]


class NotPainted(UserWarning):
    """Frames of a result were not among those given: the painted video lacks them."""


def render(
    result: VideoResult,
    frames: Iterable[Frame],
    path: str | PathLike[str],
    *,
    min_score: float = SHOWN_SCORE,
    style: Style | str | None = None,
    on_frame: Callable[[], None] | None = None,
) -> int:
    """Write a result over its video; each tube once, under its best label.

    The video plays as wide as its source: with the pixels that the result says.

    Args:
        result: what to paint.
        frames: the frames that were segmented, each once and in the result's order; others among them are left out.
        path: the mp4 file, which is whole or absent.
        min_score: tracks below it are not painted, in [0, 1].
        style: "masks" (tinted and outlined; None too), "outlines", "fills", "boxes", or a `Style`.
        on_frame: called after each frame that was written.

    Returns:
        The number of frames written.

    Raises:
        InputError: a frame has another size than the masks, comes twice or out of order, or none is the result's.

    Warns:
        NotPainted: some of the result's frames did not come; says how many.
    """
    look = find_style(style)
    tracks = result.best_tracks(min_score)
    whole = len(result.frame_indices)
    size = (result.height, result.width)
    timed = is_variable(result.frame_times, result.fps)
    first: float | None = None
    count = 0
    with (
        whole_file(user_path(path)) as partial,
        VideoWriter(partial, result.fps, size, result.pixel_aspect) as writer,
    ):
        for position, frame in result_frames(result, frames):
            first = frame.time if first is None else first
            writer.write(paint(frame.image, seen_in(tracks, position), look), frame.time - first if timed else None)
            count += 1
            if on_frame is not None:
                on_frame()
    if count < whole:
        left = whole - count
        said = f"{left} of the result's {whole} frames did not come and were not painted"
        warnings.warn(f"{said}: the painted video is shorter", NotPainted, stacklevel=2)
    return count


def is_variable(times: Sequence[float], fps: float) -> bool:
    """Tell whether times (seconds) leave the grid of a constant rate by more than half a frame."""
    return any(abs((time - times[0]) * fps - i) > 0.5 for i, time in enumerate(times))
