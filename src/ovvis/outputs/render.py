"""The painted video: every instance in its own colour, with its label, score and number."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, lru_cache
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray
from PIL import Image as PillowImage

from ovvis import masks
from ovvis.errors import InputError
from ovvis.files.output import whole_file
from ovvis.masks import BoolArray
from ovvis.outputs.fragments import keep_whole
from ovvis.outputs.matching import result_frames
from ovvis.paths import user_path
from ovvis.structures import SHOWN_SCORE, Frame, VideoResult

Image = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom lie outside

# An id keeps its colour over the video; neighbouring ids differ most.
PALETTE = (
    "#ff3b4e", "#2ec4ff", "#ffd92f", "#3ddc5b", "#b45bff", "#ff8c1a", "#00d9c0", "#ff5fc4",
    "#4f6bff", "#b8f000", "#c98a4b", "#ffa8a0", "#00a86b", "#d6a8ff", "#e0103f", "#7fe8ff",
    "#9a9a00", "#ff3df0", "#1f8fff", "#ffc48a", "#8cffb0", "#8a4fd0", "#c8324f", "#5fae2e",
)  # fmt: skip
_FILL = 115  # share of the colour inside a mask, in 256ths
_TICKS = 90_000  # a second, for frames that carry their own time: 24, 25, 30 and 29.97 fall on whole ticks
_GROWING = {
    "movflags": "+empty_moov+default_base_moof",
    "frag_duration": "1000000",  # microseconds
    "flush_packets": "1",
}


@dataclass(frozen=True, slots=True)
class Painted:
    """One instance to paint into one image."""

    id: int  # picks the colour
    label: str
    score: float  # in [0, 1]
    mask: BoolArray  # H, W


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


def colour(id: int) -> str:
    """Return the colour of an id, such as "#ff3b4e"."""
    return PALETTE[id % len(PALETTE)]


def paint(image: Image, instances: Sequence[Painted], tags: bool = True) -> Image:
    """Return a copy of an image (H, W, 3; RGB) with instances painted over it, smaller ones on top.

    Each has its mask tinted and outlined in the colour of its id, and a tag such as "dog 0.87 #3" unless `tags` says
    no.
    """
    height, width = image.shape[:2]
    boxes: list[Box] = []
    drawn: list[Painted] = []
    for instance in sorted(instances, key=lambda i: int(np.count_nonzero(i.mask)), reverse=True):
        if instance.mask.shape != (height, width):
            raise ValueError(f"mask of shape {instance.mask.shape} must have the image's, {(height, width)}")
        rows, columns = np.flatnonzero(instance.mask.any(1)), np.flatnonzero(instance.mask.any(0))
        if len(rows):
            boxes.append((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
            drawn.append(instance)
    if not drawn:
        return image.copy()
    painted = _paint_masks(image, drawn, boxes)
    return _paint_tags(painted, drawn, boxes) if tags else painted


def _paint_masks(image: Image, instances: list[Painted], boxes: list[Box]) -> Image:
    """Return a copy with masks tinted and outlined; without OpenCV supervision takes fifty times as long.

    A map says for each pixel what is on top there, so each pixel is mixed once.
    """
    height, width = image.shape[:2]
    line = _look(height, width).line
    top = np.zeros((height, width), dtype=np.uint16)  # 0: nothing; 2i + 1: inside instance i; 2i + 2: its outline
    keep = np.full(2 * len(instances) + 1, 256, dtype=np.uint16)  # share of the image, in 256ths
    add = np.zeros((len(keep), 3), dtype=np.uint16)
    for i, (instance, (x0, y0, x1, y1)) in enumerate(zip(instances, boxes, strict=True)):
        # One pixel around the box, so that only the image's own border can cut the mask off.
        around = slice(max(y0 - 1, 0), y1 + 1), slice(max(x0 - 1, 0), x1 + 1)
        mask = np.ascontiguousarray(instance.mask[around])
        np.copyto(top[around], 2 * i + 2, where=mask)
        np.copyto(top[around], 2 * i + 1, where=_eroded(mask, line))
        tint = np.array(_colour(instance.id), dtype=np.uint16)
        keep[2 * i + 1 : 2 * i + 3] = 256 - _FILL, 0
        add[2 * i + 1], add[2 * i + 2] = tint * _FILL, tint * 256
    left, upper = np.min(boxes, axis=0)[:2]
    right, lower = np.max(boxes, axis=0)[2:]
    top, painted = top[upper:lower, left:right], image.copy()
    crop, kept = painted[upper:lower, left:right], keep.take(top)
    for channel in range(3):  # one at a time: three times as fast as all at once
        crop[..., channel] = (crop[..., channel] * kept + add[:, channel].take(top)) >> 8
    return painted


def _eroded(mask: BoolArray, steps: int) -> BoolArray:
    """Return a mask without its outermost pixels; the crop's edge itself takes nothing away."""
    for _ in range(steps):
        wide = np.pad(mask, 1, mode="edge")
        mask = mask & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return mask


