import pytest
import torch
import torch.nn.functional as F

from ovvis.models.query_decoder import QueryDecoder

SIZES = [(2, 3), (4, 6), (8, 12)]
FINE = (16, 24)


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    return QueryDecoder(queries=5, width=16, layers=4, heads=2, hidden=24, levels=3).eval()


def features(batch=1, frames=1, width=16, seed=1):
    g = torch.Generator().manual_seed(seed)
    levels = [torch.randn(batch, frames, width, *size, generator=g) for size in SIZES]
    return levels, torch.randn(batch, frames, width, *FINE, generator=g)


def record_masks(decoder):
    """Return a list that fills with the attention mask of each layer."""
    seen = []
    for layer in decoder.layers:
        layer.cross.register_forward_hook(lambda module, args, out: seen.append(args[3]))
    return seen


@torch.no_grad()
def test_attention_mask_is_the_resized_mask(decoder):
    """Mask2Former resizes each layer's full-size mask logits and asks for sigmoid < 0.5."""
    levels, fine = features(batch=2, frames=2)
    seen = record_masks(decoder)
    states, _ = decoder(levels, fine)
    assert len(states) == 5
    assert len(seen) == 4
    for i, allowed in enumerate(seen):
        masks = decoder.masks(states[i], fine)  # B, Q, T, H, W
        small = F.interpolate(masks.flatten(0, 1), SIZES[i % 3], mode="bilinear", align_corners=False)
        hidden = small.unflatten(0, (2, 5)).flatten(2).sigmoid() < 0.5
        hidden[hidden.all(-1)] = False
        differ = (allowed == hidden) & (small.unflatten(0, (2, 5)).flatten(2).abs() > 1e-4)
        assert not differ.any()
        assert (~allowed).any()


@torch.no_grad()
def test_a_query_without_a_mask_looks_everywhere(decoder):
    levels, fine = features()
    seen = record_masks(decoder)
    for parameter in decoder.mask_head.parameters():
        parameter.zero_()
    decoder.mask_head.layers[-1].bias.fill_(1.0)
    decoder(levels, -fine.abs())  # every logit is negative
    assert all(allowed.all() for allowed in seen)


@torch.no_grad()
def test_masks_are_a_dot_product(decoder):
    _, fine = features(batch=2, frames=3)
    state = torch.randn(2, 5, 16)
    masks = decoder.masks(state, fine)
    assert masks.shape == (2, 5, 3, *FINE)
    embedding = decoder.mask_head(state)
    assert torch.allclose(masks[1, 4, 2, 7, 9], embedding[1, 4] @ fine[1, 2, :, 7, 9], atol=1e-5)


@torch.no_grad()
def test_windows_of_a_batch_do_not_meet(decoder):
    levels, fine = features(batch=3, frames=2)
    together = decoder(levels, fine)[0][-1]
    for b in range(3):
        alone = decoder([level[b : b + 1] for level in levels], fine[b : b + 1])[-1]
        assert torch.allclose(together[b : b + 1], alone, atol=1e-4)


@torch.no_grad()
def test_frames_of_a_window_do_meet(decoder):
    levels, fine = features(frames=2)
    states = decoder(levels, fine)[0][-1]
    assert states.shape == (1, 5, 16)
    levels[2][:, 1] += 1
    assert not torch.allclose(decoder(levels, fine)[0][-1], states, atol=1e-3)


@torch.no_grad()
def test_a_window_of_the_same_frame_twice_is_that_frame(decoder):
    levels, fine = features()
    once = decoder(levels, fine)[0][-1]
    twice = decoder([level.repeat(1, 2, 1, 1, 1) for level in levels], fine.repeat(1, 2, 1, 1, 1))[-1]
    assert torch.allclose(once, twice, atol=1e-4)


def test_every_parameter_learns(decoder):
    levels, fine = features()
    state = decoder(levels, fine)[0][-1]
    (decoder.masks(state, fine) ** 2).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in decoder.parameters())


def test_levels_must_fit(decoder):
    levels, fine = features()
    with pytest.raises(ValueError, match="zip"):
        decoder(levels[:2], fine)
