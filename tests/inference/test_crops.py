"""What CLIP is shown of a thing, and how that names it."""

import numpy as np
import pytest
import torch

from ovvis import masks
from ovvis.inference.crops import CropNamer, square_crop
from ovvis.structures import NOTHING, Detected, TextEmbeddings

PLAIN = [123, 117, 104]
IMAGE = np.zeros((20, 40, 3), np.uint8)
IMAGE[4:10, 6:18] = (200, 10, 10)  # 12 wide, 6 high
IMAGE[4:10, 18:20] = (10, 10, 200)


def mask_of(rows, columns):
    mask = np.zeros(IMAGE.shape[:2], dtype=bool)
    mask[rows, columns] = True
    return masks.encode(mask)


THING = mask_of(slice(4, 10), slice(6, 18))


@pytest.mark.parametrize(
    ("scale", "alone", "at", "wanted"),
    [
        (1.0, True, (6, 6), [200, 10, 10]),
        (1.0, True, (1, 6), PLAIN),  # above the thing: not the image's black
        (1.0, False, (1, 6), [0, 0, 0]),
        (2.0, False, (10, 19), [10, 10, 200]),  # the blue that stands beside it
        (2.0, True, (10, 19), PLAIN),
        (2.0, False, (1, 6), PLAIN),  # above the image
    ],
)
def test_a_square_around_the_mask(scale, alone, at, wanted):
    side = int(12 * scale)
    crop = square_crop(IMAGE, THING, side, scale, alone)
    assert crop.shape == (3, side, side) and crop.dtype == torch.uint8
    assert crop[:, *at].tolist() == wanted


def test_a_thing_of_one_pixel_at_the_edge():
    assert square_crop(IMAGE, mask_of(19, 39), 8, 1.5).shape == (3, 8, 8)


class Colours:
    """A CLIP that sees the mean colour of a crop."""

    image_side, width, logit_scale = 12, 3, 10.0

    def __init__(self):
        self.seen = []

    def embed_images(self, views):
        self.seen.append(len(views))
        return views.float().mean((2, 3)) / 255 - torch.tensor(PLAIN) / 255


TEXT = TextEmbeddings(torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]]), torch.tensor([0, 1, 1]), ("red", "blue"))


def test_names_and_looks():
    blue = mask_of(slice(4, 10), slice(18, 20))
    things = Detected((THING, blue), np.ones(2))
    clip = Colours()
    found = CropNamer(clip, TEXT)(IMAGE, things)
    assert found.names.argmax(1).tolist() == [0, 1] and found.names.sum(1) == pytest.approx([1, 1])
    assert np.linalg.norm(found.embeddings, axis=1) == pytest.approx([1, 1]) and clip.seen == [2]
    # the best synonym counts: red's cosine beside the best of blue's two
    looks = found.embeddings @ TEXT.vectors.numpy().T * 10
    logits = np.stack([looks[:, 0], looks[:, 1:].max(1)], 1)
    assert found.names == pytest.approx(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), abs=1e-6)
    # two scales: the embeddings are added up
    both = CropNamer(clip, None, False, (1.0, 1.5))(IMAGE, things)
    one, other = (CropNamer(clip, None, False, (scale,))(IMAGE, things).embeddings for scale in (1.0, 1.5))
    total = one + other
    assert both.embeddings == pytest.approx(total / np.linalg.norm(total, axis=1, keepdims=True), abs=1e-6)
    assert both.names is None


def test_none_of_these_and_nothing():
    assert CropNamer(Colours(), TEXT, none_logit=30.0)(IMAGE, Detected((THING,), np.ones(1))).names.max() < 1e-6
    assert CropNamer(Colours(), TEXT)(IMAGE, NOTHING).names.shape == (0, 2)
    assert CropNamer(Colours())(IMAGE, NOTHING) is NOTHING