def _colour(id: int) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour(id)[1:])
    return red, green, blue


@cache
def _supervision() -> Any:
    """Import supervision: slow, and it warns where OpenCV is missing, which nothing here needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import supervision

    return supervision


@dataclass(frozen=True, slots=True)
class _Look:
    line: int  # width of an outline, pixels
    tags: Any  # supervision's annotator


@lru_cache(maxsize=4)
def _look(height: int, width: int) -> _Look:
    sv = _supervision()
    from matplotlib import get_data_path

    scale = sv.calculate_optimal_text_scale((width, height))
    dark = [np.dot(_colour(id), (0.299, 0.587, 0.114)) < 140 for id in range(len(PALETTE))]
    # DejaVu comes with supervision's matplotlib and, unlike Pillow's own font, knows more than ASCII.
    font = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    tags = sv.RichLabelAnnotator(
        color=sv.ColorPalette.from_hex(list(PALETTE)),
        text_color=sv.ColorPalette.from_hex(["#ffffff" if d else "#000000" for d in dark]),
        color_lookup=sv.ColorLookup.TRACK,
        font_path=str(font),
        font_size=max(round(26 * scale), 10),
        text_padding=max(round(7 * scale), 2),
        border_radius=round(5 * scale),
        smart_position=True,
    )
    return _Look(sv.calculate_optimal_line_thickness((width, height)), tags)


def _paint_tags(image: Image, instances: list[Painted], boxes: list[Box]) -> Image:
    sv = _supervision()
    detections = sv.Detections(xyxy=np.array(boxes, dtype=np.float32), tracker_id=np.array([i.id for i in instances]))
    texts = [f"{i.label} {i.score:.2f} #{i.id}" for i in instances]
    height, width = image.shape[:2]
    painted = _look(height, width).tags.annotate(PillowImage.fromarray(image), detections, texts)
    return np.array(painted)


class NotPainted(UserWarning):
    """Frames of a result were not among those given: the painted video lacks them."""


def render(
    result: VideoResult,
    frames: Iterable[Frame],
    path: str | PathLike[str],
    *,
    min_score: float = SHOWN_SCORE,
    on_frame: Callable[[], None] | None = None,
) -> int:
    """Write a result over its video; each tube once, under its best label.

    The video plays as wide as its source: with the pixels that the result says.

    Args:
        result: what to paint.
        frames: the frames that were segmented, each once and in the result's order; others among them are left out.
        path: the mp4 file, which is whole or absent.
        min_score: tracks below it are not painted, in [0, 1].
        on_frame: called after each frame that was written.

    Returns:
        The number of frames written.

    Raises:
        InputError: a frame has another size than the masks, comes twice or out of order, or none is the result's.

    Warns:
        NotPainted: some of the result's frames did not come; says how many.
    """
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
            found = ((t, t.masks[position]) for t in tracks)
            seen = [Painted(t.id, t.label, t.score, masks.decode(m)) for t, m in found if m is not None]
            first = frame.time if first is None else first
            writer.write(paint(frame.image, seen), frame.time - first if timed else None)
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
