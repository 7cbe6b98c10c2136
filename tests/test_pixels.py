from fractions import Fraction

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ovvis.pixels import clip_view, network_size, normalise, pad, padded_size


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


# Each as large as the picture that a player shows of it, then by the same rule.
@pytest.mark.parametrize(
    ("height", "width", "aspect", "short", "expected"),
    [
        (576, 720, Fraction(64, 45), 480, (480, 853)),  # DVD, 1024 x 576
        (576, 720, Fraction(16, 15), 480, (480, 640)),  # DV, 768 x 576
        (480, 720, Fraction(8, 9), 480, (480, 640)),  # 720 x 540
        (720, 576, Fraction(45, 64), 480, (853, 480)),  # DVD on its side
        (576, 720, Fraction(64, 45), None, (576, 1024)),
        (480, 720, Fraction(8, 9), None, (540, 720)),
        (108, 144, Fraction(4, 3), None, (108, 192)),
        (108, 144, Fraction(4, 3), 480, (480, 853)),
    ],
)
def test_network_size_of_pixels_that_are_not_square(height, width, aspect, short, expected):
    assert network_size(height, width, short, 1333, aspect) == expected


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(32, 2000), st.integers(32, 2000))
def test_network_size_keeps_to_its_limits(height, width, short, long):
    h, w = network_size(height, width, short, long)
    assert 1 <= min(h, w) <= short
    assert max(h, w) <= max(long, short)
    assert max(h, w) == long or min(h, w) == short
    assert (h <= w) == (height <= width) or abs(h - w) <= 1


def test_pad_and_normalise():
    images = torch.randint(0, 256, (2, 3, 33, 40), dtype=torch.uint8)
    mean, std = torch.tensor([10.0, 20, 30]).view(3, 1, 1), torch.tensor([2.0, 4, 8]).view(3, 1, 1)
    padded = pad(images, padded_size((33, 40)))
    assert padded.shape == (2, 3, 64, 64)
    assert padded.dtype == torch.uint8
    pixels = normalise(padded, (33, 40), mean, std)
    assert torch.equal(pixels[..., :33, :40], (images.float() - mean) / std)
    assert not pixels[..., 33:, :].any()
    assert not pixels[..., 40:].any()


def test_pad_of_a_fitting_image_is_the_image():
    masks = torch.ones(1, 2, 32, 32, dtype=torch.bool)
    assert pad(masks, (32, 32)) is masks
    assert pad(masks, (32, 64)).sum() == masks.sum()


@pytest.mark.parametrize("size", [(224, 224), (96, 128), (128, 96), (333, 500), (500, 333), (720, 1280), (225, 1001)])
def test_clips_view_is_clips_own(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    view = clip_view(image, 224)
    assert view.shape == (3, 224, 224) and view.dtype == torch.uint8
    own = open_clip.image_transform(224, is_train=False, mean=(0, 0, 0), std=(1, 1, 1))
    assert torch.allclose(view.float() / 255, own(Image.fromarray(image)), atol=1e-6)


@pytest.mark.parametrize(
    ("size", "aspect", "shown"), [((108, 144), Fraction(4, 3), (108, 192)), ((90, 60), Fraction(3, 4), (120, 60))]
)
def test_clips_view_of_pixels_that_are_not_square(size, aspect, shown):
    """The view of the picture as it is shown, up to what two resizes do to a smooth picture."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    image = np.stack([x * 200 / size[1], y * 200 / size[0], x * 0 + 90], -1).astype(np.uint8)
    whole = np.asarray(Image.fromarray(image).resize(shown[::-1], Image.Resampling.BICUBIC))
    view = clip_view(image, 56, aspect).int()
    assert (view - clip_view(whole, 56).int()).abs().max() <= 3
    assert (view - clip_view(image, 56).int()).abs().max() > 10  # squeezed
