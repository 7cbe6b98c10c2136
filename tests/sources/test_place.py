"""What libav is given for addresses, cameras and screens; what a playlist may name; what is never shown."""

from __future__ import annotations

import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import av
import pytest

from clips import Clip, told
from ovvis.errors import InputError
from ovvis.sources import devices
from ovvis.sources.place import address_place, shown_address
from ovvis.sources.video import open_source
from servers import http_server

# --- addresses


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://a.org/dog.mp4", "https://a.org/dog.mp4"),
        ("https://me:pass@a.org/dog.mp4?token=1#t", "https://a.org/dog.mp4"),
        ("rtsp://me:p@ss:w@10.0.0.7:554/ch/1", "rtsp://10.0.0.7:554/ch/1"),
        ("rtsp://cam/user=admin&password=tlJwpbo6&channel=1", "rtsp://cam/user=...&password=...&channel=1"),
        ("http://cam/api/access_token=abc/live", "http://cam/api/access_token=.../live"),
        ("srt://a.org:9000?passphrase=abc", "srt://a.org:9000"),
    ],
)
def test_nothing_secret_is_shown(address: str, shown: str) -> None:
    assert shown_address(address) == shown
    place = address_place(address)
    assert place.location == address and place.name == shown and "pass" not in repr(place).replace("password=...", "")


@pytest.mark.parametrize(
    ("address", "transport", "expected"),
    [
        ("rtsp://cam/1", None, {"rtsp_flags": "prefer_tcp"}),
        ("rtsp://cam/1", "auto", {"rtsp_flags": "prefer_tcp"}),
        ("rtsp://cam/1", "tcp", {"rtsp_transport": "tcp"}),
        ("rtsp://cam/1", "udp", {"rtsp_transport": "udp"}),
        ("http://a.org/a.mp4", None, {"reconnect": "1"}),
    ],
)
def test_how_addresses_are_reached(address: str, transport: str | None, expected: dict[str, str]) -> None:
    options = address_place(address, transport).options
    assert options.items() >= expected.items()
    assert "file" not in options["protocol_whitelist"].split(",")


@pytest.mark.parametrize(
    ("address", "options", "words"),
    [
        ("http://a.org/x", {"transport": "tcp"}, "only RTSP has a choice"),
        ("rtsp://a.org/x", {"transport": "sctp"}, "one of auto, tcp, udp"),
        ("gopher://a.org/x", {}, "gopher://, which is not read"),
        ("concat://a", {}, "not read"),
        ("rtsp://a.org/x", {"timeout": 0}, "timeout is 0"),
        ("rtsp://a.org/x", {"reconnect": -1}, "reconnect is -1"),
        ("tests", {"timeout": 3}, "it is for cameras and what comes over a network"),
        ("rtsp://a.org/x", {"duration": 3, "end": 5}, "both say where to stop"),
        ("rtsp://a.org/x", {"duration": 3, "start": "5f"}, "both in seconds or both in frames"),
        ("rtsp://a.org/x", {"duration": 0}, "above 0"),
        ("rtsp://a.org/x", {"fps": 3}, "its own clock"),
    ],
)
def test_refusals(address: str, options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        open_source(address, **options)
    assert "\n" not in str(caught.value)


# --- cameras and screens

Device = namedtuple("Device", ["name", "description", "media_types"])


@pytest.mark.parametrize(
    ("system", "text", "expected"),
    [
        ("linux", "camera:DEV?size=640x480&fps=15&format=mjpeg",
         ("v4l2", "DEV", {"video_size": "640x480", "framerate": "15", "input_format": "mjpeg"})),
        ("linux", "screen::7", ("x11grab", ":7", {})),
        ("linux", "screen:1?area=10,20,300,200", ("x11grab", ":1+10,20", {"video_size": "300x200"})),
        ("darwin", "camera:1", ("avfoundation", "1:none", {"framerate": "30"})),
        ("darwin", "screen:?fps=10",
         ("avfoundation", "Capture screen 0:none", {"framerate": "10", "capture_cursor": "1"})),
        ("win32", "camera:1", ("dshow", "video=Desk", {})),
        ("win32", "camera:Integrated Camera", ("dshow", "video=Integrated Camera", {})),
        ("win32", "screen:", ("gdigrab", "desktop", {})),
        ("win32", "screen:?area=1,2,30,40",
         ("gdigrab", "desktop", {"offset_x": "1", "offset_y": "2", "video_size": "30x40"})),
    ],
)  # fmt: skip
def test_what_libav_is_asked_for(monkeypatch, tmp_path: Path, system, text, expected) -> None:
    (tmp_path / "video0").touch()
    monkeypatch.setattr(sys, "platform", system)
    found = [Device("Front", "", ["video"]), Device("Mic", "", ["audio"]), Device("Desk", "", ["video"])]
    monkeypatch.setattr(av.device, "enumerate_input_devices", lambda format: found)
    place = devices.device_place(text.replace("DEV", str(tmp_path / "video0")))
    format, location, options = expected
    assert (place.format, place.location, place.options) == (
        format, location.replace("DEV", str(tmp_path / "video0")), options
    )  # fmt: skip
    assert place.live and place.silence == 10


@pytest.mark.parametrize(
    ("system", "found", "text", "words"),
    [
        ("linux", [], "camera:7", "camera:7 is not there (/dev/video7): no camera is here; connect one"),
        ("linux", [Device("/dev/video9", "Desk", ["video"])], "camera:7", "here are /dev/video9 (Desk); give one"),
        ("win32", [Device("Desk", "", ["video"])], "camera:3", "camera:3 is not there: here are Desk"),
        ("linux", [], "screen:", "no display to show"),
        ("linux", [], "camera:0?size=big", "size is 'big'; write it as size=1280x720"),
        ("linux", [], "camera:0?zoom=2", "zoom is no option of a camera; it has size, fps, format"),
        ("darwin", [], "screen:0?area=1,2,3,4", "macOS gives whole screens"),
        ("sunos5", [], "camera:0", "Linux, macOS and Windows"),
    ],
)
def test_devices_that_are_not_there(monkeypatch, system, found, text, words) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(av.device, "enumerate_input_devices", lambda format: found)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError) as caught:
        devices.device_place(text)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="libav says it otherwise elsewhere")
