"""Sources: every kind of video, folder and array, painted so that a wrong frame cannot pass."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from ovvis.errors import InputError
from ovvis.sources.video import Source, open_source

SIZE = (48, 64)  # height, width


def level(k: int) -> int:
    return 20 + 3 * k


def painted(k: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return frame k: its own grey level, a white corner at the top left, and a texture that costs bytes."""
    image = np.full((*size, 3), level(k), np.uint8)
    image[size[0] // 2 :, size[1] // 2 :] = np.random.default_rng(k).integers(
        0, 255, (size[0] - size[0] // 2, size[1] - size[1] // 2, 1)
    )
    image[: size[0] // 4, : size[1] // 4] = 255
    return image


def number(image: np.ndarray) -> int:
    """Return which frame was painted."""
    h, w, _ = image.shape
    return round((float(image[h // 4 + 2 : h // 2 - 2, w // 4 + 2 : w // 2 - 2].mean()) - level(0)) / 3)


def write(
    path: Path,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    count: int = 60,
    size: tuple[int, int] = SIZE,
    times: list[int] | None = None,
    faststart: bool = False,
    **options: str,
) -> Path:
    options |= {"libx264": {"qp": "8"}, "mpeg4": {"qmin": "1", "qmax": "2"}}.get(codec, {})
    settings = {"movflags": "+faststart"} if faststart else {}
    with av.open(str(path), "w", options=settings) as out:
        stream = out.add_stream(codec, rate=30, options=options)
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        if times:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for k in range(count):
            frame = av.VideoFrame.from_ndarray(painted(k, size), format="rgb24").reformat(format=pixels)
            if times:
                frame.pts, frame.time_base = times[k], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def cut(path: Path, share: float = 0.6) -> Path:
    target = path.with_name(f"cut_{path.name}")
    data = path.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def seen(source: Source) -> list[tuple[int, int]]:
    """Return the index that each frame tells and the one that is painted on it."""
    return [(f.index, number(f.image)) for f in source]


def same(indices: Any) -> list[tuple[int, int]]:
    return [(i, i) for i in indices]


def refused(source: Any, *words: str, **options: Any) -> str:
    """Return the message of the one-line error, raised on opening or while reading."""
    with pytest.raises(InputError) as caught:
        list(open_source(source, **options))
    message = str(caught.value)
    assert "\n" not in message and "Traceback" not in message
    for word in words:
        assert word in message
    return message


# --- video files


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "size", "exact"),
    [
        ("a.mp4", "libx264", "yuv420p", SIZE, False),
        ("a.mkv", "ffv1", "gray", SIZE, True),
        ("b.mkv", "ffv1", "gray16le", SIZE, False),
        ("c.mkv", "ffv1", "bgr0", (33, 35), True),
        ("d.mov", "png", "rgba", (35, 33), True),
        ("e.mov", "png", "rgb24", (1, 3), True),
        ("f.avi", "mpeg4", "yuv420p", SIZE, False),
        ("g.ts", "libx264", "yuv444p", SIZE, False),
    ],
)
def test_file(tmp_path: Path, name: str, codec: str, pixels: str, size: tuple[int, int], exact: bool) -> None:
    source = open_source(write(tmp_path / name, codec, pixels, 12, size))
    info = source.info
    assert (info.name, info.height, info.width) == (name, *size)
    assert info.fps == pytest.approx(30) and info.frame_count == 12 and source.rereadable
    frames = list(source)
    assert [f.index for f in frames] == list(range(12))
    assert [f.time for f in frames] == pytest.approx([k / 30 for k in range(12)], abs=0.001)
    for k, frame in enumerate(frames):
        assert frame.image.shape == (*size, 3) and frame.image.dtype == np.uint8
        if exact:
            assert np.array_equal(frame.image, painted(k, size))
        else:
            assert number(frame.image) == k
    assert source.problem is None


def test_file_twice_and_stopped_early(tmp_path: Path) -> None:
    source = open_source(str(write(tmp_path / "a.mp4", count=12)))
    for frame in source:
        assert frame.index == 0
        break
    assert seen(source) == seen(source) == same(range(12))


def test_alpha_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    image = np.dstack([painted(3), np.zeros(SIZE, np.uint8)])
    with av.open(str(path), "w") as out:
        stream = out.add_stream("png", rate=30)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "rgba"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgba")))
        out.mux(stream.encode(None))
    (frame,) = open_source(path)
    assert np.array_equal(frame.image, painted(3))


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),  # 90 clockwise, as a phone held upright
        ((-1, 0, 0, -1), lambda x: np.rot90(x, 2)),
        ((0, -1, 1, 0), lambda x: np.rot90(x, 1)),
        ((-1, 0, 0, 1), lambda x: x[:, ::-1]),  # a front camera's mirror
    ],
)
def test_rotation(tmp_path: Path, matrix: tuple[int, ...], turned: Any) -> None:
    path = write(tmp_path / "a.mov", "png", "rgb24", 3, (32, 48))
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 44
    a, b, c, d = (v << 16 for v in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    source = open_source(path)
    for k, frame in enumerate(source):
        expected = turned(painted(k, (32, 48)))
        assert (source.info.height, source.info.width) == expected.shape[:2]
        assert np.array_equal(frame.image, expected)


def test_variable_rate(tmp_path: Path) -> None:
    times = [0, 10, 400, 410, 420, 1000, 1500, 1520, 1530, 3000]
    path = write(tmp_path / "a.mkv", "libx264", count=10, times=times, g="3", bf="2")
    source = open_source(path)
    frames = list(source)
    assert [round(f.time * 1000) for f in frames] == times
    assert seen(source) == same(range(10))
    assert source.problem is None
    assert seen(open_source(path, start=0.41, end=1.52)) == same(range(3, 7))
    assert seen(open_source(path, start="8f")) == same([8, 9])


def test_size_change_is_rescaled(tmp_path: Path) -> None:
    # Two transport streams behind one another are one stream, whose picture changes its size.
    first, second = write(tmp_path / "1.ts", count=8), write(tmp_path / "2.ts", count=8, size=(96, 128))
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    frames = list(open_source(path))
    assert [f.image.shape for f in frames] == [(*SIZE, 3)] * 16
    assert [f.time for f in frames] == pytest.approx([k / 30 for k in range(16)])
    greys = [float(f.image[14:22, 20].mean()) for f in frames]  # scaling rounds down by up to two levels
    assert greys == pytest.approx([level(k) for k in [*range(8), *range(8)]], abs=2)


OPTIONS: list[tuple[dict[str, Any], list[int]]] = [
    ({"every": 7}, list(range(0, 60, 7))),
    ({"max_frames": 3}, [0, 1, 2]),
    ({"start": 1}, list(range(30, 60))),
    ({"start": "1.0", "end": "0:01.2"}, list(range(30, 36))),
    ({"start": "00:00:01.5", "every": 5}, [45, 50, 55]),
    ({"start": "31f", "end": "41f", "every": 3, "max_frames": 3}, [31, 34, 37]),
    ({"start": "59f"}, [59]),
    ({"end": 99}, list(range(60))),
    ({"start": "10f", "end": 0.5}, list(range(10, 15))),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    for k in range(60):
        (folder / "images").mkdir(exist_ok=True)
        Image.fromarray(painted(k)).save(folder / "images" / f"img{k}.png")
    return {
        "mp4": write(folder / "a.mp4", g="10", bf="3", faststart=True),
        "mkv": write(folder / "a.mkv", g="10", bf="3"),
        "ts": write(folder / "a.ts", g="10", bf="3"),
        "avi": write(folder / "a.avi", "mpeg4", g="10", bf="2"),
        "folder": folder / "images",
    }


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "avi", "folder"])
@pytest.mark.parametrize(("options", "expected"), OPTIONS)
def test_options(files: dict[str, Path], kind: str, options: dict[str, Any], expected: list[int]) -> None:
    rate = {"fps": 30} if kind == "folder" else {}
    source = open_source(files[kind], **options, **rate)
    assert seen(source) == same(expected)
    assert source.info.frame_count == len(expected)
    assert source.info.fps == pytest.approx(30 / options.get("every", 1))
    assert source.problem is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": 0}, ["every is 0", "1 or more"]),
        ({"every": 1.5}, ["every is 1.5"]),
        ({"max_frames": 0}, ["max_frames is 0"]),
        ({"start": -1}, ["start is -1", "12.5"]),
        ({"start": "soon"}, ["start is 'soon'", "120f"]),
        ({"end": "1:75"}, ["end is '1:75'"]),
        ({"end": float("nan")}, ["end is nan"]),
        ({"start": 1, "end": 1.0}, ["end is 1.0", "start", "1"]),
        ({"start": "20f", "end": "0.2"}, ["0.2", "20f", "later end"]),
        ({"end": 0}, ["end is 0"]),
        ({"start": 2.5}, ["start is 2.5", "60 frames"]),
        ({"start": "60f"}, ["start is 60f", "60 frames"]),
        ({"start": "0.335", "end": "0.36"}, ["0.335", "0.36"]),
    ],
)
@pytest.mark.parametrize("kind", ["mp4", "folder"])
def test_options_refused(files: dict[str, Path], kind: str, options: dict[str, Any], words: list[str]) -> None:
    rate = {"fps": 30} if kind == "folder" else {}
    refused(files[kind], *words, **options, **rate)


