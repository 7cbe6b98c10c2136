import errno
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ovvis.errors import InputError
from ovvis.masks import encode
from ovvis.outputs.render import PALETTE, NotPainted, Painted, VideoWriter, paint, render
from ovvis.structures import Frame, Track, VideoResult

# pycocotools' own code against a new numpy; nothing of ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

GREY = (128, 128, 128)


def image(height=64, width=96, colour=GREY):
    return np.full((height, width, 3), colour, dtype=np.uint8)


def block(top, left, height, width, size=(64, 96)):
    mask = np.zeros(size, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def rgb(id):
    return np.array(list(bytes.fromhex(PALETTE[id % len(PALETTE)][1:])))


def read(path):
    """Return the images (N, H, W, 3), the times in seconds, the rate and the duration of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        images = np.stack([f.to_ndarray(format="rgb24") for f in frames])
        duration = stream.duration * stream.time_base
        assert stream.frames == len(frames)
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        return images, [f.pts * stream.time_base for f in frames], stream.average_rate, duration


# --- the writer


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (25, 25),
        (30000 / 1001, Fraction(30000, 1001)),
        (29.97, Fraction(2997, 100)),
        (12.5, Fraction(25, 2)),
        (1, 1),
    ],
)
def test_constant_rate(tmp_path, fps, rate):
    with VideoWriter(tmp_path / "v.mp4", fps, (32, 48)) as writer:
        for _ in range(7):
            writer.write(image(32, 48))
    images, times, average, duration = read(tmp_path / "v.mp4")
    assert images.shape == (7, 32, 48, 3)
    assert average == rate
    assert duration == pytest.approx(7 / rate, abs=1e-4)
    assert [float(t) for t in times] == pytest.approx([float(i / rate) for i in range(7)], abs=1e-4)


def test_times_of_their_own(tmp_path):
    given = [0.0, 0.05, 0.3, 0.3, 0.2, 1.0]
    with VideoWriter(tmp_path / "v.mp4", 20, (32, 48)) as writer:
        for i, time in enumerate(given):
            writer.write(image(32, 48, (i * 40,) * 3), time)
    images, times, _, duration = read(tmp_path / "v.mp4")
    tick = 1 / 90_000
    expected = [0.0, 0.05, 0.3, 0.3 + tick, 0.3 + 2 * tick, 1.0]
    assert [float(t) for t in times] == pytest.approx(expected, abs=1e-6)
    assert float(duration) == pytest.approx(1.05, abs=1e-3)
    np.testing.assert_allclose(images[:, 16, 24, 0], np.arange(6) * 40, atol=4)


@pytest.mark.parametrize("size", [(32, 48), (33, 48), (32, 49), (33, 49)])
def test_odd_sizes_grow_by_repetition(tmp_path, size):
    height, width = size
    picture = image(height, width)
    picture[-(height % 2) - 8 :], picture[:, -(width % 2) - 8 :] = (200, 60, 60), (60, 60, 200)
    with VideoWriter(tmp_path / "v.mp4", 10, size) as writer:
        writer.write(picture)
    images, *_ = read(tmp_path / "v.mp4")
    assert images.shape == (1, height + height % 2, width + width % 2, 3)
    np.testing.assert_allclose(images[0, -1, 10].astype(int), picture[-1, 10], atol=12)
    np.testing.assert_allclose(images[0, 10, -1].astype(int), picture[10, -1], atol=12)


def test_colours_are_tagged(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", 10, (32, 48)) as writer:
        writer.write(image(32, 48, (200, 30, 60)))
    with av.open(str(tmp_path / "v.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.colorspace, frame.color_range) == (1, 1)  # BT.709, limited range
    np.testing.assert_allclose(frame.to_ndarray(format="rgb24")[16, 24].astype(int), (200, 30, 60), atol=4)


def test_the_index_comes_first(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", 10, (32, 48)) as writer:
        writer.write(image(32, 48))
    content = (tmp_path / "v.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_rate_must_be_positive(tmp_path, fps):
    with pytest.raises(InputError, match=r"frame rate .* must be a positive number"):
        VideoWriter(tmp_path / "v.mp4", fps, (32, 48))


def test_misuse_of_the_writer(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", 10, (32, 48)) as writer:
        with pytest.raises(ValueError, match="must have the video's"):
            writer.write(image(48, 32))
        writer.write(image(32, 48))
        with pytest.raises(ValueError, match="every frame must carry a time or none"):
            writer.write(image(32, 48), 1.0)


def test_an_exception_passes_through(tmp_path):
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "v.mp4", 10, (32, 48)) as writer:
        writer.write(image(32, 48))
        raise KeyboardInterrupt


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_full_disk_is_an_oserror():
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    with pytest.raises(OSError) as caught, VideoWriter(Path("/dev/full"), 10, (256, 256)) as writer:
        for _ in range(10):
            writer.write(noise)
    assert caught.value.errno == errno.ENOSPC


# --- painting


def test_nothing_to_paint():
    for instances in ([], [Painted(1, "dog", 0.5, block(0, 0, 0, 0))]):
        picture = image()
        painted = paint(picture, instances)
        assert painted is not picture
        assert not np.shares_memory(painted, picture)
        np.testing.assert_array_equal(painted, picture)


def test_fill_outline_and_background():
    picture = image()
    picture.flags.writeable = False
    painted = paint(picture, [Painted(3, "dog", 0.87, block(30, 20, 20, 40))])
    np.testing.assert_allclose(painted[40, 40], 128 * 0.55 + rgb(3) * 0.45, atol=2)
    for y, x in ((30, 59), (40, 20), (49, 40), (40, 59)):
        np.testing.assert_array_equal(painted[y, x], rgb(3))
    for y, x in ((29, 90), (40, 19), (50, 40), (40, 60)):
        np.testing.assert_array_equal(painted[y, x], GREY)
    assert (painted[10:29, 20:60] == rgb(3)).all(-1).any()  # the tag, in the same colour
    np.testing.assert_array_equal(picture, image())


def test_the_image_border_is_not_outlined():
    painted = paint(image(), [Painted(1, "dog", 0.5, block(24, 0, 40, 60))])
    assert not (painted[45, 0] == rgb(1)).all()
    assert not (painted[63, 30] == rgb(1)).all()
    assert (painted[45, 59] == rgb(1)).all()


def test_smaller_masks_lie_on_top():
    large, small = Painted(1, "a", 0.9, block(20, 10, 44, 80)), Painted(2, "b", 0.8, block(40, 40, 15, 30))
    first, second = paint(image(), [large, small]), paint(image(), [small, large])
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first[47, 55], 128 * 0.55 + rgb(2) * 0.45, atol=2)


def test_the_palette():
    assert len(set(PALETTE)) == len(PALETTE) >= 20
    away = [np.abs(rgb(a) - rgb(b)).sum() for a in range(len(PALETTE)) for b in range(a)]
    assert min(away) >= 40


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (64, 96)])
def test_any_size_and_many_instances(size):
    masks_ = [block(i % 8, i % 11, 6, 5, size) for i in range(40)]
    painted = paint(image(*size), [Painted(i, "Größe, 犬", 1.0, m) for i, m in enumerate(masks_)])
    assert painted.shape == (*size, 3)


def test_mask_of_another_size():
    with pytest.raises(ValueError, match="must have the image's"):
        paint(image(), [Painted(1, "dog", 0.5, block(0, 0, 2, 2, (8, 8)))])


# --- the whole video


def result_of(times, fps=10.0, indices=None):
    size = (64, 96)
    seen = [encode(block(30, 10 + 2 * i, 20, 20, size)) for i in range(len(times))]
    seen[1] = None
    low = [encode(block(30, 70, 20, 20, size))] * len(times)
    return VideoResult(
        tracks=[
            Track(1, "dog", 0, 0.9, (), seen),
            Track(1, "cat", 1, 0.6, (), seen),
            Track(2, "cat", 1, 0.2, (), low),
        ],
        source="x",
        height=size[0],
        width=size[1],
        fps=fps,
        frame_indices=indices or list(range(len(times))),
        frame_times=list(times),
        labels=("dog", "cat"),
    )


def test_render(tmp_path):
    times = [5 + i / 10 for i in range(6)]
    calls = []
    frames = [Frame(image(), i, t) for i, t in enumerate(times)]
    written = render(result_of(times), frames, tmp_path / "v.mp4", min_score=0.5, on_frame=lambda: calls.append(1))
    images, shown, rate, _ = read(tmp_path / "v.mp4")
    assert written == len(images) == len(calls) == 6
    assert (rate, float(shown[-1])) == (10, pytest.approx(0.5))
    expected = 128 * 0.55 + rgb(1) * 0.45
    for i in (0, 2, 5):
        np.testing.assert_allclose(images[i, 40, 20 + 2 * i], expected, atol=12)
    np.testing.assert_allclose(images[1], 128, atol=6)  # not seen
    np.testing.assert_allclose(images[:, 40, 80], 128, atol=6)  # below the score
    render(result_of(times), frames, str(tmp_path / "all.mp4"), min_score=0)
    np.testing.assert_allclose(read(tmp_path / "all.mp4")[0][3, 47, 80], 128 * 0.55 + rgb(2) * 0.45, atol=12)


def test_frames_are_matched_by_index(tmp_path):
    result = result_of([0.4, 0.6, 0.8], fps=5, indices=[4, 6, 8])
    frames = [Frame(image(), i, i / 10) for i in range(3, 9)]
    assert render(result, frames, tmp_path / "v.mp4", min_score=0.5) == 3
    images, times, rate, _ = read(tmp_path / "v.mp4")
    assert (len(images), rate, [float(t) for t in times]) == (3, 5, pytest.approx([0, 0.2, 0.4]))
    np.testing.assert_allclose(images[2, 40, 24], 128 * 0.55 + rgb(1) * 0.45, atol=12)


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ([1.0, 1.1, 1.5, 1.55], [0.0, 0.1, 0.5, 0.55]),  # uneven: as they are
        ([1.0, 1.104, 1.198, 1.3], [0.0, 0.1, 0.2, 0.3]),  # rounded: the constant rate
    ],
)
def test_timing_of_the_source(tmp_path, times, shown):
    render(result_of(times), [Frame(image(), i, t) for i, t in enumerate(times)], tmp_path / "v.mp4")
    assert [float(t) for t in read(tmp_path / "v.mp4")[1]] == pytest.approx(shown, abs=1e-4)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([0, 1, 1, 2], "frame 1 comes twice: give the frames"),
        ([0, 2, 1], "frame 1 comes after frame 2, not before it"),
        ([0, 1, 2, 0], "frame 0 comes after frame 2"),
        ([7, 8], "none of the 3 frames of the result is among those given"),
        ([], "none of the 3 frames"),
    ],
)
def test_a_mask_meets_its_own_frame_or_none(tmp_path, given, words):
    (tmp_path / "v.mp4").write_text("older")
    frames = [Frame(image(), i, i / 10) for i in given]
    with pytest.raises(InputError, match=words):
        render(result_of([0.0, 0.1, 0.2]), frames, tmp_path / "v.mp4")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["older"]


def test_a_result_that_names_a_frame_twice(tmp_path):
    frames = [Frame(image(), i, i / 10) for i in range(3)]
    with pytest.raises(
        InputError, match=r"the result has frame 5 twice, at positions 1 and 2: .* segment the video ag"
    ):
        render(result_of([0.0, 0.1, 0.2], indices=[4, 5, 5]), frames, tmp_path / "v.mp4")
    assert list(tmp_path.iterdir()) == []


def test_frames_that_did_not_come_are_told(tmp_path):
    result = result_of([0.0, 0.1, 0.2, 0.3, 0.4])
    frames = [Frame(image(), i, i / 10) for i in (0, 3, 9)]
    with pytest.warns(NotPainted, match="^3 of the result's 5 frames did not come and were not painted"):
        assert render(result, frames, tmp_path / "v.mp4") == 2
    images, *_ = read(tmp_path / "v.mp4")
    assert len(images) == 2
    np.testing.assert_allclose(images[1, 40, 26], 128 * 0.55 + rgb(1) * 0.45, atol=12)  # the masks of frame 3


def test_pixels_that_are_not_square(tmp_path):
    result = result_of([0.0, 0.1])
    result.pixel_aspect = Fraction(4, 3)
    render(result, [Frame(image(), i, i / 10) for i in range(2)], tmp_path / "v.mp4")
    with av.open(str(tmp_path / "v.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.width, stream.height, stream.sample_aspect_ratio) == (96, 64, Fraction(4, 3))


def test_frames_of_another_size(tmp_path):
    with pytest.raises(InputError, match="frame 0 of 32x32 pixels must have the result's size, 96x64"):
        render(result_of([0.0, 0.1]), [Frame(image(32, 32), 0, 0.0)], tmp_path / "v.mp4")


@pytest.mark.skipif(sys.platform != "linux", reason="glibc fills memory on demand")
def test_the_same_frames_give_the_same_bytes_whatever_memory_holds(tmp_path):
    program = (
        "import sys; from pathlib import Path; from clips import picture\n"
        "from ovvis.outputs.render import VideoWriter\n"
        "with VideoWriter(Path(sys.argv[1]), 25.0, (96, 128)) as video:\n"
        "    for k in range(6): video.write(picture(k, (96, 128)))\n"
    )
    found = set()
    for filling in ("1", "170", "255"):
        environment = os.environ | {"MALLOC_PERTURB_": filling, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", program, str(tmp_path / "v.mp4")], env=environment, check=True)
        found.add((tmp_path / "v.mp4").read_bytes())
    assert len(found) == 1
