"""Sources that are read once, as they come: pipes, UDP, RTSP, HTTP and HLS, against servers of this machine."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from clips import Clip, told
from ovvis.errors import InputError
from ovvis.sources import stream
from ovvis.sources.source import Source
from ovvis.sources.video import open_source
from servers import http_server, rtsp_server, tcp_server, transport_stream, udp_sender

SHORT = {"timeout": 0.4, "reconnect": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    Clip("a.ts", options={"g": "5", "bf": "0"}).make(folder)
    Clip("a.mkv", options={"g": "5"}).make(folder)
    Clip("a.mp4", options={"g": "5"}).make(folder)
    Clip("big.mp4", "mjpeg", pixels="yuvj420p").make(folder, size=(240, 320))
    Clip("fast.mp4", options={"g": "5"}, container={"movflags": "+faststart"}).make(folder)
    Clip("fragments.mp4", options={"g": "5"}, container={"movflags": "frag_keyframe+empty_moov"}).make(folder)
    return folder


def numbers(source: Source) -> list[int]:
    """Return the numbers that the pictures tell, and check that indices and times go up by one frame each."""
    frames = list(source)
    assert [f.index for f in frames] == list(range(frames[0].index, frames[0].index + len(frames)))
    times = [f.time for f in frames]
    assert times == sorted(times)
    return [told(f.image) for f in frames]


# --- pipes


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch):
    """Make a process's standard input what is given."""
    saved = os.dup(0)

    def give(data: bytes) -> None:
        reader, writer = os.pipe()
        os.dup2(reader, 0)
        os.close(reader)

        def write() -> None:
            with suppress(BrokenPipeError), os.fdopen(writer, "wb") as out:
                out.write(data)

        threading.Thread(target=write, daemon=True).start()

    yield give
    os.dup2(saved, 0)
    os.close(saved)


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "fragments.mp4", "fast.mp4"])
def test_standard_input(piped, folder: Path, name: str) -> None:
    piped((folder / name).read_bytes())
    source = open_source("-", start="2f", every=2)
    assert source.endless and not source.live and not source.rereadable
    frames = list(source)
    assert [told(f.image) for f in frames] == [f.index for f in frames] == list(range(2, 60, 2))
    assert [f.time for f in frames] == pytest.approx([k / 30 for k in range(2, 60, 2)], abs=0.002)
    assert source.problem is None and list(source.notes) == []
    with pytest.raises(InputError, match="standard input was read before"):
        iter(source)


@pytest.mark.parametrize("data", [b"", b"no video, text", None])
def test_standard_input_that_is_no_video(piped, folder: Path, data: bytes | None) -> None:
    piped((folder / "big.mp4").read_bytes() if data is None else data)  # its index comes last
    with pytest.raises(InputError, match=r"^standard input gave no video that can be read as it comes") as caught:
        open_source("-")
    assert "frag_keyframe" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