def test_fps_refused(files: dict[str, Path]) -> None:
    refused(files["mp4"], "fps is 10", "every", fps=10)
    refused(files["folder"], "fps is 0", "above 0", fps=0)


@pytest.mark.parametrize("name", ["a.mp4", "b.mkv", "c.mkv"])
def test_truncated(tmp_path: Path, name: str) -> None:
    codec = "ffv1" if name == "c.mkv" else "libx264"
    source = open_source(cut(write(tmp_path / name, codec, g="10", faststart=name == "a.mp4")))
    got = seen(source)
    assert 25 < len(got) < 50 and got == same(range(len(got)))
    assert source.problem is not None and "\n" not in source.problem
    total = source.info.frame_count
    assert source.problem.startswith(f"cut_{name}: frame {len(got)} of about {total} could not be read (")
    assert source.problem.endswith(f"; the {len(got)} frames before it were used")
    assert seen(open_source(cut(tmp_path / name), start="21f")) == got[21:]
    limited = open_source(cut(tmp_path / name), max_frames=5)
    assert seen(limited) == same(range(5)) and limited.problem is None


def test_truncated_before_start(tmp_path: Path) -> None:
    refused(
        cut(write(tmp_path / "a.mkv")),
        "could not be read (the file ends early)",
        "earlier start",
        start="55f",
    )