def test_a_camera_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "video0").write_text("no camera")
    with pytest.raises(InputError, match=r"camera:/.*video0 could not be opened .*: close what else uses it"):
        open_source(f"camera:{tmp_path / 'video0'}")


# --- playlists


@pytest.fixture
def pieces(tmp_path: Path) -> Path:
    """Make a folder of an HLS stream: two pieces of a video, their list, and a secret video above it."""
    folder = tmp_path / "hls"
    folder.mkdir()
    Clip("secret.ts", options={"g": "5"}, count=10).make(tmp_path)
    Clip("a.ts", options={"g": "5", "bf": "0"}, count=20).make(folder)
    Clip("b.ts", options={"g": "5", "bf": "0"}, count=20).make(folder)
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n"
    parts = "#EXTINF:0.667,\na.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:0.667,\nb.ts\n"
    (folder / "whole.m3u8").write_text(f"{head}{parts}#EXT-X-ENDLIST\n")
    (folder / "growing.m3u8").write_text(head + parts)
    return folder


def test_a_playlist_here_names_files_below_it(pieces: Path) -> None:
    assert [told(f.image) for f in open_source(pieces / "whole.m3u8")] == [*range(20), *range(20)]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.m3u8", "#EXTM3U\n#EXTINF:1,\n{above}/secret.ts\n", "names {above}/secret.ts"),
        ("x.m3u8", "#EXTM3U\n#EXTINF:1,\n../secret.ts\n", "names ../secret.ts"),
        ("x.m3u8", "#EXTM3U\n#EXTINF:1,\n%2e%2e/secret.ts\n", "names %2e%2e/secret.ts"),
        ("x.m3u8", "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "names file:///etc/passwd"),
        ("x.m3u8", '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="/etc/passwd"\n#EXTINF:1,\na.ts\n', "names /etc/passwd"),
        ("x.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nin.m3u8\n", "in.m3u8 is a playlist that names ../secret"),
        ("x.m3u8", "#EXTM3U\n#EXTINF:1,\nhttps://a.org/x.ts\n", "give the playlist's own address"),
        ("x.mp4", "ffconcat version 1.0\nfile '{above}/secret.ts'\n", "names {above}/secret.ts"),
        ("x.txt.mp4", "ffconcat version 1.0\nfile ../secret.ts\n", "names ../secret.ts"),
        ("x.mpd", "<?xml version='1.0'?>\n<MPD><BaseURL>file:///etc/</BaseURL></MPD>", "names file:///etc/"),
    ],
)
def test_a_playlist_here_names_nothing_else(pieces: Path, name: str, text: str, words: str) -> None:
    (pieces / "in.m3u8").write_text("#EXTM3U\n#EXTINF:1,\n../secret.ts\n")
    (pieces / name).write_text(text.format(above=pieces.parent))
    with pytest.raises(InputError) as caught:
        open_source(pieces / name)
    assert words.format(above=pieces.parent)[:80] in str(caught.value)  # a long name is cut


