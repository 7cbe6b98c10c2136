"""From files to RGB: which matrix, which range, and HDR as phones and films have it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ovvis.errors import InputError
from ovvis.sources import colour, rgb
from ovvis.sources.colour import special, to_screen
from ovvis.sources.rgb import RgbFrames
from ovvis.sources.video import open_source

LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 4: (0.3, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
"""Shares of red and blue in luma, by ITU-T H.273's number of the matrix."""

Triple = tuple[int, int, int]


def signals(sample: Triple, matrix: int, bits: int = 8, whole: bool = False) -> np.ndarray:
    """Return the RGB signals (3) in [0, 1] of one sample of Y, Cb and Cr, by the formulas of H.273."""
    red, blue = LUMA[matrix]
    scale = (1 << bits) - 1 if whole else 219 << (bits - 8)
    y = (sample[0] - (0 if whole else 16 << (bits - 8))) / scale
    cb, cr = ((c - (1 << (bits - 1))) / (scale if whole else 224 << (bits - 8)) for c in sample[1:])
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    return np.clip([r, (y - red * r - blue * b) / (1 - red - blue), b], 0, 1)


def flat(sample: Triple, kind: str = "yuv420p", size: tuple[int, int] = (16, 32), **tags: int) -> av.VideoFrame:
    """Return a frame of one colour."""
    frame = av.VideoFrame(size[1], size[0], kind)
    dtype = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    for plane, value in zip(frame.planes, sample, strict=True):
        plane.update(np.full(plane.buffer_size // np.dtype(dtype).itemsize, value, dtype).tobytes())
    for tag, value in tags.items():
        setattr(frame, tag, value)
    return frame


def shown(frame: av.VideoFrame) -> np.ndarray:
    """Return the middle pixel."""
    image = RgbFrames("a.mp4", frame)(frame, frame.height, frame.width)
    assert image.dtype == np.uint8 and image.shape == (frame.height, frame.width, 3)
    return image[frame.height // 2, frame.width // 2].astype(int)


SAMPLES = [(81, 90, 240), (145, 54, 34), (41, 240, 110), (235, 128, 128), (16, 128, 128), (120, 140, 110)]


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    ("tag", "matrix"),
    [(1, 1), (4, 4), (5, 5), (6, 5), (7, 7), (9, 9), (2, 5), (3, 5), (0, 5), (12, 1), (99, 5)],
)
def test_ordinary_colour(sample: Triple, whole: bool, tag: int, matrix: int) -> None:
    """Each matrix by its own formula; a file that does not say, or says nonsense, by BT.601, as the ffmpeg command."""
    primaries = 1 if tag == 12 else 2
    frame = flat(sample, colorspace=tag, color_range=1 + whole, color_primaries=2 if tag == 9 else primaries)
    frame.color_trc = 1
    if tag == 9:
        frame.color_primaries = 1  # BT.2020's matrix alone asks for no other primaries
    np.testing.assert_allclose(shown(frame), 255 * signals(sample, matrix, whole=whole), atol=2.5)


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize(("kind", "bits"), [("yuv420p10le", 10), ("yuv444p12le", 12), ("yuv422p10le", 10)])
def test_more_bits(sample: Triple, kind: str, bits: int) -> None:
    deep: Any = tuple(value << (bits - 8) for value in sample)
    frame = flat(deep, kind, colorspace=1, color_range=1, color_trc=1, color_primaries=1)
    np.testing.assert_allclose(shown(frame), 255 * signals(deep, 1, bits), atol=2.5)


def test_range_of_jpeg() -> None:
    """A yuvj format is of full range, whatever its frames say."""
    assert shown(flat((255, 128, 128), "yuvj420p")).tolist() == [255] * 3
    assert shown(flat((16, 128, 128), "yuvj420p")).tolist() == [16] * 3


@pytest.mark.parametrize(
    ("matrix", "word"),
    [(8, "YCgCo"), (10, "constant luminance"), (12, "rare primaries"), (14, "ICtCp"), (15, "Dolby Vision"), (17, "R")],
)
def test_strange_matrix_is_refused(matrix: int, word: str) -> None:
    frame = flat((120, 140, 110), colorspace=matrix, color_primaries=5)
    with pytest.raises(InputError, match=f"^a.mp4 has colours by the matrix .*{word}.*: encode it again by BT.709"):
        RgbFrames("a.mp4", frame)


HDR = [(300, 600, 400), (721, 512, 512), (64, 512, 512), (940, 512, 512), (500, 400, 700), (592, 512, 512)]


@pytest.mark.parametrize("sample", HDR)
@pytest.mark.parametrize("transfer", [colour.PQ, colour.HLG, 14])
@pytest.mark.parametrize("matrix", [9, 2])
@pytest.mark.parametrize("whole", [False, True])
def test_hdr(sample: Triple, transfer: int, matrix: int, whole: bool) -> None:
    """The whole way from samples to the screen; a matrix that is not told is that of the primaries."""
    tags = {"colorspace": matrix, "color_range": 1 + whole, "color_trc": transfer, "color_primaries": 9}
    frame = flat(sample, "yuv420p10le", **tags)
    expected = 255 * to_screen(signals(sample, 9, 10, whole), special(transfer, 9, None))
    np.testing.assert_allclose(shown(frame), expected, atol=1.6)


def test_hdr_in_eight_bits_and_in_rgb() -> None:
    """Tags that a program kept when it made 8 bits or RGB of the picture."""
    frame = flat((180, 128, 128), colorspace=9, color_range=1, color_trc=18, color_primaries=9)
    expected = 255 * to_screen(signals((180, 128, 128), 9), special(18, 9, None))
    np.testing.assert_allclose(shown(frame), expected, atol=1.6)
    frame = flat((100, 200, 50), "gbrp", colorspace=0, color_trc=16, color_primaries=9)
    expected = 255 * to_screen(np.array([50, 100, 200]) / 255, special(16, 9, None))
    np.testing.assert_allclose(shown(frame), expected, atol=0.6)


def test_kinds_may_change_in_the_middle() -> None:
    plain = flat((180, 128, 128), colorspace=1, color_range=1, color_trc=1, color_primaries=1)
    hlg = flat((721, 512, 512), "yuv420p10le", colorspace=9, color_range=1, color_trc=18, color_primaries=9)
    convert = RgbFrames("a.ts", plain)
    assert convert.notes == []
    levels = [int(convert(frame, 16, 32)[8, 8, 0]) for frame in (plain, hlg, plain, hlg)]
    assert levels == [190, 230, 190, 230]
    assert convert.notes == ["a.ts is HDR (HLG, BT.2020): converted to SDR"]


def test_dolby_vision_without_an_ordinary_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """Profile 5 carries no tags: its colours mean nothing to an ordinary decoder. Profile 8.4's base is HLG."""
    monkeypatch.setattr(rgb, "_side_data", lambda frame, kind: b"dolby" if kind == "DOVI_METADATA" else None)
    bare = RgbFrames("five.mp4", flat((300, 500, 500), "yuv420p10le", color_trc=2, colorspace=2)).notes
    assert len(bare) == 1 and "five.mp4 is Dolby Vision of a kind (profile 5)" in bare[0] and "are wrong" in bare[0]
    tags = {"colorspace": 9, "color_range": 1, "color_trc": 18, "color_primaries": 9}
    phone = RgbFrames("phone.mov", flat((300, 500, 500), "yuv420p10le", **tags)).notes
    assert phone == ["phone.mov is HDR (HLG, BT.2020): converted to SDR"]


# --- files


def movie(path: Path, codec: str, pixels: str, sample: Triple, options: dict[str, str], **tags: int) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 48, 64, pixels
        for tag, value in tags.items():
            setattr(stream.codec_context, tag, value)
        for i in range(3):
            frame = flat(sample, pixels, (48, 64), **tags)
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


BT2020 = {"colorspace": 9, "color_range": 1, "color_primaries": 9}
QUIET = {"x265-params": "log-level=none"}


@pytest.mark.parametrize(
    ("name", "codec", "transfer", "kind"),
    [
        ("hlg.mp4", "libx265", 18, "HDR (HLG, BT.2020): converted to SDR"),
        ("hlg.mov", "libx265", 18, "HDR (HLG, BT.2020): converted to SDR"),
        ("pq.mkv", "libx265", 16, "HDR (PQ, BT.2020): converted to SDR"),
        ("prores.mov", "prores_ks", 18, "HDR (HLG, BT.2020): converted to SDR"),
        ("hlg.mkv", "ffv1", 18, "HDR (HLG, BT.2020): converted to SDR"),
        ("pq.mp4", "libsvtav1", 16, "HDR (PQ, BT.2020): converted to SDR"),
        ("hlg.ts", "libx265", 18, "HDR (HLG, BT.2020): converted to SDR"),
        ("sdr.mp4", "libx265", 14, "BT.2020 colours: converted to BT.709"),
    ],
)
def test_files(tmp_path: Path, name: str, codec: str, transfer: int, kind: str) -> None:
    """What a phone, a camera or a film gives: told once, when the file is opened, and seen as a person sees it."""
    sample = (600, 440, 580)
    options = {"libx265": QUIET, "libsvtav1": {"preset": "10", "svtav1-params": "fast-decode=0"}}.get(codec, {})
    path = movie(
        tmp_path / name,
        codec,
        "yuv422p10le" if codec == "prores_ks" else "yuv420p10le",
        sample,
        options,
        color_trc=transfer,
        **BT2020,
    )
    source = open_source(path)
    verb = "is" if "HDR" in kind else "has"
    assert list(source.notes) == [f"{name} {verb} {kind}"]
    images = [frame.image for frame in source]
    expected = 255 * to_screen(signals(sample, 9, 10), special(transfer, 9, None))
    np.testing.assert_allclose(images[2][24, 32], expected, atol=4)
    assert len(images) == 3 and len(source.notes) == 1
    naive = 255 * signals(sample, 9, 10)
    assert np.abs(naive - expected).max() > 10, "the test could not have told the difference"


@pytest.mark.parametrize(
    ("light", "peak"),
    [
        ("master-display=G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(40000000,50):max-cll=0,0", 4000),
        ("master-display=G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(40000000,50):max-cll=600,100", 600),
        ("max-cll=1,1", 1000),
        ("", 1000),
    ],
)
def test_stated_brightness(tmp_path: Path, light: str, peak: float) -> None:
    """PQ states how bright its film is; where that is not told, or nonsense, 1,000 cd/m2."""
    sample = (620, 512, 512)  # 330 cd/m2
    options = {"x265-params": ":".join(filter(None, ["log-level=none:lossless=1:hdr10=1", light]))}
    path = movie(tmp_path / "film.mp4", "libx265", "yuv420p10le", sample, options, color_trc=16, **BT2020)
    [image, *_] = [frame.image for frame in open_source(path)]
    expected = 255 * to_screen(signals(sample, 9, 10), special(16, 9, peak))
    np.testing.assert_allclose(image[24, 32], expected, atol=1.1)
    others = [255 * to_screen(signals(sample, 9, 10), special(16, 9, p))[0] for p in {600, 1000, 4000} - {peak}]
    assert min(abs(other - expected[0]) for other in others) > 3, "the test could not have told the difference"


def test_ordinary_files_have_no_notes(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", "libx264", "yuv420p", (120, 140, 110), {}, colorspace=1, color_range=1)
    assert list(open_source(path).notes) == []
