import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ovvis.errors import InputError
from ovvis.masks import encode
from ovvis.training.data.transforms import (
    AugmentConfig,
    Colour,
    Geometry,
    draw_again,
    draw_colour,
    draw_geometry,
    place_masks,
    place_pixels,
)

SAME = Colour(1, 1, 1, 0)


def rng(seed=0):
    return np.random.default_rng(seed)


def mask_on_canvas(mask, geometry):
    out = np.zeros(geometry.canvas, dtype=bool)
    (patch,) = place_masks([encode(mask)], geometry)
    if patch is not None:
        h, w = patch.mask.shape
        out[patch.top : patch.top + h, patch.left : patch.left + w] = patch.mask
    return out


def image(height, width, seed=0):
    return rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def as_frames(array):
    return torch.from_numpy(array).permute(2, 0, 1)[None]


@given(
    st.integers(1, 60), st.integers(1, 60), st.integers(8, 64), st.sampled_from(["diagonal", "anywhere"]),
    st.integers(0, 2**32),
)  # fmt: skip
def test_masks_go_where_torchvision_takes_them(height, width, size, crop, seed):
    """The short way (only what is seen of a mask) is the long way: flip, resize the whole to nearest, crop, pad."""
    config = AugmentConfig(size=size, crop=crop)
    geometry = draw_geometry((height, width), config, rng(seed))
    mask = rng(seed).random((height, width)) < 0.2
    whole = torch.from_numpy(mask)[None]
    if geometry.flipped:
        whole = whole.flip(-1)
    rows = [(2 * i + 1) * height // (2 * geometry.resized[0]) for i in range(geometry.resized[0])]
    columns = [(2 * i + 1) * width // (2 * geometry.resized[1]) for i in range(geometry.resized[1])]
    resized = whole[0][rows][:, columns]
    (top, left), (h, w) = geometry.corner, geometry.kept
    expected = torch.zeros(geometry.canvas, dtype=torch.bool)
    expected[:h, :w] = resized[top : top + h, left : left + w]
    assert np.array_equal(mask_on_canvas(mask, geometry), expected.numpy())


@pytest.mark.parametrize("resized", [(24, 32), (96, 128), (37, 51), (47, 61)])
def test_nearest_is_pillows(resized):
    size = (47, 61)  # odd: no centre falls between two pixels, where Pillow's sums round by chance
    mask = rng(1).random(size) < 0.5
    geometry = Geometry(size, False, resized, (0, 0), resized, resized)
    expected = Image.fromarray(mask.astype(np.uint8)).resize(resized[::-1], Image.Resampling.NEAREST)
    assert np.array_equal(mask_on_canvas(mask, geometry), np.asarray(expected).astype(bool))


@pytest.mark.parametrize("resized", [(20, 30), (48, 64), (77, 91), (130, 170)])
def test_pixels_are_pillows_within_a_level(resized):
    frame = image(48, 64)
    geometry = Geometry((48, 64), False, resized, (0, 0), resized, resized)
    wanted = np.asarray(Image.fromarray(frame).resize(resized[::-1], Image.Resampling.BILINEAR)).astype(int)
    got = place_pixels(as_frames(frame), geometry, SAME, 0)[0].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(got - wanted).max() <= 1


@given(st.integers(0, 2**32), st.sampled_from(["jitter", "short_edge"]))
def test_image_and_mask_move_together(seed, resize):
    """Half the picture is painted red and is the mask: on the canvas, red is where the mask is."""
    red = np.zeros((40, 60), dtype=bool)
    y, x = rng(seed).integers(0, (30, 40))
    red[y : y + 25, x : x + 35] = True
    frame = np.zeros((40, 60, 3), dtype=np.uint8)
    frame[red] = (255, 0, 0)
    config = AugmentConfig(resize=resize, size=64, short_edges=(20, 45, 80), fill=0)
    geometry = draw_geometry((40, 60), config, rng(seed))
    pixels = place_pixels(as_frames(frame), geometry, SAME, config.fill)[0]
    mask = torch.from_numpy(mask_on_canvas(red, geometry))
    differ = (pixels[0] > 127) != mask
    # A pixel on the edge may fall to either side: of the antialiased red or of the nearest mask.
    edge = (
        torch.nn.functional.max_pool2d(mask[None, None].float(), 3, 1, 1)[0, 0]
        != -torch.nn.functional.max_pool2d(-mask[None, None].float(), 3, 1, 1)[0, 0]
    )
    edge[geometry.kept[0] - 1 :] = True  # beyond them is fill
    edge[:, geometry.kept[1] - 1 :] = True
    edge[0], edge[:, 0] = True, True
    assert not (differ & ~edge).any()


def test_flip_is_a_mirror():
    frame, mask = image(30, 40), rng(2).random((30, 40)) < 0.3
    geometry = Geometry((30, 40), True, (30, 40), (0, 0), (30, 40), (30, 40))
    assert np.array_equal(mask_on_canvas(mask, geometry), mask[:, ::-1])
    got = place_pixels(as_frames(frame), geometry, SAME, 0)[0].permute(1, 2, 0).numpy()
    assert np.array_equal(got, frame[:, ::-1])


def test_jitter_statistics():
    drawn = [draw_geometry((480, 640), AugmentConfig(), rng(seed)) for seed in range(2000)]
    scales = np.array([g.resized[1] / 1024 for g in drawn])  # 640 is the edge that fits first
    assert 0.1 <= scales.min() < 0.12
    assert 1.98 < scales.max() <= 2.0
    assert abs(scales.mean() - 1.05) < 0.04
    assert 0.46 < np.mean([g.flipped for g in drawn]) < 0.54
    assert {g.canvas for g in drawn} == {(1024, 1024)}
    for g in drawn:
        assert abs(g.resized[0] - g.resized[1] * 0.75) <= 1
        assert g.kept == (min(g.resized[0], 1024), min(g.resized[1], 1024))
        assert all(0 <= c <= max(r - 1024, 0) for c, r in zip(g.corner, g.resized, strict=True))
    cropped = [g for g in drawn if min(g.resized) > 1100]
    shares = np.array([[c / (r - 1024) for c, r in zip(g.corner, g.resized, strict=True)] for g in cropped])
    assert abs(shares.mean() - 0.5) < 0.05
    assert np.abs(shares[:, 0] - shares[:, 1]).max() < 0.01  # along the diagonal, as released


def test_crop_anywhere_draws_each_axis():
    config = AugmentConfig(crop="anywhere", min_scale=1.5)
    drawn = [draw_geometry((600, 600), config, rng(seed)) for seed in range(300)]
    shares = np.array([[c / (r - 1024) for c, r in zip(g.corner, g.resized, strict=True)] for g in drawn])
    assert abs(np.corrcoef(shares.T)[0, 1]) < 0.2


def test_short_edges_are_chosen():
    config = AugmentConfig(resize="short_edge", short_edges=(360, 480), long_edge=700)
    sizes = {draw_geometry((720, 1280), config, rng(seed)).canvas for seed in range(50)}
    assert sizes == {(360, 640), (394, 700)}  # 480 x 853, cut at 700


def test_padding_is_grey_and_colour_spares_it():
    config = AugmentConfig(size=64, min_scale=0.5, max_scale=0.5, flip=0, brightness=0.5)
    geometry = draw_geometry((40, 40), config, rng())
    frame = np.full((40, 40, 3), 100, dtype=np.uint8)
    pixels = place_pixels(as_frames(frame), geometry, Colour(1.5, 1, 1, 0), config.fill)
    assert (pixels[..., :32, :32] == 150).all()
    assert (pixels[..., 32:, :] == 128).all()
    assert (pixels[..., 32:] == 128).all()


def test_colour_stays_in_its_range():
    config = AugmentConfig(brightness=0.1, contrast=0.2, saturation=0.3, hue=0.05)
    drawn = [draw_colour(config, rng(seed)) for seed in range(500)]
    for name, centre, reach in (("brightness", 1, 0.1), ("contrast", 1, 0.2), ("saturation", 1, 0.3), ("hue", 0, 0.05)):
        values = np.array([getattr(c, name) for c in drawn])
        assert centre - reach <= values.min() < centre - 0.95 * reach
        assert centre + 0.95 * reach < values.max() <= centre + reach
    assert draw_colour(AugmentConfig(), rng()) == SAME


def test_every_change_of_colour_changes_the_frame():
    frame = as_frames(image(20, 20))
    geometry = Geometry((20, 20), False, (20, 20), (0, 0), (20, 20), (20, 20))
    for colour in (Colour(1.2, 1, 1, 0), Colour(1, 1.2, 1, 0), Colour(1, 1, 1.4, 0), Colour(1, 1, 1, 0.2)):
        assert not torch.equal(place_pixels(frame, geometry, colour, 0), frame)
    assert torch.equal(place_pixels(frame, geometry, SAME, 0), frame)


def test_a_still_moves_under_one_flip():
    config = AugmentConfig(size=64)
    pairs = []
    for seed in range(20):
        first = draw_geometry((48, 64), config, rng(seed))
        pairs.append((first, draw_again(first, config, rng(seed + 100))))
    assert all((a.flipped, a.canvas) == (b.flipped, b.canvas) for a, b in pairs)
    assert sum(a.resized != b.resized for a, b in pairs) > 15
    config = AugmentConfig(resize="short_edge")
    first = draw_geometry((48, 64), config, rng())
    assert draw_again(first, config, rng(1)) == first


def test_a_mask_outside_the_crop_is_not_seen():
    mask = np.zeros((10, 10), dtype=bool)
    mask[8:, 8:] = True
    geometry = Geometry((10, 10), False, (20, 20), (0, 0), (10, 10), (10, 10))
    assert place_masks([encode(mask), None], geometry) == [None, None]


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0}, {"min_scale": 0.0}, {"min_scale": 3.0}, {"fill": 256}, {"short_edges": ()}, {"flip": 1.5},
        {"hue": 0.6}, {"resize": "crop"}, {"crop": "centre"}, {"brightness": -0.1}, {"long_edge": 0},
    ],
)  # fmt: skip
def test_config_is_checked(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        AugmentConfig(**wrong)