def test_a_named_pipe(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    data = (folder / "a.ts").read_bytes()
    threading.Thread(target=(tmp_path / "fifo").write_bytes, args=(data,), daemon=True).start()
    assert numbers(open_source(tmp_path / "fifo", duration=1)) == list(range(30))


# --- streams on the network


def test_udp_ends_by_frames_and_by_silence(folder: Path) -> None:
    data = transport_stream(folder / "a.ts")
    with udp_sender(data) as address:
        source = open_source(address, max_frames=20)
        assert source.endless and source.live and source.info.frame_count == 20
        assert len(numbers(source)) == 20 and source.problem is None
    with udp_sender(data, rounds=4) as address:
        source = open_source(address, **SHORT)
        seen = numbers(source)
    assert len(seen) > 60
    assert source.problem is not None
    assert "broke off after frame" in source.problem and "sent nothing for 0.4 s" in source.problem
    with pytest.raises(InputError, match=r"udp://127.0.0.1:\d+ sent nothing for 0.4 s"):
        open_source(address, **SHORT)


@pytest.mark.parametrize(("udp", "transport"), [(False, None), (False, "tcp"), (True, None), (True, "udp")])
def test_rtsp_by_either_transport(folder: Path, udp: bool, transport: str | None) -> None:
    with rtsp_server(transport_stream(folder / "a.ts"), udp=udp) as address:
        source = open_source(address.replace("//", "//me:secret@"), transport=transport, **SHORT)
        assert numbers(source) == list(range(59))  # RTP does not say that the last one is whole
    assert source.live and source.info.name == address
    assert "secret" not in f"{source.info} {source.problem} {source.notes}"


def test_rtsp_that_has_not_the_transport(folder: Path) -> None:
    with rtsp_server(b"", udp=True) as address, pytest.raises(InputError, match="could not be opened"):
        open_source(address, transport="tcp", **SHORT)


def test_a_stream_that_breaks_off_and_comes_back(folder: Path) -> None:
    data = transport_stream(folder / "a.ts")
    with rtsp_server(data, times=3) as address:
        source = open_source(address, timeout=1, reconnect=0.6)
        frames = list(source)
    assert [told(f.image) for f in frames] == 3 * list(range(59))
    assert [f.index for f in frames] == list(range(177))
    times = [f.time for f in frames]
    assert times == sorted(times) and times[59] > times[58]
    assert times[176] - times[118] == pytest.approx(58 / 30, abs=0.2)
    gaps = [note for note in source.notes if "broke off after frame" in note]
    assert ["frame 58" in gaps[0], "frame 117" in gaps[1], len(gaps)] == [True, True, 2]
    assert "came back" in gaps[0] and " s later" in gaps[0]
    assert "did not come back within 0.6 s" in str(source.problem) and "the 177 frames" in str(source.problem)


def test_motion_jpeg_over_http() -> None:
    """As cheap cameras send it: pictures between boundaries, without times."""
    picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8), format="rgb24")
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, "yuvj420p", Fraction(1, 25)
    (packet,) = [*encoder.encode(picture.reformat(format="yuvj420p")), *encoder.encode(None)]
    part = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (packet.size, bytes(packet))

    def answer(client) -> None:
        client.recv(4096)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n" + part * 30)

    with tcp_server(answer) as port:
        source = open_source(f"http://127.0.0.1:{port}/video", max_frames=10)
        assert source.live and len(numbers(source)) == 10


# --- files on the network


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fast.mp4", {}),
        ("fast.mp4", {"ranges": False}),
        ("a.mp4", {}),  # the index lies at its end: it is asked for
        ("a.mkv", {"pause": 0.002}),
        ("fast.mp4", {"cut": 0.4}),  # goes on where it was cut
    ],
)
def test_http(folder: Path, name: str, options: dict) -> None:
    data = {"dir/x.mp4": (folder / name).read_bytes()}
    with http_server(data, **options) as address:
        source = open_source(f"{address}/dir/x.mp4?token=secret", start="3f", max_frames=50)
        assert not source.endless and source.rereadable
        assert numbers(source) == numbers(source) == list(range(3, 53))
    assert source.problem is None and source.info.name == f"{address}/dir/x.mp4"


def test_http_that_cannot_go_on_is_used_as_far_as_it_came(folder: Path) -> None:
    with http_server({"x.mp4": (folder / "fast.mp4").read_bytes()}, ranges=False, cut=0.6) as address:
        source = open_source(f"{address}/x.mp4", timeout=1)
        seen = numbers(source)
    assert 0 < len(seen) < 60 and source.problem is not None


def test_what_is_not_there() -> None:
    with http_server({}) as address, pytest.raises(InputError, match=r"x.mp4 could not be opened .*404"):
        open_source(f"{address}/x.mp4")
    with pytest.raises(InputError, match="refused"):
        open_source("http://me:secret@127.0.0.1:9/x.mp4")


# --- the clock


@pytest.mark.parametrize(
    ("ticks", "came", "expected"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]),
        ([7, 8, 9], [0, 5, 6], [0, 1, 2]),  # what waited in between comes at once: the sender's clock counts
        ([0, 1, 9000, 9001], [0, 1, 2, 3], [0, 1, 2, 3]),  # a leap that no time here bears out
        ([0, 1, 60, 61], [0, 1, 60, 61], [0, 1, 60, 61]),  # one that does
        ([50, 51, 3, 4], [0, 1, 2, 3], [0, 1, 2, 3]),  # a camera's clock is set
        ([0, None, None], [0, 2, 5], [0, 2, 5]),
    ],
)
def test_the_senders_clock_is_held_against_the_one_here(ticks, came, expected) -> None:
    here = iter(came)
    clock = stream.SenderClock(lambda: next(here), 1.0, live=True)
    clock.begin(ticks[0], Fraction(1))
    assert [clock.read(tick) for tick in ticks] == expected
