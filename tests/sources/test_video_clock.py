"""Clocks, rates and lengths of odd files: what is announced, what comes, and that no estimate refuses or cuts."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from clips import SIZE, Clip, picture, remux, told
from ovvis.errors import InputError
from ovvis.sources import facts as facts_module
from ovvis.sources.clock import Clock
from ovvis.sources.rates import frame_rate, is_steady
from ovvis.sources.video import open_source

B_FRAMES = {"g": "12", "bf": "3"}


def read(path: Path, **options: Any) -> tuple[list[int], list[float]]:
    """Return the numbers of the pictures, having checked that the indices are these, and the times."""
    source = open_source(path, **options)
    frames = list(source)
    assert source.problem is None
    return [told(f.image) for f in frames], [f.time for f in frames]


def test_a_clock_that_begins_late(tmp_path: Path) -> None:
    path = Clip("a.mkv", options=B_FRAMES, count=75, rate=Fraction(25), times=lambda k: 5000 + 40 * k).make(tmp_path)
    source = open_source(path)
    assert source.info.frame_count == 75 and source.info.fps == 25
    frames = list(source)
    assert source.problem is None and len(frames) == 75
    assert [frames[0].time, frames[-1].time] == pytest.approx([0, 2.96])
    assert [f.index for f in open_source(path, start=1.0, max_frames=2)] == [25, 26]


def test_a_segment_of_mp4_whose_clock_begins_late(tmp_path: Path) -> None:
    def late(packets: list[Any]) -> list[Any]:
        for packet in packets:
            packet.pts, packet.dts = packet.pts + 100 * 512, packet.dts + 100 * 512
        return packets

    path = Clip("a.mp4", options=B_FRAMES, container={"movflags": "frag_keyframe+empty_moov"}).make(tmp_path)
    target = tmp_path / "late.mkv"
    remux(path, late, target)
    for file in (path, target):
        source = open_source(file)
        assert len(list(source)) == source.info.frame_count == 60 and source.problem is None


def test_avi_with_frames_out_of_order(tmp_path: Path) -> None:
    path = Clip("a.avi", options=B_FRAMES, count=50, rate=Fraction(25)).make(tmp_path)
    source = open_source(path)
    assert (source.info.frame_count, source.info.fps) == (50, 25)
    numbers, times = read(path)
    assert numbers == list(range(50)) and times == pytest.approx([k / 25 for k in range(50)])


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts", ".flv"])
def test_times_in_the_order_of_packets(tmp_path: Path, suffix: str) -> None:
    def misplaced(packets: list[Any]) -> list[Any]:
        for packet, time in zip(packets, sorted(p.pts for p in packets), strict=True):
            packet.pts = packet.dts = time
        return packets

    path = tmp_path / f"b{suffix}"
    remux(Clip("a.mkv", options=B_FRAMES).make(tmp_path), misplaced, path)
    numbers, times = read(path)
    assert numbers == list(range(60)) and times == pytest.approx([k / 30 for k in range(60)], abs=0.002)
    assert read(path, start="20f", max_frames=5)[0] == list(range(20, 25))


def test_equal_times_move_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuvj420p"
        for k in range(25):
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture(k), format="rgb24")):
                packet.pts = packet.dts = k // 2 * 2
                out.mux(packet)
    assert open_source(path).info.fps == 25
    numbers, times = read(path)
    assert numbers == list(range(25)) and times == pytest.approx([(k // 2 * 2) / 25 for k in range(25)])
    assert read(path, start=0.5)[0] == list(range(14, 25))


def test_recordings_joined(tmp_path: Path) -> None:
    clip = Clip("a.ts", options=B_FRAMES, count=25, rate=Fraction(25))
    first, path = clip.make(tmp_path).read_bytes(), tmp_path / "joined.ts"
    path.write_bytes(first + clip.make(tmp_path, numbers=range(25, 50)).read_bytes())
    numbers, times = read(path)
    assert numbers == list(range(50)) and times == pytest.approx([k / 25 for k in range(50)])
    # The length that the container tells is that of one recording: it refuses and cuts nothing.
    assert read(path, start=1.4)[0] == list(range(35, 50))
    assert read(path, start="45f", end=99)[0] == list(range(45, 50))


def test_a_variable_rate_refuses_no_start(tmp_path: Path) -> None:
    path = Clip("a.mp4", options=B_FRAMES, count=22, times=lambda k: 40 * k + (1000 if k > 12 else 0)).make(tmp_path)
    assert read(path, start=1.8)[0] == list(range(20, 22))
    assert read(path, start="21f")[0] == [21]
    with pytest.raises(InputError, match=r"start is 1\.9: .* has 22 frames \(1\.9\d s\); give an earlier start"):
        list(open_source(path, start=1.9))


def test_a_short_header_refuses_and_cuts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Clip("a.ts", options=B_FRAMES).make(tmp_path)
    monkeypatch.setattr(facts_module, "_length", lambda *_: (0.5, True))
    source = open_source(path, start=1.0)
    assert source.info.frame_count is None
    assert [f.index for f in source] == list(range(30, 60)) and source.problem is None
    assert len(list(open_source(path))) == 60


@pytest.mark.parametrize(
    ("average", "guessed", "times", "lengths", "rate"),
    [
        (25, 25, [k / 25 for k in range(9)], [], 25),
        (60000, 25, [k / 25 for k in range(6)], [], 25),  # a camcorder's DV: the clock's rate
        (60000, 60000, [k / 25 for k in range(6)], [], 25),
        (25, 30000 / 1001, [], [1001 / 30000] * 9, 30000 / 1001),  # raw H.264: ffmpeg's made up number
        (25, None, [], [1001 / 30000] * 9, 30000 / 1001),
        (50, 50, [k / 25 for k in range(9)], [], 25),  # AVI: the rate of fields
        (1000, 1000, [round(k * 1000 / 30) / 1000 for k in range(48)], [], 30),  # a clock of milliseconds
        (90000, None, [round(k * 1001 / 30) / 1000 for k in range(48)], [], 30000 / 1001),
        (18, 25, [k / 25 for k in range(48) if k % 3], [], 18),  # variable: the average of the whole
        (25, 25, [k // 2 * 2 / 25 for k in range(25)], [], 25),  # pairs of equal times
        (0, None, [], [], 24),
        (90000, 90000, [0.0], [], 24),
    ],
)
def test_frame_rate(
    average: float, guessed: float | None, times: list[float], lengths: list[float], rate: float
) -> None:
    assert frame_rate(average, guessed, times, lengths) == pytest.approx(rate, rel=1e-9)


def test_raw_stream_has_its_own_rate(tmp_path: Path) -> None:
    path = Clip("a.h264", options=B_FRAMES, count=30, rate=Fraction(30000, 1001)).make(tmp_path)
    source = open_source(path)
    assert source.info.fps == pytest.approx(30000 / 1001) and source.info.frame_count is None
    assert read(path)[1][-1] == pytest.approx(29 * 1001 / 30000)


def test_dv_has_its_own_rate(tmp_path: Path) -> None:
    path = tmp_path / "a.dv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("dvvideo", rate=25)
        stream.height, stream.width, stream.pix_fmt = 576, 720, "yuv420p"
        for k in range(6):
            frame = av.VideoFrame.from_ndarray(picture(k, (576, 720)), format="rgb24").reformat(format="yuv420p")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    source = open_source(path)
    assert source.info.fps == 25
    assert read(path) == (list(range(6)), pytest.approx([k / 25 for k in range(6)]))


def test_is_steady() -> None:
    assert is_steady([k / 30 for k in range(20)]) and is_steady([round(k / 30, 3) for k in range(20)])
    assert not is_steady([0.0]) and not is_steady([k * k / 30 for k in range(20)])


class Packet:
    is_discard = False

    def __init__(self, pts: int | None, dts: int | None) -> None:
        self.pts, self.dts = pts, dts


@pytest.mark.parametrize(
    ("ticks", "coded", "expected"),
    [
        ([10, 11, 12], [0, 1, 2], [0, 1, 2]),
        ([10, 11, 11, 12], [0, 1, 2, 3], [0, 1, 1, 2]),  # equal times
        ([10, 12, 11, 13], [0, 1, 2, 3], [0, 2, 1, 3]),  # a small step back moves no later time
        ([10, 11, 12, 0, 1], [0, 1, 2, -9, -8], [0, 1, 2, 3, 4]),  # joined
        ([10, 11, 12, 50], [0, 1, 2, 3], [0, 1, 2, 40]),  # a hole is a hole
    ],
)
def test_clock(ticks: list[int], coded: list[int], expected: list[int]) -> None:
    clock = Clock(Fraction(1), ticks[0], 1.0, None)
    seen = []
    for index, (pts, dts) in enumerate(zip(ticks, coded, strict=True)):
        clock.fed(Packet(pts, dts))
        seen.append(clock.settle(clock.read(pts), index))
    assert seen == expected
