"""What is opened, and what ffmpeg would follow to other files and is not opened."""

import io

import av
import numpy as np
import pytest
from PIL import Image

from clips import clips
from ovvis.errors import InputError
from ovvis.web.accepted import check_upload


@pytest.mark.parametrize("clip", clips(), ids=lambda clip: clip.name)
def test_videos_are_opened(clip, tmp_path):
    check_upload(clip.make(tmp_path), "video")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF"])
def test_images_are_opened(kind, tmp_path):
    path = tmp_path / "image"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path, kind)
    check_upload(path, "image")


@pytest.mark.parametrize("kind", ["matroska", "avi", "mpegts", "mpeg", "flv", "asf", "mov", "mxf", "ivf"])
def test_containers_are_opened(kind, tmp_path):
    file = io.BytesIO()
    codec = {"mxf": "mpeg2video", "mpeg": "mpeg2video", "ivf": "libvpx", "asf": "mpeg4"}.get(kind, "libx264")
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())
    path = tmp_path / "video"
    path.write_bytes(file.getvalue())
    check_upload(path, "video")


SECRET = "/etc/passwd"
PLAYLIST = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{SECRET}\n#EXT-X-ENDLIST\n".encode()
ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + b"x" * 10  # ffmpeg passes over it


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (PLAYLIST, "names other files"),
        (ID3 + PLAYLIST, "no video or image"),
        (f"ffconcat version 1.0\nfile '{SECRET}'\n".encode(), "names other files"),
        (b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>', "names other files"),
        (b"GIF89a <MPD profiles='urn:mpeg:dash:profile:isoff-main:2011'>", "names other files"),
        (b"v=0\no=- 0 0 IN IP4 10.0.0.1\nm=video 5004 RTP/AVP 96\n", "no video or image"),
        (b"<!doctype html><html></html>", "page"),
        (b"\x1f\x8b\x08\x00abc", "packed by gzip: unpack it first"),
        (b"just words", "no video or image"),
        (b"[playlist]\nFile1=/etc/passwd\n", "no video or image"),
    ],
)
def test_what_is_not_opened(content, said, tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"dog\.mp4") as refused:
        check_upload(path, "dog.mp4")
    assert said in str(refused.value) and str(path) not in str(refused.value)
