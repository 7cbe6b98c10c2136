import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st

from ovvis.inference.final_masks import mask_bits, mask_confidence, resize_matrix, rle_from_bits, rle_from_logits
from ovvis.masks import decode, encode


@pytest.mark.parametrize("source", [1, 2, 3, 7, 24, 120])
@pytest.mark.parametrize("target", [1, 2, 5, 7, 24, 96, 333])
def test_resize_matrix_is_interpolate(source, target):
    x = torch.randn(1, 1, source, source, generator=torch.Generator().manual_seed(0)).double()
    matrix = resize_matrix(source, target).double()
    wanted = F.interpolate(x, (target, target), mode="bilinear", align_corners=False)[0, 0]
    assert torch.allclose(matrix @ x[0, 0] @ matrix.T, wanted, atol=1e-6)
    assert torch.allclose(matrix.sum(1), torch.ones(target).double())


def test_resize_to_equal_size_changes_nothing():
    assert torch.equal(resize_matrix(9, 9), torch.eye(9))


def plain(logits, padded, kept, size):
    """The released way, whole frames at every step. Returns logits."""
    x = F.interpolate(logits[None, None].double(), padded, mode="bilinear", align_corners=False)
    x = x[..., : kept[0], : kept[1]]
    return F.interpolate(x, size, mode="bilinear", align_corners=False)[0, 0]


def same_mask(logits, padded, kept, size):
    """Assert the mask of the released way, except where its logit is zero up to rounding."""
    wanted = plain(logits, padded, kept, size)
    got = rle_from_logits(logits, padded, kept, size)
    mask = np.zeros(size, bool) if got is None else decode(got)
    differ = torch.from_numpy(mask) != (wanted > 0)
    assert not (differ & (wanted.abs() > 1e-5 * logits.abs().max())).any()
    if got is not None:
        assert mask.any()
        assert got == encode(mask)


def noise(h, w, seed, kind):
    x = torch.randn(1, 1, h, w, generator=torch.Generator().manual_seed(seed))
    if kind == "smooth":
        x = F.interpolate(x[..., : max(h // 5, 1), : max(w // 5, 1)], (h, w), mode="bicubic") - 0.5
    if kind == "sparse":
        x = x - 2.3
    return x[0, 0]


SIZES = [
    # cells, kept, video: the network's input is four times the cells
    ((24, 32), (96, 128), (96, 128)),
    ((24, 32), (90, 101), (90, 101)),
    ((24, 32), (90, 101), (181, 203)),
    ((24, 32), (65, 97), (361, 487)),
    ((24, 32), (90, 101), (60, 67)),
    ((8, 8), (1, 1), (5, 7)),
    ((8, 40), (32, 150), (33, 151)),
]


@pytest.mark.parametrize(("cells", "kept", "size"), SIZES)
@pytest.mark.parametrize("kind", ["noise", "smooth", "sparse"])
def test_logits_to_mask(cells, kept, size, kind):
    padded = cells[0] * 4, cells[1] * 4
    for seed in range(8):
        same_mask(noise(*cells, seed, kind), padded, kept, size)


# Videos so much smaller than the network's input that no video pixel has a share in some cells.
@pytest.mark.parametrize("size", [(40, 53), (20, 27), (7, 5), (1, 1), (2, 300)])
def test_logits_to_mask_of_a_small_video(size):
    for seed in range(8):
        for kind in ("noise", "smooth", "sparse"):
            same_mask(noise(24, 32, seed, kind), (96, 128), (96, 128), size)


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 40), st.sampled_from(["noise", "smooth", "sparse"]))
@example(0, 9, 9, "sparse")
def test_logits_to_mask_of_any_size(seed, height, width, kind):
    same_mask(noise(16, 8, seed, kind), (64, 32), (61, 30), (height * 7, width * 7))


def test_no_positive_pixel_is_no_mask():
    assert rle_from_logits(-torch.ones(8, 8), (32, 32), (32, 32), (50, 50)) is None
    assert rle_from_logits(torch.zeros(8, 8), (32, 32), (32, 32), (50, 50)) is None
    padding_only = -torch.ones(8, 8)
    padding_only[:, 7] = 1
    assert rle_from_logits(padding_only, (32, 32), (32, 20), (50, 50)) is None


def test_everything_positive_is_a_full_mask():
    assert rle_from_logits(torch.ones(8, 8), (32, 32), (31, 17), (50, 40)) == encode(np.ones((50, 40), bool))


def test_confidence_is_the_mean_sigmoid_of_the_pixels_of_the_result():
    logits, padded, kept, size = noise(8, 12, 3, "dense"), (32, 48), (29, 40), (50, 71)
    full = plain(logits, padded, kept, size)
    inside = full > 0
    wanted = (full.sigmoid() * inside).sum() / (inside.sum() + 1e-6)
    assert mask_confidence(logits, padded, kept, size) == pytest.approx(wanted.item(), abs=1e-5)
    assert mask_confidence(-logits.abs(), padded, kept, size) == 0


@pytest.mark.parametrize("kind", ["noise", "smooth", "sparse"])
@pytest.mark.parametrize("size", [(60, 80), (61, 83), (17, 9)])
def test_masks_made_where_the_logits_lie_are_the_same(kind, size):
    padded, kept = (64, 96), (60, 90)
    logits = torch.stack([noise(16, 24, seed, kind) for seed in range(3)] + [torch.full((16, 24), -1.0)])
    found = [rle_from_bits(row, size) for row in mask_bits(logits, padded, kept, size)]
    assert found == [rle_from_logits(one, padded, kept, size) for one in logits]
    assert found[3] is None
