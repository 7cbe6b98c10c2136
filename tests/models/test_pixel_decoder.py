import pytest
import torch

from ovvis.models.pixel_decoder import PixelDecoder


def decoder(layers=1):
    torch.manual_seed(0)
    return PixelDecoder((4, 8, 12, 16), width=32, layers=layers, heads=4, points=2, hidden=16).eval()


def pyramid(height, width, batch=2):
    g = torch.Generator().manual_seed(1)
    return [
        torch.randn(batch, c, height // s, width // s, generator=g)
        for c, s in zip((4, 8, 12, 16), (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 160), (96, 32), (160, 224)])
@torch.no_grad()
def test_shapes(height, width):
    fine, levels = decoder()(pyramid(height, width))
    assert fine.shape == (2, 32, height // 4, width // 4)
    assert [x.shape for x in levels] == [(2, 32, height // s, width // s) for s in (32, 16, 8)]
    assert all(x.isfinite().all() for x in (fine, *levels))


@torch.no_grad()
def test_images_of_a_batch_do_not_meet():
    part, levels = decoder(2), pyramid(64, 96)
    together = part(levels)
    for i in range(2):
        alone = part([x[i : i + 1] for x in levels])
        assert torch.allclose(together[0][i : i + 1], alone[0], atol=1e-4)
        for a, b in zip(together[1], alone[1], strict=True):
            assert torch.allclose(a[i : i + 1], b, atol=1e-4)


@torch.no_grad()
def test_levels_exchange_what_they_see():
    part, levels = decoder(2), pyramid(64, 96)
    before = part(levels)
    levels[3] = levels[3].flip(-1)
    after = part(levels)
    for a, b in zip((before[0], *before[1]), (after[0], *after[1]), strict=True):
        assert not torch.allclose(a, b, atol=1e-3)


def test_every_parameter_learns():
    part = decoder(2)
    for layer in part.layers:  # the zeros that it starts from hide a gradient
        torch.nn.init.normal_(layer.attention.offsets.weight, 0, 0.1)
        torch.nn.init.normal_(layer.attention.weights.weight, 0, 0.1)
    fine, _ = part(pyramid(64, 96))
    (fine**2).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
