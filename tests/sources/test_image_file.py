"""Image files at the door: what their headers declare is checked before a pixel is read."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from image_files import png_file
from ovvis.sources.frames import read_image
from ovvis.sources.image_file import MAX_PIXELS, open_image, upright_size
from ovvis.sources.source import FrameError


def png(width: int, height: int) -> bytes:
    """Return a PNG that declares a size and holds almost nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png_file([(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")])


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b"\x2c" + b"\0" * 9 + b";"


def tiff(width: int, height: int, tile: int | None = None) -> bytes:
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (277, 1)]
    tags += [(273, 8), (278, height), (279, 8)] if tile is None else [(322, tile), (323, tile), (324, 8), (325, 8)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 20


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", png(30_000, 30_000)),
        ("a.png", png(MAX_PIXELS + 1, 1)),
        ("a.png", png(10_000, 10_000)),
        ("a.bmp", bmp(30_000, 30_000)),
        ("a.gif", gif(65_535, 65_535)),
        ("a.tif", tiff(30_000, 30_000)),
        ("a.tif", tiff(16, 16, tile=30_000)),
    ],
)
def test_declared_size(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FrameError) as caught, open_image(tmp_path / name):
        pass
    message = str(caught.value)
    assert name in message and "67,108,864 pixels at most" in message and "\n" not in message


def test_a_declared_size_of_16_bit_colours(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 8192, 8192, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(png_file(chunks))
    with pytest.raises(FrameError, match="33,554,432 pixels at most"):
        read_image(tmp_path / "a.png")


def test_the_largest_size_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(8192, 8192))
    with open_image(tmp_path / "a.png") as image:
        assert image.size == (8192, 8192)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", png(99, 99), png(0, 8), tiff(99, 99), gif(8, 8)])
def test_damage_is_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(FrameError, match=r"a\.png") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_a_missing_mask_is_called_a_mask(tmp_path: Path) -> None:
    with (
        pytest.raises(FrameError, match=r"No such file.*every mask must be readable"),
        open_image(tmp_path / "a", "mask"),
    ):
        pass


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_upright_size(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((10, 20, 3), np.uint8)).save(path, exif=exif)
    with open_image(path) as image:
        assert upright_size(image) == read_image(path).shape[:2] == ((10, 20) if orientation < 5 else (20, 10))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\x89PNG\r\n", "damaged, or of a kind"),
        (b"hello", "damaged, or of a kind"),
    ],
)
def test_what_lies_under_an_images_name(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(FrameError, match=f"{words}.*every frame must be"):
        read_image(tmp_path / "a.jpg")