@pytest.mark.parametrize("named", ["file://{above}/secret.ts", "{above}/secret.ts", "concat:{above}/secret.ts"])
def test_a_playlist_from_elsewhere_reads_nothing_here(pieces: Path, named: str) -> None:
    """The playlist of a stranger: by HLS, and by the format that libav finds by its first words."""
    secret = named.format(above=pieces.parent)
    lists = {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "a.mp4": f"ffconcat version 1.0\nfile '{secret}'\n",
    }
    with http_server({name: text.encode() for name, text in lists.items()}) as address:
        for name in lists:
            with pytest.raises(InputError):
                list(open_source(f"{address}/{name}", timeout=1))


def test_hls_whole_and_growing(pieces: Path) -> None:
    files = {path.name: path.read_bytes() for path in pieces.iterdir()}
    with http_server(files) as address:
        whole = open_source(f"{address}/whole.m3u8")
        assert not whole.endless and [told(f.image) for f in whole] == [*range(20), *range(20)]
        growing = open_source(f"{address}/growing.m3u8", timeout=5)
        assert growing.endless and growing.live
        seen = []
        for frame in growing:
            seen.append(told(frame.image))
            if len(seen) == 30:  # the list ends while it is read
                files["growing.m3u8"] += b"#EXT-X-ENDLIST\n"
        assert seen == [*range(20), *range(20)] and growing.problem is None


# --- numbered files


def test_numbered_frames(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("7", "8", "11", "012", "x9"):
        Image.new("RGB", (64, 48)).save(tmp_path / f"f{name}.png")
    source = open_source(str(tmp_path / "f%d.png"), fps=10)
    assert [f.index for f in source] == [0, 1, 2] and "2 numbers are missing, the first is 9" in source.notes[0]
    assert len(list(open_source(str(tmp_path / "f%03d.png")))) == 1
    with pytest.raises(InputError, match=r"matches no file, such as g00001.png"):
        open_source(str(tmp_path / "g%05d.png"))
    Image.new("RGB", (64, 48)).save(tmp_path / "100%d.png")  # a file of this very name
    assert len(list(open_source(tmp_path / "100%d.png"))) == 1


def test_file_addresses(tmp_path: Path) -> None:
    path = Clip("a b.mp4", count=3).make(tmp_path)
    assert len(list(open_source(path.as_uri()))) == 3


# --- pages


class FakeFinder:
    """Stands for yt-dlp: finds one video, or none."""

    found: dict = {}  # noqa: RUF012

    def __init__(self, options: dict) -> None:
        assert options["noplaylist"] and options["quiet"]

    def __enter__(self) -> FakeFinder:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def extract_info(self, address: str, download: bool) -> dict:
        assert not download
        if not self.found:
            raise ValueError(f"ERROR: {address} is\nprivate")
        return self.found


PAGE = "https://www.youtube.com/watch?v=abc"


def test_pages_need_yt_dlp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    with pytest.raises(InputError, match=r"youtube.com/watch is a page, no video: install yt-dlp"):
        open_source(PAGE)


def test_pages_through_yt_dlp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    errors = SimpleNamespace(DownloadError=ValueError)
    version = SimpleNamespace(__version__="2026.1")
    fake = SimpleNamespace(YoutubeDL=FakeFinder, utils=errors, version=version)
    monkeypatch.setitem(sys.modules, "yt_dlp", fake)
    with pytest.raises(InputError, match=r"yt-dlp finds no video there \(.* is private\)"):
        open_source(PAGE)
    data = Clip("a.mp4", count=5, container={"movflags": "+faststart"}).make(tmp_path).read_bytes()
    with http_server({"v": data}) as address:
        monkeypatch.setattr(FakeFinder, "found", {"url": f"{address}/v?sig=1", "title": "A\ndog", "http_headers": {}})
        source = open_source(PAGE)
        assert [told(f.image) for f in source] == list(range(5))
    assert source.info.name == "https://www.youtube.com/watch"
    assert source.notes[0] == "https://www.youtube.com/watch: the video 'A dog' is found by yt-dlp 2026.1"
    monkeypatch.setattr(FakeFinder, "found", {"entries": []})
    with pytest.raises(InputError, match="no single video"):
        open_source(PAGE)
