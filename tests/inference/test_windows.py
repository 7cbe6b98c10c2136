import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ovvis.inference.windows import groups, make_window, network_size, resize
from ovvis.structures import Frame


# By hand: scale = short / min(h, w), cut at the long edge, then int(x + 0.5) as detectron2 rounds.
@pytest.mark.parametrize(
    ("height", "width", "short", "long", "expected"),
    [
        (480, 640, 480, 1333, (480, 640)),
        (720, 1280, 480, 1333, (480, 853)),  # 853.33
        (1280, 720, 480, 1333, (853, 480)),
        (1080, 1920, 480, 1333, (480, 853)),
        (360, 640, 480, 1333, (480, 853)),
        (100, 1000, 480, 1333, (133, 1333)),  # 480 x 4800, cut: 133.3
        (1000, 100, 480, 1333, (1333, 133)),
        (64, 64, 480, 1333, (480, 480)),
        (3, 2000, 480, 1333, (2, 1333)),  # 1.9995 rounds up
        (1, 5000, 480, 1333, (1, 1333)),  # 0.27 would round to nothing
        (200, 301, 100, 1333, (100, 151)),  # 150.5 rounds up, where round() would go to even
        (200, 300, 101, 1333, (101, 152)),  # 151.5
        (200, 302, 150, 1333, (150, 227)),  # 226.5, where round() would give 226
        (97, 131, None, 10, (97, 131)),
    ],
)
def test_network_size(height, width, short, long, expected):
    assert network_size(height, width, short, long) == expected


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(32, 2000), st.integers(32, 2000))
def test_network_size_keeps_to_its_limits(height, width, short, long):
    h, w = network_size(height, width, short, long)
    assert 1 <= min(h, w) <= short
    assert max(h, w) <= max(long, short)
    assert max(h, w) == long or min(h, w) == short
    assert (h <= w) == (height <= width) or abs(h - w) <= 1


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(20, 30), (7, 5), (41, 33), (20, 31)])
def test_resize_is_pillows(size):
    frame = image(20, 30)
    wanted = np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BILINEAR))
    assert np.array_equal(resize(frame, size), wanted)
    assert resize(frame, size).shape == (*size, 3)


def test_window():
    frames = tuple(Frame(image(40, 50, i), i, float(i)) for i in range(2))
    mean, std = torch.tensor([10.0, 20, 30]).view(3, 1, 1), torch.tensor([2.0, 4, 8]).view(3, 1, 1)
    window = make_window(frames, (33, 64), mean, std)
    assert window.pixels.shape == (2, 3, 64, 64)
    assert window.image_size == (33, 64)
    assert window.frames == frames
    assert not window.pixels[:, :, 33:].any()
    for t in range(2):
        small = torch.from_numpy(resize(frames[t].image, (33, 64)).copy()).float()
        for c in range(3):
            assert torch.allclose(window.pixels[t, c, :33], (small[..., c] - mean[c]) / std[c])


@pytest.mark.parametrize(("size", "padded"), [((32, 64), (32, 64)), ((33, 65), (64, 96)), ((1, 31), (32, 32))])
def test_padding(size, padded):
    frame = Frame(image(*size), 0, 0.0)
    window = make_window((frame,), size, torch.full((3, 1, 1), -9.0), torch.ones(3, 1, 1))
    assert window.pixels.shape[-2:] == padded
    assert window.pixels[..., : size[0], : size[1]].min() >= 9
    assert (window.pixels != 0).sum() == 3 * size[0] * size[1]


def test_frames_are_not_changed():
    frame = Frame(image(32, 32), 0, 0.0)
    before = frame.image.copy()
    make_window((frame,), (32, 32), torch.ones(3, 1, 1), torch.ones(3, 1, 1))
    assert np.array_equal(frame.image, before)


def test_groups():
    assert list(groups("abcde", 2)) == [("a", "b"), ("c", "d"), ("e",)]
    assert list(groups("", 2)) == []
    assert list(groups("abc", 5)) == [("a", "b", "c")]
    endless = groups(iter(int, 1), 3)
    assert next(endless) == (0, 0, 0)
