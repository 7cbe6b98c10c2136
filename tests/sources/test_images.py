"""Image files as sources: several pictures in a file, deep pixels, folders of many kinds, frames from memory."""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin

from image_files import gif, png16, tiff
from ovvis.errors import InputError
from ovvis.sources.frames import read_image
from ovvis.sources.source import FrameError
from ovvis.sources.video import open_frames, open_source

H, W = 6, 8


def flat(k: int) -> np.ndarray:
    """Return picture k: one colour of its own, and a white corner."""
    image = np.full((H, W, 3), (20 * k, 255 - 20 * k, 60), np.uint8)
    image[0, 0] = 255
    return image


def save(path: Path, pictures: list[np.ndarray], durations: Any = 100, **options: Any) -> Path:
    images = [Image.fromarray(p) for p in pictures]
    if path.suffix in (".webp",):
        options = {"lossless": True, **options}
    if path.suffix in (".tif", ".tiff"):
        images[0].save(path, save_all=True, append_images=images[1:], **options)
    else:
        images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0, **options)
    return path


def images_of(source: Any) -> list[np.ndarray]:
    return [frame.image for frame in source]


def seen(source: Any) -> list[tuple[int, float]]:
    return [(frame.index, round(frame.time, 6)) for frame in source]


def one_line(error: pytest.ExceptionInfo[BaseException], *words: str) -> None:
    message = str(error.value)
    assert "\n" not in message and all(word in message for word in words), message


# --- several pictures in a file

UNEVEN = [100, 100, 500, 40, 100, 300]
ANIMATED = ["a.webp", "a.png", "a.gif", "a.apng", "A.GIF"]


@pytest.mark.parametrize("name", ANIMATED)
def test_animated_files_are_all_their_pictures(tmp_path: Path, name: str) -> None:
    pictures = [flat(k) for k in range(6)]
    path = save(tmp_path / name.replace("A.GIF", "a.gif"), pictures, UNEVEN)
    path = path.rename(tmp_path / name)
    source = open_source(path)
    assert source.info.frame_count == 6 and source.info.fps == pytest.approx(6 / 1.14)
    assert seen(source) == [(0, 0), (1, 0.1), (2, 0.2), (3, 0.7), (4, 0.74), (5, 0.84)]
    assert np.array_equal(images_of(source), pictures)
    assert source.problem is None and source.notes == () and source.rereadable


@pytest.mark.parametrize("name", [*ANIMATED[:3], "a.tiff"])
def test_options_are_a_filter_of_the_full_read(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, [flat(k) for k in range(6)], UNEVEN)
    full = list(open_source(path))
    for start in (None, 0.1, 0.15, "2f", 0.7, "5f"):
        for end in (None, 0.72, "5f", 9):
            for every in (1, 2):
                for most in (None, 1, 2):
                    first = 0 if start is None else start
                    wanted = [
                        f
                        for f in full
                        if (f.index >= int(first[:-1]) if isinstance(first, str) else f.time > first - 0.0006)
                        and (end is None or (f.index < 5 if end == "5f" else f.time < end - 0.0006))
                    ][::every][:most]
                    if not wanted:
                        with pytest.raises(InputError):
                            open_source(path, start=start, end=end, every=every, max_frames=most)
                        continue
                    got = list(open_source(path, start=start, end=end, every=every, max_frames=most))
                    assert [(f.index, f.time) for f in got] == [(f.index, f.time) for f in wanted]
                    assert np.array_equal([f.image for f in got], [f.image for f in wanted])


def test_a_file_with_a_clock_takes_no_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its own clock"):
        open_source(save(tmp_path / "a.gif", [flat(0), flat(1)]), fps=5)
    stack = open_source(save(tmp_path / "a.tif", [flat(0), flat(1)]), fps=5)
    assert seen(stack) == [(0, 0), (1, 0.2)]


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.gif"])
def test_a_picture_that_asks_for_no_time_gets_what_browsers_give_it(tmp_path: Path, name: str) -> None:
    source = open_source(save(tmp_path / name, [flat(k) for k in range(3)], 0))
    times = [frame.time for frame in source]
    assert len(times) == 3 and all(0.05 < b - a < 0.11 for a, b in pairwise(times))