def test_damaged_packet_of_h264(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", g="1", bf="0", count=30)
    with av.open(str(path)) as file:
        at, size = [(p.pos, p.size) for p in file.demux(video=0) if p.size][12]
    data = bytearray(path.read_bytes())
    data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    source = open_source(path)
    assert seen(source) == same(i for i in range(30) if i != 12)
    assert source.problem is not None
    assert source.problem.startswith("a.mp4: 1 frame could not be read (")
    assert seen(source) == same(i for i in range(30) if i != 12)


def audio_only(path: Path) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def test_no_video(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video\n" * 50)
    (tmp_path / "text.txt").write_text("not a video\n" * 50)
    (tmp_path / "nothing").mkdir()
    refused(tmp_path / "missing.mp4", "missing.mp4 does not exist", "check the path")
    refused(tmp_path / "empty.mp4", "empty.mp4", "no video")
    refused(tmp_path / "text.mp4", "text.mp4", "no video")
    refused(tmp_path / "text.txt", "text.txt", "video")
    refused(tmp_path / "nothing", "nothing holds no images")
    refused(tmp_path / "nothing" / "*.jpg", "*.jpg", "no images")
    refused(str(tmp_path / "*.txt"), "*.txt", "1 .txt")
    refused(audio_only(tmp_path / "sound.mp4"), "sound.mp4", "only audio")
    refused("/dev/null", "/dev/null", "neither")
    refused("x" * 5000, "xxx")


def test_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=30)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "gray"
        out.start_encoding()
    refused(path, "a.mkv")


def test_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path / "a.mp4", count=2)
    monkeypatch.setattr(av, "open", closed)
    refused(path, "a.mp4", "permission denied")


# --- folders, patterns, single images


def save(folder: Path, names: list[str], size: tuple[int, int] = SIZE) -> Path:
    folder.mkdir(exist_ok=True)
    for k, name in enumerate(names):
        Image.fromarray(painted(k, size)).save(folder / name)
    return folder


def test_folder(tmp_path: Path) -> None:
    folder = save(tmp_path / "dog", ["img1.png", "img2.PNG", "img10.jpg", "img11.webp", "img100.bmp", "x.tif"])
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("")
    source = open_source(folder)
    info = source.info
    assert (info.name, info.height, info.width, info.fps, info.frame_count) == ("dog", *SIZE, 24, 6)
    assert seen(source) == seen(source) == same(range(6))
    assert [f.time for f in open_source(folder, fps=2, every=2)] == [0, 1, 2]


def test_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save(tmp_path / "dog", ["img1.png", "img2.png", "img10.png", "img11.jpg"])
    assert seen(open_source(str(folder / "*.png"))) == same(range(3))
    monkeypatch.chdir(tmp_path)
    assert seen(open_source("d*/img?.png")) == same(range(2))
    assert seen(open_source(Path("**/*.png"))) == same(range(3))
    save(tmp_path / "a[1]", ["img1.png"])
    assert seen(open_source("a[1]")) == same([0])  # a name that looks like a pattern


