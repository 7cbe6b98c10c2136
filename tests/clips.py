"""Small videos of every kind, made by PyAV; each picture tells its number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SIZE = (48, 64)  # height, width


def picture(k: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return picture k: its number in eight bits of black and white, over a bar that moves and a slope."""
    height, width = size
    image = np.empty((*size, 3), np.uint8)
    image[:] = np.linspace(40, 200, width).astype(np.uint8)[None, :, None]
    image[height // 2 :, (3 * k) % width : (3 * k) % width + 8] = (250, 60, 30)
    cell = width // 8
    for bit in range(8):
        image[: height // 3, bit * cell : (bit + 1) * cell] = 235 if k >> bit & 1 else 16
    return image


def told(image: np.ndarray) -> int:
    """Return the number of the picture."""
    height, width, _ = image.shape
    cell = width // 8
    row = image[height // 12 : height // 4]
    return sum(int(row[:, b * cell + 2 : (b + 1) * cell - 2].mean() > 125) << b for b in range(8))


@dataclass(frozen=True)
class Clip:
    """A file to make."""

    name: str  # its suffix tells the container
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    count: int = 60
    rate: Fraction = Fraction(30)
    times: Callable[[int], int] | None = None  # of each frame, milliseconds
    pixels: str = "yuv420p"
    container: dict[str, str] = field(default_factory=dict)
    after: Callable[[Path], None] | None = None  # changes the file

    def make(self, folder: Path, size: tuple[int, int] = SIZE, numbers: Sequence[int] | None = None) -> Path:
        """Write the file and return its path."""
        path = folder / self.name
        options = _QUIET.get(self.codec, {}) | self.options
        with av.open(str(path), "w", options=self.container) as out:
            stream = out.add_stream(self.codec, rate=self.rate, options=options)
            stream.height, stream.width = size
            stream.pix_fmt = self.pixels
            if self.times:
                stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
            for i, k in enumerate(numbers or range(self.count)):
                frame = av.VideoFrame.from_ndarray(picture(k, size), format="rgb24").reformat(format=self.pixels)
                if self.times:
                    frame.pts, frame.time_base = self.times(i), Fraction(1, 1000)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        if self.after:
            self.after(path)
        return path


def remux(path: Path, change: Callable[[list[av.Packet]], list[av.Packet]], target: Path | None = None) -> None:
    """Write a file anew, in place or as `target`, with other packets."""
    target = target or path
    made = target.with_name(f"remux_{target.name}")
    with av.open(str(path)) as file, av.open(str(made), "w") as out:
        stream = file.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for packet in change([p for p in file.demux(stream) if p.size]):
            packet.stream = copy
            out.mux(packet)
    made.replace(target)


_QUIET = {
    "libx265": {"x265-params": "log-level=none"},
    "libsvtav1": {"preset": "12"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"deadline": "good", "cpu-used": "8"},
    "mpeg4": {"qmin": "2", "qmax": "4"},
    "mpeg2video": {"qmin": "2", "qmax": "4"},
    "mjpeg": {"qmin": "2", "qmax": "4"},
}


def _x265(**settings: str) -> dict[str, str]:
    return {"x265-params": ":".join(f"{k.replace('_', '-')}={v}" for k, v in {"log_level": "none", **settings}.items())}


def _even(k: int) -> int:
    return 33 * k


def _uneven(k: int) -> int:
    return 40 * k + (900 if k > 25 else 0) + (k * 7919 % 13)


def clips() -> list[Clip]:
    """Return the kinds of files whose spans are read: codecs, groups of pictures, containers, clocks."""
    open_groups = {"g": "12", "bf": "3", "x264-params": "open-gop=1:keyint=12:scenecut=0:b-adapt=0:b-pyramid=normal"}
    alt = {"g": "16", "auto-alt-ref": "1", "lag-in-frames": "12", "arnr-maxframes": "5", "b": "200k"}
    return [
        Clip("x264.mp4", options={"g": "30"}, count=100),
        Clip("x264_g7.mp4", options={"g": "7", "bf": "2"}),
        Clip("x264_open.mp4", options=open_groups),
        Clip("x264_open.mkv", options=open_groups),
        Clip("x264_open.ts", options=open_groups),
        Clip("x264_b0.mov", options={"g": "9", "bf": "0"}),
        Clip("x264_refresh.mp4", options={"g": "20", "intra-refresh": "1"}),
        Clip("x264.mkv", options={"g": "13", "bf": "3"}),
        Clip("x264_ntsc.mkv", options={"g": "13", "bf": "3"}, rate=Fraction(30000, 1001)),
        Clip("x264_uneven.mkv", options={"g": "10", "bf": "3"}, times=_uneven),
        Clip("x264_uneven.mp4", options={"g": "10", "bf": "3"}, times=_uneven),
        Clip("x264_late.mkv", options={"g": "10", "bf": "3"}, times=lambda k: 5000 + _even(k)),
        Clip("x264_fragments.mp4", options={"g": "10"}, container={"movflags": "frag_keyframe+empty_moov"}),
        Clip("x264.ts", options={"g": "12", "bf": "3"}),
        Clip("x264.avi", options={"g": "12", "bf": "3"}),
        Clip("x264.flv", options={"g": "12", "bf": "3"}),
        Clip("x264_fields.mp4", options={"g": "12", "flags": "+ildct+ilme", "x264-params": "tff=1"}),
        Clip("x264_fields.ts", options={"g": "12", "flags": "+ildct+ilme", "x264-params": "tff=1"}),
        Clip("x265.mp4", "libx265", _x265(keyint="24", min_keyint="1")),
        Clip("x265_open.mp4", "libx265", _x265(keyint="12", open_gop="1", bframes="4", scenecut="0")),
        Clip("x265_closed.mkv", "libx265", _x265(keyint="9", open_gop="0", bframes="3")),
        Clip("x265_open.mkv", "libx265", _x265(keyint="12", open_gop="1", bframes="4", scenecut="0", radl="0")),
        Clip("x265_radl.mp4", "libx265", _x265(keyint="12", open_gop="0", bframes="4", radl="2")),
        Clip("mpeg2.mpg", "mpeg2video", {"g": "12", "bf": "2"}),
        Clip("mpeg2.mkv", "mpeg2video", {"g": "12", "bf": "2"}),
        Clip("mpeg2_closed.mp4", "mpeg2video", {"g": "8", "bf": "2", "flags": "+cgop", "sc_threshold": "1000000000"}),
        Clip("mpeg2.ts", "mpeg2video", {"g": "12", "bf": "2"}),
        Clip("mpeg4.avi", "mpeg4", {"g": "12", "bf": "2"}),
        Clip("mpeg4.mp4", "mpeg4", {"g": "12", "bf": "2"}),
        Clip("mpeg4_b0.avi", "mpeg4", {"g": "12", "bf": "0"}),
        Clip("vp8.webm", "libvpx", alt),
        Clip("vp9.webm", "libvpx-vp9", alt),
        Clip("vp9_g40.mkv", "libvpx-vp9", {**alt, "g": "40"}, count=100),
        Clip("vp9.mp4", "libvpx-vp9", alt),
        Clip("av1.mp4", "libsvtav1", {"g": "17"}),
        Clip("av1.webm", "libsvtav1", {"g": "32"}, count=100),
        Clip("av1_open.mkv", "libsvtav1", {"g": "17", "svtav1-params": "irefresh-type=1"}),
        Clip("mjpeg.mov", "mjpeg", pixels="yuvj420p"),
        Clip("mjpeg.avi", "mjpeg", pixels="yuvj420p"),
        Clip("prores.mov", "prores_ks", pixels="yuv422p10le", count=40),
        Clip("ffv1.mkv", "ffv1", {"g": "10"}, pixels="gray"),
        Clip("x264.h264", options={"g": "12", "bf": "3"}),
    ]