BLACK, RED, GREEN, BLUE, WHITE = (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def test_disposal_as_a_viewer_does_it(tmp_path: Path) -> None:
    whole, left, right = (0, 0, W, H), (0, 0, 2, H), (4, 0, 2, H)
    parts = [(whole, 1, 1, None), (left, 2, 3, None), (right, 3, 1, None), (left, 3, 2, 0), (right, 2, 0, None)]
    (tmp_path / "a.gif").write_bytes(gif(parts, (W, H)))
    images = images_of(open_source(tmp_path / "a.gif"))
    row = [[tuple(image[0, x].tolist()) for x in (0, 3, 5)] for image in images]
    assert row[:4] == [[RED, RED, RED], [GREEN, RED, RED], [RED, RED, BLUE], [BLUE, RED, BLUE]]
    assert row[4][1:] == [RED, GREEN]  # the left part is cleared: what shows there is the page


def test_a_hidden_first_image_of_a_png_is_not_shown(tmp_path: Path) -> None:
    pictures = [flat(k) for k in range(4)]
    path = save(tmp_path / "a.png", pictures, 100, default_image=True)
    assert np.array_equal(images_of(open_source(path)), pictures[1:])


def test_transparent_parts_of_an_animation_lie_on_white(tmp_path: Path) -> None:
    clear = np.dstack([flat(1), np.full((H, W), 255, np.uint8)])
    clear[3:] = (200, 0, 0, 0)
    for name in ("a.webp", "a.png"):
        path = save(tmp_path / name, [clear, np.dstack([flat(2), clear[..., 3]])], 100, disposal=2)
        for image in images_of(open_source(path)):
            assert (image[3:] == 255).all() and not (image[2] == 255).any()


@pytest.mark.parametrize(("name", "keep"), [("a.gif", 0.6), ("a.png", 0.6), ("a.tif", 0.6)])
def test_a_file_that_breaks_off_is_used_as_far_as_it_goes(tmp_path: Path, name: str, keep: float) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (40, 50, 3), dtype=np.uint8) for _ in range(6)]
    path = save(tmp_path / name, pictures)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    source = open_source(path)
    got = images_of(source)
    assert 2 <= len(got) < 6
    assert source.problem is not None and f"the {len(got)} pictures before it were used" in source.problem


def test_thumbnails_of_a_tiff_are_no_frames(tmp_path: Path) -> None:
    images = [Image.fromarray(flat(0)), Image.fromarray(flat(1)[:3, :4])]
    file = BytesIO()  # not a path: the writer looks at its file once more when it is collected
    with TiffImagePlugin.AppendingTiffWriter(file, True) as out:
        for image, kind in zip(images, (0, 1), strict=True):
            image.save(out, format="TIFF", tiffinfo={254: kind})
            out.newFrame()
    (tmp_path / "a.tif").write_bytes(file.getvalue())
    source = open_source(tmp_path / "a.tif")
    assert np.array_equal(images_of(source), [flat(0)])
    assert "1 pages that call themselves smaller copies" in source.notes[0]


def test_imagej_stacks_with_one_header_are_refused(tmp_path: Path) -> None:
    Image.fromarray(flat(0)).save(tmp_path / "a.tif", description="ImageJ=1.53\nimages=7\nslices=7\n")
    with pytest.raises(FrameError, match="ImageJ wrote 7 images"):
        open_source(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("deep", [False, True])
def test_pages_are_upright(tmp_path: Path, orientation: int, deep: bool) -> None:
    stored = [flat(k) + np.arange(W, dtype=np.uint8)[:, None] for k in range(3)]
    if deep:
        for k, image in enumerate(stored):
            data = tiff(image.astype("<u2") * 257, extra={274: orientation})
            (tmp_path / f"{k}.tif").write_bytes(data)
        source = open_source(tmp_path)
    else:
        source = open_source(save(tmp_path / "a.tif", stored, tiffinfo={274: orientation}))
    turn = {1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1]}
    turn |= {5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, -1), 8: lambda a: np.rot90(a)}
    turn[7] = lambda a: np.rot90(a.swapaxes(0, 1), 2)
    assert np.array_equal(images_of(source), [turn[orientation](image) for image in stored])
    assert (source.info.height, source.info.width) == ((H, W) if orientation < 5 else (W, H))


# --- folders


def test_a_folder_of_many_kinds_is_all_its_pictures(tmp_path: Path) -> None:
    save(tmp_path / "1.png", [flat(0)])
    save(tmp_path / "2.gif", [flat(1), flat(2)])
    save(tmp_path / "3.tiff", [flat(3), flat(4)])
    save(tmp_path / "4.webp", [flat(5), flat(6), flat(7)])
    Image.fromarray(flat(8)).save(tmp_path / "5.ppm")
    Image.fromarray(flat(9)).save(tmp_path / "6.jp2", irreversible=False)
    source = open_source(tmp_path, fps=10)
    assert seen(source) == [(k, k / 10) for k in range(10)]
    assert np.array_equal(images_of(source), [flat(k) for k in range(10)])
    assert np.array_equal(images_of(open_source(tmp_path, start="2f", end="8f", every=2)), [flat(k) for k in (2, 4, 6)])