def test_image_file(tmp_path: Path) -> None:
    source = open_source(save(tmp_path, ["a.png"]) / "a.png")
    assert (source.info.name, source.info.frame_count) == ("a.png", 1)
    assert seen(source) == same([0])


GREY = painted(5)[..., 0]


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(GREY),
        Image.fromarray(painted(5)).quantize(256),
        Image.fromarray(GREY.astype(np.uint16) * 256 + 7),
        Image.fromarray(np.dstack([painted(5), np.zeros(SIZE, np.uint8)])),
        Image.fromarray(np.dstack([GREY, np.zeros(SIZE, np.uint8)]), mode=None),
    ],
    ids=["grey", "palette", "16-bit", "rgba", "grey-alpha"],
)
def test_image_kinds(tmp_path: Path, image: Image.Image) -> None:
    image.save(tmp_path / "a.png")
    (frame,) = open_source(tmp_path)
    assert frame.image.shape == (*SIZE, 3) and frame.image.dtype == np.uint8
    assert np.abs(frame.image.astype(int) - painted(5)).max() <= (0 if image.mode != "P" else 3)


def test_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(painted(1)).save(tmp_path / "a.png", exif=exif)
    source = open_source(tmp_path)
    (frame,) = source
    assert (source.info.height, source.info.width) == SIZE[::-1]
    assert np.array_equal(frame.image, np.rot90(painted(1), -1))


def test_bad_image(tmp_path: Path) -> None:
    folder = save(tmp_path / "dog", ["1.png", "2.png", "3.png"])
    Image.fromarray(painted(1, (10, 20))).save(folder / "2.png")
    refused(folder, "2.png is 20x10", "64x48", "resize")
    (folder / "2.png").write_bytes((folder / "1.png").read_bytes()[:300])
    refused(folder, "2.png could not be read")
    (folder / "2.png").write_text("no image")
    refused(folder, "2.png could not be read")
    assert seen(open_source(folder, max_frames=1)) == same([0])


# --- arrays


@pytest.mark.parametrize(
    "source",
    [
        np.stack([painted(k) for k in range(5)]),
        [painted(k) for k in range(5)],
        tuple(painted(k)[..., 0] for k in range(5)),
        [painted(k)[..., :1] for k in range(5)],
        [np.dstack([painted(k), np.zeros(SIZE, np.uint8)]) for k in range(5)],
    ],
    ids=["array", "list", "grey", "grey-1", "rgba"],
)
def test_arrays(source: Any) -> None:
    opened = open_source(source, every=2)
    assert (opened.info.height, opened.info.width, opened.info.frame_count) == (*SIZE, 3)
    assert opened.rereadable and opened.info.fps == 12
    assert seen(opened) == seen(opened) == same([0, 2, 4])
    for frame in opened:
        assert np.array_equal(frame.image, painted(frame.index)) and frame.image.flags.c_contiguous


def test_iterator_is_read_no_further_than_asked() -> None:
    taken: list[int] = []

    def endless() -> Iterator[np.ndarray]:
        for k in range(70):
            taken.append(k)
            yield painted(k)

    source = open_source(endless(), start="2f", every=3, max_frames=2)
    assert taken == [0] and not source.rereadable and source.info.frame_count is None
    assert seen(source) == same([2, 5])
    assert taken == list(range(6))
    with pytest.raises(InputError, match="read once"):
        iter(source)
    assert seen(open_source(endless(), end="3f")) == same([0, 1, 2])
    refused(endless(), "start is 99f", "70 frames", start="99f")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ([painted(0), painted(1) / 255], ["frame 1", "(48, 64, 3)", "float64", "uint8"]),
        ([painted(0), painted(1)[..., :2]], ["frame 1", "(48, 64, 2)"]),
        ([painted(0)[None]], ["frame 0", "(1, 48, 64, 3)"]),
        ([painted(0), painted(1, (10, 20))], ["frame 1", "20x10", "64x48"]),
        (["a.png"], ["frame 0", "str"]),
        (np.zeros((2, 4, 4, 3)), ["frame 0", "float64"]),
        ([], ["list", "empty"]),
        (iter([]), ["empty"]),
        (np.zeros((0, 4, 4, 3), np.uint8), ["empty"]),
        (7, ["int"]),
        (b"a.mp4", ["bytes"]),
        (None, ["NoneType"]),
    ],
)
def test_arrays_refused(source: Any, words: list[str]) -> None:
    refused(source, *words)
