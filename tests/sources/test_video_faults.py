"""Damaged, odd and foreign files: what is lost is told and counted, the rest keeps its numbers."""

from __future__ import annotations

import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from clips import SIZE, Clip, picture, remux, told
from ovvis.errors import InputError
from ovvis.sources import place
from ovvis.sources.counting import Counting
from ovvis.sources.ranks import Ranks
from ovvis.sources.video import open_source

GROUPS = {"g": "10", "bf": "0", "qp": "6"}


def hole(path: Path, begin: float = 0.5, length: int = 1500, fill: bytes = b"\xff") -> Path:
    """Overwrite a part of a file."""
    data = bytearray(path.read_bytes())
    at = int(len(data) * begin)
    data[at : at + length] = (fill * length)[:length]
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("clip", "length"),
    [
        (Clip("a.webm", "libvpx-vp9", {"g": "10", "deadline": "realtime", "cpu-used": "8"}), 400),
        (Clip("a.mkv", options=GROUPS, container={"cluster_time_limit": "300"}), 900),
        (Clip("a.ts", options=GROUPS), 1880),
        (Clip("b.ts", "mpeg2video", {"g": "6", "bf": "2"}), 1880),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.parametrize("fill", [b"\xff", b"\0", b"\x47\x1f\x93"])
def test_frames_missing_in_the_middle(tmp_path: Path, clip: Clip, length: int, fill: bytes) -> None:
    source = open_source(hole(clip.make(tmp_path), length=length, fill=fill))
    indices = [f.index for f in source]
    lost = 60 - len(indices)
    assert 0 < lost < 30 and len(set(indices)) == len(indices) and indices[-1] == 59
    assert source.problem is not None
    frames = "1 frame" if lost == 1 else f"{lost} frames"
    assert source.problem.startswith(f"{clip.name}: {frames} could not be read (")
    assert source.problem.endswith(f" and left out; {len(indices)} frames were used")
    # What lies behind the gap has the right number: the picture tells it.
    behind = list(open_source(tmp_path / clip.name, start=f"{indices[-6]}f"))
    assert [f.index for f in behind] == [told(f.image) for f in behind] == indices[-6:]


def test_a_hole_in_time_alone_is_no_loss(tmp_path: Path) -> None:
    for name in ("a.mkv", "a.mp4", "a.ts"):
        source = open_source(
            Clip(name, options=GROUPS, times=lambda k: 40 * k + (1000 if k > 30 else 0)).make(tmp_path)
        )
        assert [f.index for f in source] == list(range(60)) and source.problem is None


def test_a_frame_that_the_decoder_refuses_keeps_its_number(tmp_path: Path) -> None:
    def spoil(packets: list[Any]) -> list[Any]:
        for k in (13, 41):
            packet = av.Packet(b"\0\0\0\1\0")
            packet.pts, packet.dts, packet.time_base = packets[k].pts, packets[k].dts, packets[k].time_base
            packets[k] = packet
        return packets

    path = Clip("a.mp4", options={"g": "1", "bf": "0"}).make(tmp_path)
    remux(path, spoil)
    source = open_source(path)
    kept = [k for k in range(60) if k not in (13, 41)]
    assert [f.index for f in source] == kept
    assert source.problem is not None and "2 frames could not be read" in source.problem
    # Wherever a reading begins, and though nothing tells it there that a frame was lost before.
    for start in (5, 13, 14, 30, 50):
        got = list(open_source(path, start=f"{start}f"))
        assert [f.index for f in got] == [told(f.image) for f in got] == [k for k in kept if k >= start]


def test_sizes_that_change_are_told(tmp_path: Path) -> None:
    clip = Clip("a.ts", count=8)
    first = clip.make(tmp_path).read_bytes()
    path = tmp_path / "both.ts"
    path.write_bytes(first + clip.make(tmp_path, size=(96, 128)).read_bytes())
    source = open_source(path)
    frames = list(source)
    assert {f.image.shape for f in frames} == {(*SIZE, 3)} and [f.index for f in frames] == list(range(16))
    assert [told(f.image) for f in frames] == [*range(8), *range(8)]
    assert source.problem == "both.ts: 8 frames of another size (128x96) were scaled to the first frame's, 64x48"
    assert list(open_source(path, max_frames=8)) and open_source(path, max_frames=8).problem is None


def test_a_stream_that_appears_in_the_middle(tmp_path: Path) -> None:
    clip = Clip("a.ts", count=30)
    first = clip.make(tmp_path).read_bytes()
    second = two_streams(tmp_path / "b.ts", [SIZE, (96, 128)], None).read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(first + second + first)
    got = [told(f.image) for f in open_source(path)]
    assert got[:30] == list(range(30)) and got[-30:] == list(range(30))


def test_a_codec_that_is_not_known(tmp_path: Path) -> None:
    path = Clip("a.mp4", count=5).make(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz1"))
    with pytest.raises(InputError, match=r"a\.mp4 is encoded in a way that is not known here.* H\.264"):
        open_source(path)


# --- several video streams


def two_streams(path: Path, sizes: list[tuple[int, int]], default: int | None) -> Path:
    with av.open(str(path), "w") as out:
        streams = []
        for number, size in enumerate(sizes):
            stream = out.add_stream("libx264", rate=25)
            (stream.height, stream.width), stream.pix_fmt = size, "yuv420p"
            if default is not None:
                stream.disposition = 1 if number == default else 0
            streams.append(stream)
        for k in range(6):
            for number, stream in enumerate(streams):
                image = picture(100 * number + k, sizes[number])
                out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")))
        for stream in streams:
            out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("sizes", "default", "chosen"),
    [
        ([SIZE, (96, 128)], 0, 0),
        ([SIZE, SIZE], 1, 1),
        ([(96, 128), SIZE], 1, 1),
        ([SIZE, SIZE], 0, 0),
    ],
)
def test_the_default_stream(tmp_path: Path, sizes: list[tuple[int, int]], default: int, chosen: int) -> None:
    path = two_streams(tmp_path / "a.mkv", sizes, default)
    source = open_source(path)
    assert (source.info.height, source.info.width) == sizes[chosen]
    assert [told(f.image) for f in source] == [100 * chosen + k for k in range(6)]
    (note,) = source.notes
    assert note.startswith(f"a.mkv has 2 video streams: number {chosen} is used") and "stream (0 to 1)" in note
    for number in (0, 1):
        asked = open_source(path, stream=number)
        assert [told(f.image) for f in asked] == [100 * number + k for k in range(6)] and not asked.notes
        assert [told(f.image) for f in open_source(path, stream=number, start="4f")] == [
            100 * number + 4,
            100 * number + 5,
        ]


@pytest.mark.parametrize("stream", [2, -1, True, "0"])
def test_a_stream_that_is_not_there(tmp_path: Path, stream: Any) -> None:
    path = two_streams(tmp_path / "a.mkv", [SIZE, SIZE], 0)
    with pytest.raises(InputError, match=f"stream is {stream!r}"):
        open_source(path, stream=stream)
    with pytest.raises(InputError, match="1 video stream, number 0"):
        open_source(Clip("b.mp4", count=3).make(tmp_path), stream=1)


# --- what is no video


def unfinished(path: Path) -> None:
    made = Clip("whole.mp4", count=20).make(path.parent)
    path.write_bytes(made.read_bytes()[: made.stat().st_size // 2])


def cut_index(path: Path) -> None:
    """As a download of a web video breaks off: its index comes first, and is not whole."""
    data = Clip("whole.mp4", count=20, container={"movflags": "faststart"}).make(path.parent).read_bytes()
    path.write_bytes(data[: data.index(b"moov") + 60])


def unclosed(path: Path) -> None:
    data = Clip("whole.mp4", count=20).make(path.parent).read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])


def segment(path: Path) -> None:
    data = (
        Clip("whole.mp4", count=20, container={"movflags": "frag_keyframe+empty_moov"}).make(path.parent).read_bytes()
    )
    path.write_bytes(data[data.index(b"moof") - 4 :])


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.mp4", b"video")


def holding(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("a.mp4", unfinished, ["no index (moov)", "unfinished", "download or copy it again"]),
        ("a.mp4", cut_index, ["ends within its index (moov)", "unfinished"]),
        ("a.mp4", unclosed, ["no index (moov)", "did not finish"]),
        ("a.mp4", segment, ["a piece of a stream", "playlist"]),
        ("a.mp4", holding(b""), ["is empty (0 bytes)", "no video"]),
        ("a.mp4", holding(b"<!DOCTYPE html>\n<html><body>404</body></html>"), ["HTML page", "video file itself"]),
        ("a.webm", holding(b"\xef\xbb\xbf\n<HTML lang=en>"), ["HTML page"]),
        (
            "a.mkv",
            holding(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"),
            ["Git LFS pointer", "git lfs pull"],
        ),
        ("a.avi", zipped, ["is a zip archive", "unpack it"]),
        ("a.mp4.gz", holding(b"\x1f\x8b\x08\0" + bytes(range(200))), ["is a gzip file", "unpack it"]),
        ("a.mp4.part", holding(bytes(range(256)) * 4), ["unfinished download", ".part"]),
        ("a.mp4.crdownload", holding(bytes(range(256)) * 4), ["unfinished download", ".crdownload"]),
        ("a.mov", holding(bytes(5000)), ["begins with zeros alone", "download it again"]),
        ("a.mp4", holding(b"no video at all"), ["no video that can be read"]),
    ],
    ids=lambda value: getattr(value, "__name__", value if isinstance(value, str) else ""),
)
def test_no_video(tmp_path: Path, name: str, make: Callable[[Path], None], words: list[str]) -> None:
    make(tmp_path / name)
    with pytest.raises(InputError) as caught:
        open_source(tmp_path / name)
    message = str(caught.value)
    assert message.startswith(f"{name} ") and "\n" not in message
    for word in words:
        assert word in message


def test_an_index_in_front_needs_no_whole_file(tmp_path: Path) -> None:
    path = Clip("a.mp4", options=GROUPS, container={"movflags": "+faststart"}).make(tmp_path)
    part = tmp_path / "a.mp4.part"
    part.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = open_source(part)
    frames = list(source)
    assert 5 < len(frames) < 60 and [f.index for f in frames] == list(range(len(frames)))
    assert source.problem is not None and "of about 60 could not be read" in source.problem


# --- a network that stalls


@pytest.fixture
def stalling(tmp_path: Path) -> Iterator[Callable[[float], str]]:
    """Give the address of a server that sends such a share of a video, then nothing."""
    data = Clip("a.mp4", options=GROUPS, container={"movflags": "+faststart"}).make(tmp_path).read_bytes()
    servers: list[socket.socket] = []
    over = threading.Event()

    def start(send: float) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def serve() -> None:
            while not over.is_set():
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                held.append(client)
                client.recv(4096)
                if send >= 0:
                    head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {len(data)}\r\n\r\n"
                    client.sendall(head.encode() + data[: int(send * len(data))])

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/a.mp4"

    held: list[socket.socket] = []
    yield start
    over.set()
    for one in (*servers, *held):
        one.close()


@pytest.mark.parametrize("send", [-1, 0, 0.01])
def test_a_source_that_never_answers(
    stalling: Callable[[float], str], monkeypatch: pytest.MonkeyPatch, send: float
) -> None:
    monkeypatch.setattr(place, "TIMEOUT", 0.3)
    address = stalling(send)
    with pytest.raises(InputError) as caught:
        list(open_source(address))
    message = str(caught.value)
    assert "for 0.3 s" in message and message.startswith(address) and "download it first" in message
    assert "\n" not in message


def test_a_source_that_stalls_is_used_as_far_as_it_came(
    stalling: Callable[[float], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "TIMEOUT", 0.3)
    source = open_source(stalling(0.6))
    indices = [f.index for f in source]
    assert indices == list(range(len(indices))) and 0 < len(indices) < 60
    assert source.problem is not None and "the source sent nothing for 0.3 s" in source.problem


# --- counting


class Packet:
    is_discard = False

    def __init__(self, pts: int) -> None:
        self.pts = self.dts = pts


@pytest.mark.parametrize(
    ("fed", "came", "expected", "missing", "waiting"),
    [
        ([0, 3, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3], 0, 0),
        ([0, 3, 1, 2], [0, 2, 3], [0, 2, 3], 1, 0),  # a lost frame leaves its number free
        ([0, 3, 1, 2], [0, 1], [0, 1], 0, 2),
        ([0, 3, 1, 2], [0, 3, 1, 2], [0, 3, 1, 2], 0, 0),  # frames that come late have their own numbers
        ([0, 1, 1, 2], [0, 1, 1, 2], [0, 1, 2, 3], 0, 0),  # equal times
        ([0, 1, 2], [0, 7, 2], [0, 1, 2], 0, 0),  # a time of which no packet knows
        ([-2, 0, -1, 1], [0, 1], [0, 1], 0, 0),  # shown before the first frame: nobody misses them
        ([0, 1, 500, 501, 0, 1], [0, 1, 500, 501, 0, 1], [0, 1, 2, 3, 4, 5], 0, 0),  # joined
        ([0, 1, 500, 501, 0, 1], [0, 1, 500, 0, 1], [0, 1, 2, 4, 5], 1, 0),
        ([0], [0, None, None], [0, 1, 2], 0, 0),
    ],
)
def test_ranks(fed: list[int], came: list[int | None], expected: list[int], missing: int, waiting: int) -> None:
    ranks = Ranks(second=100, origin=0)
    for k, pts in enumerate(fed):
        ranks.fed(pts, pts if 500 in fed else k)
    assert [ranks.taken(pts) for pts in came] == expected
    assert (ranks.missing, ranks.waiting) == (missing, waiting)


def test_ranks_of_a_long_video_forget() -> None:
    ranks = Ranks(second=100, origin=0)
    for k in range(5000):
        ranks.fed(k, k)
        if k % 100 != 50:
            assert ranks.taken(k) == k
    assert ranks.missing == 50 and ranks.waiting == 0


def test_a_packet_that_comes_too_late_takes_no_number_twice() -> None:
    ranks = Ranks(second=100, origin=0)
    ranks.fed(0, 0)
    ranks.fed(2, 1)
    places = [ranks.taken(0), ranks.taken(2)]
    ranks.fed(1, 2)
    ranks.fed(3, 3)
    assert [*places, ranks.taken(1), ranks.taken(3)] == [0, 1, 2, 3]


def test_doubt_and_reports() -> None:
    counting = Counting(None, rate=10, steady=True)
    assert [counting.place(None, 0.0), counting.place(None, 0.1)] == [0, 1]
    counting.failed("bad")
    assert counting.place(None, 0.3) == 3 and (counting.skipped, counting.why) == (1, "bad")
    assert counting.place(None, 0.9) == 4  # a hole without a sign of damage is the video's own
    counting.doubted("torn")
    assert counting.place(None, 1.3) == 8 and (counting.skipped, counting.why) == (4, "torn")
    assert not counting.broken
    counting.failed("the end")
    assert counting.broken == "the end"
    uneven = Counting(None, rate=10, steady=False)
    uneven.place(None, 0.0)
    uneven.doubted("torn")
    assert uneven.place(None, 0.9) == 1 and uneven.uncounted
    leapt = Counting(None, rate=10, steady=True)
    leapt.place(None, 0.0)
    leapt.doubted("torn")
    assert leapt.place(None, 1e6) == 1 and leapt.uncounted