def test_what_a_folder_leaves_out_is_said_once(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "2.jpg"):
        Image.fromarray(flat(1)).save(tmp_path / name)
    for name in ("a.heic", "b.heic", "c.mp4", "notes.txt", ".x.heic", "data.json"):
        (tmp_path / name).write_bytes(b"")
    left, twice = open_source(tmp_path).notes
    assert left == "left out: 2 .heic, 1 .mp4, which are not read as frames"
    assert "1 name stands there with several endings, such as 2.jpg and 2.png" in twice


def test_a_folder_without_frames_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.exr").write_bytes(b"")
    with pytest.raises(InputError, match=r"holds no images but 1 \.exr: a folder must hold frames .*or a video file"):
        open_source(tmp_path)
    with pytest.raises(InputError, match=r"matches no images but 1 \.exr: a pattern must match frames .*the ending"):
        open_source(tmp_path / "*.e*")
    with pytest.raises(InputError, match=r"matches no images: a pattern must match frames"):
        open_source(tmp_path / "*.png")


def test_a_datasets_frame_is_one_picture(tmp_path: Path) -> None:
    path = save(tmp_path / "a.gif", [flat(0), flat(1)])
    for read in (lambda: open_frames([path], "a"), lambda: read_image(path)):
        with pytest.raises(FrameError, match="holds 2 pictures"):
            read()


def test_a_heic_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 40)
    with pytest.raises(InputError, match="HEIC"):
        open_source(tmp_path / "a.heic")


# --- more than 8 bits


RAMP = np.linspace(0, 65535, H * W * 4).astype(np.uint16).reshape(H, W, 4)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["png", "tif<", "tif>"])
def test_16_bits_are_read_whole(tmp_path: Path, kind: str, channels: int) -> None:
    values = RAMP[..., 0] if channels == 1 else RAMP[..., :channels]
    path = tmp_path / f"a.{kind[:3]}"
    path.write_bytes(png16(values) if kind == "png" else tiff(values.astype(f"{kind[3]}u2")))
    (image,) = images_of(open_source(path))
    expected = values if channels >= 3 else np.repeat(values.reshape(H, W, -1)[..., :1], 3, axis=2)
    assert np.array_equal(image, expected[..., :3] >> 8)
    assert np.array_equal(read_image(path), image)
    low, high = 20_000, 40_000
    (image,) = images_of(open_source(path, levels=(low, high)))
    share = (np.clip(expected[..., :3].astype(float), low, high) - low) / (high - low)
    assert np.abs(image - share * 255).max() <= 1


SMALL = np.stack([np.linspace(0, 4095, H * W).astype(np.uint16).reshape(H, W)] * 4, 2)  # 12 bits


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", png16(SMALL[..., 0], 12)),
        ("a.png", png16(SMALL[..., :3], 12)),
        ("a.tif", tiff(SMALL[..., 0], low=0, high=4095)),
        ("a.tif", tiff(SMALL[..., :3], low=0, high=4095)),
        ("a.tif", tiff(SMALL[..., 0], extra={281: 4095})),
        ("a.tif", tiff(SMALL[..., 0].astype(np.float32), low=0, high=4095)),
        ("a.tif", tiff(SMALL[..., :3].astype(np.float32), low=0, high=4095)),
        ("a.tif", tiff(SMALL[..., 0].astype(np.int32), low=0, high=4095)),
        ("a.tif", tiff(SMALL[..., 0].astype(">i2"), low=0, high=4095)),
    ],
)
def test_what_a_file_states_is_its_scale(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    source = open_source(tmp_path / name)
    (image,) = images_of(source)
    assert image.min() == 0 and image.max() == 255
    assert np.abs(image[..., 0] - SMALL[..., 0] / 4095 * 255).max() <= 1
    (note,) = source.notes
    assert "scaled from 0 to 4095, as stated" in note


def test_stretched_bits_of_a_png_fill_the_range(tmp_path: Path) -> None:
    stretched = SMALL << 4 | SMALL >> 8
    (tmp_path / "a.png").write_bytes(png16(stretched[..., :3], 12))
    (image,) = images_of(open_source(tmp_path))
    assert np.array_equal(image, stretched[..., :3] >> 8)


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("a.png", png16(SMALL[..., 0] + 2900), "2900,6995"),
        ("a.tif", tiff(SMALL[..., :3]), "0,4095"),
        ("a.tif", tiff(np.full((H, W), 7, np.int32) * np.arange(W, dtype=np.int32)), "0,49"),
        ("a.tif", tiff(np.linspace(-40, 812, H * W, dtype=np.float32).reshape(H, W)), "-40,812"),
        ("a.tif", tiff(np.linspace(0.5, 0.6, H * W, dtype=np.float32).reshape(H, W)), "0.5,0.6"),
        ("a.tif", tiff(SMALL[..., 0], low=0, high=255), "0,4095"),
    ],
)
def test_a_scale_that_nobody_states_is_asked_for(tmp_path: Path, name: str, data: bytes, found: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FrameError) as error:
        open_source(tmp_path / name)
    one_line(error, name, f"--levels {found}")
    low, high = (float(part) for part in found.split(","))
    (image,) = images_of(open_source(tmp_path / name, levels=found))
    assert image.min() == 0 and image.max() >= 254 and low < high


