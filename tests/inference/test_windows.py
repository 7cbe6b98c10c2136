from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from ovvis.inference import windows
from ovvis.inference.resize_on_device import resize_exactly
from ovvis.inference.windows import groups, make_window, place_window, read_window, resize
from ovvis.pixels import clip_view
from ovvis.structures import Frame


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(20, 30), (7, 5), (41, 33), (20, 31)])
def test_resize_is_pillows(size):
    frame = image(20, 30)
    wanted = np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BILINEAR))
    assert np.array_equal(resize(frame, size), wanted)
    assert resize(frame, size).shape == (*size, 3)


@pytest.mark.parametrize(
    "size", [(20, 30), (7, 5), (41, 33), (20, 31), (1, 1), (9, 30), (20, 300), (19, 31), (21, 29), (21, 300), (40, 7)]
)
def test_resize_where_the_network_computes_is_pillows_to_the_bit(size):
    frames = np.stack([image(20, 30), np.full((20, 30, 3), 255, np.uint8), image(20, 30, 1) // 200 * 255])
    found = resize_exactly(torch.from_numpy(frames), size).numpy()
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.stack([resize(frame, size) for frame in frames]))


def test_a_pillow_that_does_it_otherwise_does_it_itself(monkeypatch):
    monkeypatch.setattr(windows, "axes_in_turn", lambda source, size: None)
    raw = read_window((Frame(image(40, 50), 0, 0.0),), (33, 64), resized=False)
    assert np.array_equal(raw.images[0].numpy(), resize(image(40, 50), (33, 64)))


def test_a_window_that_is_resized_later_is_the_same():
    frames = tuple(Frame(image(40, 50, i), i, float(i)) for i in range(2))
    mean, std = torch.full((3, 1, 1), 9.0), torch.full((3, 1, 1), 3.0)
    raw = read_window(frames, (33, 64), 24, resized=False)
    assert raw.images.shape == (2, 40, 50, 3)
    later, now = place_window(raw, mean, std), make_window(frames, (33, 64), mean, std, 24)
    assert torch.equal(later.pixels, now.pixels) and torch.equal(later.views, now.views)
    assert (later.image_size, later.frames) == (now.image_size, now.frames)


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


def test_clips_views_heed_the_pixels():
    frame = Frame(image(40, 50), 0, 0.0)
    look = ((32, 64), torch.zeros(3, 1, 1), torch.ones(3, 1, 1), 24)
    wide, square = make_window((frame,), *look, Fraction(4, 3)), make_window((frame,), *look)
    assert torch.equal(wide.views[0], clip_view(frame.image, 24, Fraction(4, 3)))
    assert torch.equal(square.views[0], clip_view(frame.image, 24))
    assert not torch.equal(wide.views, square.views)


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
