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