def test_one_scale_for_all_frames(tmp_path: Path) -> None:
    for k in range(12):  # the first frames are dark
        (tmp_path / f"{k:02}.png").write_bytes(png16((RAMP[..., 0] // 65535 * 0 + 5000 * k).astype(np.uint16)))
    images = images_of(open_source(tmp_path))
    assert [int(image[0, 0, 0]) for image in images] == [5000 * k >> 8 for k in range(12)]


def test_values_beyond_the_scale_are_said(tmp_path: Path) -> None:
    for k in range(30):
        (tmp_path / f"{k:02}.tif").write_bytes(tiff(SMALL[..., 0] + (k == 1), low=0, high=4095))
    source = open_source(tmp_path)
    assert len(source.notes) == 1
    list(source)
    assert "in 1 of 30 pictures values lie outside the scale" in source.notes[1]


def test_floats_from_0_to_1(tmp_path: Path) -> None:
    values = np.linspace(0, 1, H * W, dtype=np.float32).reshape(H, W)
    values[0, :3] = np.nan, np.inf, -np.inf
    (tmp_path / "a.tif").write_bytes(tiff(values))
    source = open_source(tmp_path)
    (image,) = images_of(source)
    assert image[0, :3, 0].tolist() == [0, 255, 0] and np.array_equal(image[1:, :, 0], np.rint(values[1:] * 255))
    assert "3 are NaN or infinite" in source.notes[0]
    (tmp_path / "a.tif").write_bytes(tiff(np.full((H, W), np.nan, np.float32)))
    with pytest.raises(FrameError, match="no value is a finite number"):
        open_source(tmp_path)


@pytest.mark.parametrize("kind", ["<u2", ">u2", "<f4", "|i1"])
def test_where_zero_is_white(tmp_path: Path, kind: str) -> None:
    values = np.linspace(0, 1 if kind == "<f4" else 65535, H * W).reshape(H, W)
    values = np.linspace(-128, 127, H * W).reshape(H, W) if kind == "|i1" else values
    (tmp_path / "a.tif").write_bytes(tiff(values.astype(kind), photometric=0))
    (tmp_path / "b.tif").write_bytes(tiff(values.astype(kind), photometric=1))
    (white,), (black,) = (images_of(open_source(tmp_path / name)) for name in ("a.tif", "b.tif"))
    assert np.array_equal(white, 255 - black) and black[0, 0, 0] == 0 and black[-1, -1, 0] == 255


@pytest.mark.parametrize("values", [RAMP[..., :3].astype(np.int16), RAMP[..., 0].astype(np.float64)])
def test_kinds_that_are_not_read_are_named(tmp_path: Path, values: np.ndarray) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(values))
    with pytest.raises(FrameError, match=f"{values.dtype.itemsize * 8}-bit .*such TIFFs are not read"):
        open_source(tmp_path)


def test_depths_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png16(RAMP[..., :3]))
    Image.fromarray(flat(0)).save(tmp_path / "0.png")
    with pytest.raises(FrameError, match="has uint16 values where the first frame has uint8"):
        list(open_source(tmp_path))


@pytest.mark.parametrize("levels", ["5", "5,x", "9,3", "1,1", "nan,3", (1, 2, 3), 7])
def test_levels_that_make_no_sense(levels: Any) -> None:
    with pytest.raises(InputError, match="levels"):
        open_source([flat(0)], levels=levels)


def test_levels_for_8_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(flat(0)).save(tmp_path / "0.png")
    with pytest.raises(InputError, match="8 bits a channel"):
        open_source(tmp_path, levels="0,5")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_modes_of_8_bits(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(flat(0)).convert(mode)
    path = tmp_path / ("a.tif" if mode in ("PA", "CMYK", "YCbCr", "LA") else "a.png")
    if mode == "PA":
        image, mode = Image.fromarray(flat(0)).convert("P"), "P"
    image.save(path)
    (got,) = images_of(open_source(path))
    assert got.dtype == np.uint8 and np.abs(got.astype(int) - np.asarray(image.convert("RGB"))).max() <= 3


# --- frames from memory


@pytest.mark.parametrize(
    "frame",
    [
        Image.fromarray(flat(3)),
        Image.fromarray(np.dstack([flat(3), np.zeros((H, W), np.uint8)])),
        flat(3),
        torch.tensor(flat(3)),
        torch.tensor(flat(3)).permute(2, 0, 1),
        torch.tensor(flat(3).astype(np.int32)).to(torch.uint8),
    ],
    ids=["pil", "pil-alpha", "array", "tensor", "tensor-first", "tensor-kind"],
)
def test_one_frame_and_several(frame: Any) -> None:
    for source in (frame, [frame], [frame, frame], iter([frame])):
        for got in open_source(source):
            assert np.array_equal(got.image, flat(3)) and got.image.flags.c_contiguous


def test_stacks_of_tensors() -> None:
    stack = torch.stack([torch.tensor(flat(k)) for k in range(3)])
    for source in (stack, stack.permute(0, 3, 1, 2), stack.numpy()):
        opened = open_source(source)
        assert opened.info.frame_count == 3 and np.array_equal(images_of(opened), stack.numpy())


def test_bgr_of_opencv() -> None:
    frames = [flat(k)[..., ::-1] for k in range(2)]
    with_alpha = [np.dstack([f, f[..., 0]]) for f in frames]
    for source in (frames, with_alpha, np.stack(frames), frames[0], torch.tensor(np.stack(frames))):
        assert np.array_equal(images_of(open_source(source, bgr=True))[0], flat(0))
    assert np.array_equal(images_of(open_source([Image.fromarray(flat(1))], bgr=True)), [flat(1)])


def test_bgr_is_for_arrays(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bgr is for arrays"):
        open_source(tmp_path, bgr=True)


def test_images_have_no_streams(tmp_path: Path) -> None:
    Image.fromarray(flat(0)).save(tmp_path / "0.png")
    for source in (tmp_path, tmp_path / "0.png", str(tmp_path / "*.png"), [flat(0)]):
        with pytest.raises(InputError, match="images have no streams"):
            open_source(source, stream=0)


@pytest.mark.parametrize("frames", [[RAMP[..., :3]], [RAMP[..., :3] / 65535], torch.tensor(RAMP[..., :3] / 65535)])
def test_arrays_of_other_kinds_need_levels(frames: Any) -> None:
    with pytest.raises(InputError) as error:
        open_source(frames)
    one_line(error, "frame 0", "levels=(0, 1)")
    levels = (0, 65535) if isinstance(frames, list) and frames[0].dtype == np.uint16 else (0, 1)
    (image,) = images_of(open_source(frames, levels=levels))
    assert np.abs(image - RAMP[..., :3] / 257).max() <= 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((3, 48, 64), np.uint8), ["(3, 48, 64)", "(N, H, W, 3)"]),
        (torch.zeros((5, 48, 64), dtype=torch.uint8), ["(5, 48, 64)"]),
        ([torch.zeros((3, 48, 4), dtype=torch.uint8)], ["frame 0", "a tensor of shape (3, 48, 4)"]),
        ([torch.zeros((48, 64, 3), dtype=torch.bfloat16)], ["frame 0", "bfloat16"]),
        ([np.zeros((48, 64, 3), bool)], ["frame 0", "bool"]),
        (np.zeros((1, 2, 3, 4, 5), np.uint8), ["(1, 2, 3, 4, 5)"]),
        (7, ["int"]),
    ],
)
def test_what_is_no_frame(source: Any, words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        open_source(source)
    one_line(error, *words)


def test_an_opened_animation_is_refused(tmp_path: Path) -> None:
    with (
        Image.open(save(tmp_path / "a.gif", [flat(0), flat(1)])) as opened,
        pytest.raises(InputError, match="2 pictures"),
    ):
        open_source(opened)
