import numpy as np
import pytest

from ovvis.masks import decode, from_polygons
from ovvis.outputs.outlines import joined, rings


def random_masks():
    random = np.random.default_rng(0)
    for share in (0.05, 0.3, 0.5, 0.7, 0.97):
        for size in ((1, 1), (1, 9), (7, 1), (6, 6), (23, 17)):
            yield random.random(size) < share
    yield np.ones((5, 4), dtype=bool)


@pytest.mark.parametrize("mask", list(random_masks()), ids=lambda mask: f"{mask.shape}-{int(mask.sum())}")
def test_one_polygon_is_the_mask(mask):
    """Parts and holes, those that touch at corners too: COCO's tools draw the same pixels."""
    if not mask.any():
        assert rings(mask) == []
        return
    one = joined(rings(mask)).astype(float).ravel().tolist()
    assert (decode(from_polygons([one], mask.shape)) == mask).all()


def test_rings_are_parts_and_holes():
    mask = np.zeros((6, 9), dtype=bool)
    mask[1:5, 1:5] = True
    mask[2:4, 2:4] = False
    mask[2, 7] = True
    assert sorted(len(ring) for ring in rings(mask)) == [4, 4, 4]
