"""Pixels that are not square, as files state them."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ovvis.outputs.render import VideoWriter
from ovvis.sources.video import open_source

ROTATED = (0, 1 << 16, 0, -(1 << 16) & 0xFFFFFFFF, 0, 0, 0, 0, 1 << 30)


def movie(path: Path, codec: str, aspect: Fraction | None, size: tuple[int, int] = (108, 144)) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        kind = "rgb24" if codec == "rawvideo" else "yuv420p"
        stream.height, stream.width, stream.pix_fmt = *size, kind
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for i in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 90, np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(stream.encode(frame.reformat(format=kind)))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),  # in the container and in the codec
        ("a.mkv", "libx264"),
        ("a.mov", "rawvideo"),  # in the container alone
        ("a.ts", "libx264"),  # in the codec alone
        ("a.h264", "libx264"),
        ("a.avi", "mpeg4"),
        ("a.mpg", "mpeg2video"),  # as the shape of the whole screen
    ],
)
def test_files(tmp_path: Path, name: str, codec: str) -> None:
    source = open_source(movie(tmp_path / name, codec, Fraction(4, 3)))
    assert source.info.pixel_aspect == Fraction(4, 3)  # known before the first frame
    assert list(source.notes) == []
    assert (source.info.height, source.info.width) == (108, 144)
    assert {frame.image.shape for frame in source} == {(108, 144, 3)}  # as stored


@pytest.mark.parametrize(
    ("stated", "believed", "told"),
    [
        (None, 1, None),
        (Fraction(1), 1, None),
        (Fraction(8, 9), Fraction(8, 9), None),
        (Fraction(12, 5), Fraction(12, 5), None),
        (Fraction(4), 4, None),
        (Fraction(1, 4), Fraction(1, 4), None),
        (Fraction(100), 1, "a.mp4 says that its pixels are 100:1, which no camera has: they are taken as square"),
        (Fraction(1, 99), 1, "a.mp4 says that its pixels are 1:99, which no camera has: they are taken as square"),
    ],
)
def test_what_is_believed(tmp_path: Path, stated: Fraction | None, believed: Fraction, told: str | None) -> None:
    source = open_source(movie(tmp_path / "a.mp4", "libx264", stated))
    assert source.info.pixel_aspect == believed
    assert list(source.notes) == ([told] if told else [])


@pytest.mark.parametrize("ratio", [(0, 1), (1, 0), (0, 0), (1000, 1), (1, 2**31 - 1), (2**32 - 1, 1)])
def test_nonsense_is_square(tmp_path: Path, ratio: tuple[int, int]) -> None:
    data = movie(tmp_path / "a.mov", "rawvideo", Fraction(4, 3)).read_bytes()
    at = data.index(b"pasp") + 4
    (tmp_path / "b.mov").write_bytes(data[:at] + struct.pack(">2I", *ratio) + data[at + 8 :])
    assert open_source(tmp_path / "b.mov").info.pixel_aspect == 1


def test_a_quarter_turn_turns_the_pixels(tmp_path: Path) -> None:
    data = bytearray(movie(tmp_path / "a.mov", "rawvideo", Fraction(4, 3)).read_bytes())
    at = data.find(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9I", *ROTATED)
    (tmp_path / "b.mov").write_bytes(data)
    info = open_source(tmp_path / "b.mov").info
    assert (info.height, info.width, info.pixel_aspect) == (144, 108, Fraction(3, 4))


@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(4, 3), Fraction(64, 45), Fraction(8, 9), Fraction(1, 2)])
@pytest.mark.parametrize("timed", [False, True])
def test_written_video(tmp_path: Path, aspect: Fraction, timed: bool) -> None:
    """It plays as wide as its source: in the container and in the codec."""
    with VideoWriter(tmp_path / "v.mp4", 10, (32, 48), aspect) as writer:
        for i in range(3):
            writer.write(np.full((32, 48, 3), 90, np.uint8), i / 10 if timed else None)
    assert open_source(tmp_path / "v.mp4").info.pixel_aspect == aspect
    with av.open(str(tmp_path / "v.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.width, stream.height, stream.sample_aspect_ratio) == (48, 32, aspect)
        next(video.decode(stream))
        assert stream.codec_context.sample_aspect_ratio == aspect
