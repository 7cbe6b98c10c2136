import pytest
import torch

from ovvis.training.loss.points import PointSampler, sample, sample_masks


def test_a_pixels_centre_reads_the_pixel():
    image = torch.tensor([[[[1.0, 2, 3], [4, 5, 6]]]])
    points = torch.tensor([[[1 / 6, 1 / 4], [5 / 6, 3 / 4], [0.5, 0.5], [1 / 3, 1 / 4], [0.0, 0.0]]])
    # Two centres, the middle of the image, the middle of two pixels, the outer corner of the first: a quarter of it.
    torch.testing.assert_close(sample(image, points), torch.tensor([[[1.0, 6.0, 3.5, 1.5, 0.25]]]))


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 3)])
def test_masks_read_as_images_do(size):
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(4, *size, generator=generator) > 0.5
    rows = torch.tensor([3, 0, 0, 2, 1])
    points = torch.rand(5, 50, 2, generator=generator) * 1.4 - 0.2  # some outside
    wanted = sample(masks[rows, None].float(), points)[:, 0]
    torch.testing.assert_close(sample_masks(masks, rows, points), wanted)


def test_gradients_of_sampling():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    points = torch.rand(2, 6, 2, generator=generator, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(sample, (images, points))


def test_uncertain_points_are_those_nearest_to_zero():
    """Against the definition: draw the same numbers, sort all candidates by their distance from zero."""
    sampler = PointSampler(points=40, oversample=3.0, importance=0.75)
    logits = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(1)) * 5
    points = sampler.for_loss(logits, sampler.draw(3, logits, torch.Generator().manual_seed(2)))
    assert points.shape == (3, 40, 2)
    drawn = torch.rand(3, 130, 2, generator=torch.Generator().manual_seed(2))
    for row in range(3):
        values = [(abs(sample(logits[row, None, None], p[None, None]).item()), *p.tolist()) for p in drawn[row, :120]]
        assert {tuple(p) for p in points[row, :30].tolist()} == {p[1:] for p in sorted(values)[:30]}
        assert torch.equal(points[row, 30:], drawn[row, 120:])


def test_uncertain_points_crowd_at_the_border_of_a_mask():
    x = torch.linspace(-10, 10, 64)
    sampler = PointSampler(points=400)
    points = sampler.for_loss(x.expand(1, 64, 64), sampler.draw(1, x, torch.Generator().manual_seed(0)))
    near = (points[0, :300, 0] - 0.5).abs()
    # 300 of 1200 candidates: the nearest quarter of the width, somewhat more where zero lies beyond the frame.
    assert near.max() < 0.26
    assert near.mean() < 0.07
    assert 0.4 < points[0, 300:, 0].mean() < 0.6
    assert points[0, 300:, 0].max() > 0.9


@pytest.mark.parametrize("importance", [0.0, 1.0])
def test_only_uniform_or_only_uncertain_points(importance):
    sampler, logits = PointSampler(points=10, importance=importance), torch.randn(2, 4, 4)
    points = sampler.for_loss(logits, sampler.draw(2, logits))
    assert points.shape == (2, 10, 2)
    assert (points >= 0).all()
    assert (points < 1).all()


def test_no_masks_no_points():
    sampler, logits = PointSampler(points=8), torch.zeros(0, 4, 4)
    assert sampler.for_loss(logits, sampler.draw(0, logits)).shape == (0, 8, 2)
    assert (
        sample_masks(torch.zeros(0, 4, 4, dtype=torch.bool), torch.zeros(0).long(), torch.zeros(0, 8, 2)).numel() == 0
    )


def test_the_points_for_matching_are_uniform():
    points = PointSampler(points=2000).for_matching(
        torch.zeros(1, dtype=torch.float64), torch.Generator().manual_seed(0)
    )
    assert (points.shape, points.dtype) == ((2000, 2), torch.float64)
    counts = torch.histogramdd(points, [2, 2], range=[0.0, 1, 0, 1]).hist
    assert ((counts - 500).abs() < 70).all()
