import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovvis.models.layers import deformable_attention
from ovvis.models.layers.deformable_attention import DeformableAttention
from ovvis.models.layers.samplers import BagSampler, GatherSampler, GridSampler


def sample_bag(value, places, weights, shapes):
    return BagSampler(value, shapes)(places, weights)


def sample_grid(value, places, weights, shapes):
    return GridSampler(value, shapes)(places, weights)


def sample_gather(value, places, weights, shapes):
    return GatherSampler(value, shapes)(places, weights)


LEVELS = [
    [(3, 4)],
    [(1, 1)],
    [(2, 3), (4, 6), (8, 12)],
    [(1, 5), (3, 1)],
]


def inputs(shapes, seed=0, batch=2, heads=2, points=3, channels=4, far=1.0):
    """Values, places and weights; places within the level and `far` level sizes around it."""
    g = torch.Generator().manual_seed(seed)
    cells = sum(h * w for h, w in shapes)
    samples = heads * len(shapes) * points
    value = torch.randn(batch, cells, heads, channels, generator=g)
    size = torch.tensor([(w, h) for h, w in shapes]).float().T  # 2, levels
    size = size[:, None, :, None].expand(-1, heads, -1, points).flatten(1)  # 2, samples
    places = (torch.rand(batch, 5, 2, samples, generator=g) * (1 + 2 * far) - far) * size - 0.5
    weights = torch.rand(batch, 5, samples, generator=g)
    return value, places, weights


def slow(value, places, weights, shapes):
    """Deformable DETR, equation 3, as it stands: a loop over everything."""
    batch, _, heads, channels = value.shape
    points = weights.shape[-1] // (heads * len(shapes))
    out = torch.zeros(batch, places.shape[1], heads, channels, dtype=torch.float64)
    for b in range(batch):
        for m in range(places.shape[1]):
            for head in range(heads):
                start = 0
                for level, (h, w) in enumerate(shapes):
                    for point in range(points):
                        i = (head * len(shapes) + level) * points + point
                        x, y = places[b, m, :, i].tolist()
                        for row in (math.floor(y), math.floor(y) + 1):
                            for column in (math.floor(x), math.floor(x) + 1):
                                if 0 <= row < h and 0 <= column < w:
                                    share = (1 - abs(y - row)) * (1 - abs(x - column)) * weights[b, m, i].item()
                                    out[b, m, head] += share * value[b, start + row * w + column, head].double()
                    start += h * w
    return out.flatten(2)


@pytest.mark.parametrize("shapes", LEVELS)
@pytest.mark.parametrize("far", [0.0, 0.3, 50.0])
@pytest.mark.parametrize("sample", [sample_bag, sample_grid, sample_gather])
def test_equals_the_formula(shapes, far, sample):
    args = inputs(shapes, far=far)
    assert torch.allclose(sample(*args, shapes).double(), slow(*args, shapes), atol=2e-5)


@given(st.integers(0, 2**31), st.sampled_from(LEVELS), st.floats(0, 1e6), st.integers(1, 3))
def test_both_ways_agree(seed, shapes, far, batch):
    args = inputs(shapes, seed, batch, far=far)
    assert torch.allclose(sample_bag(*args, shapes), sample_grid(*args, shapes), atol=1e-4)


def test_whole_places_read_whole_cells():
    value = torch.arange(6.0).view(1, 6, 1, 1)
    places = torch.tensor([[0.0, 2, 1, -1, 3, 0], [0, 1, 0.5, 0, 0, 2]])[None, None]
    for i, wanted in enumerate([0, 5, 2.5, 0, 0, 0]):
        one = places[..., i : i + 1]
        for sample in (sample_bag, sample_grid, sample_gather):
            assert sample(value, one, torch.ones(1, 1, 1), [(2, 3)]).item() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("shapes", LEVELS)
@pytest.mark.parametrize("far", [0.0, 0.3])
def test_gradients_agree(shapes, far):
    parts = inputs(shapes, seed=3, far=far)
    weight_of_sum = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(4))
    gradients = []
    for sample in (sample_bag, sample_grid):
        fresh = [part.clone().requires_grad_() for part in parts]
        gradients.append(torch.autograd.grad((sample(*fresh, shapes) * weight_of_sum).sum(), fresh))
    for name, ours, theirs in zip(("value", "places", "weights"), *gradients, strict=True):
        assert theirs.abs().max() > 0
        assert torch.allclose(ours, theirs, atol=2e-4 * theirs.abs().max()), name


@pytest.mark.slow  # the compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_gradients_are_the_same(dtype):
    shapes, (value, places, weights) = LEVELS[2], inputs(LEVELS[2])
    weight_of_sum = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(4))
    gradients = []
    for compiled in (False, True):
        fresh = [part.clone().requires_grad_() for part in (value.to(dtype), places, weights)]
        out = BagSampler(fresh[0], shapes, compiled)(*fresh[1:])
        gradients.append(torch.autograd.grad((out.float() * weight_of_sum).sum(), fresh))
    for plain, ours in zip(*gradients, strict=True):
        assert torch.allclose(ours, plain, atol=(1e-5 if dtype == torch.float32 else 0.01) * plain.abs().max())


def test_gradient_far_outside_is_zero():
    value, places, weights = inputs([(3, 4)])
    places = (places + 1000).requires_grad_()
    (gradient,) = torch.autograd.grad(sample_bag(value, places, weights, [(3, 4)]).sum(), places)
    assert not gradient.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_values(dtype):
    shapes = LEVELS[2]
    value, places, weights = inputs(shapes)
    wanted = sample_bag(value, places, weights, shapes)
    for sample in (sample_bag, sample_grid):
        got = sample(value.to(dtype), places, weights.to(dtype), shapes)
        assert got.dtype == dtype
        assert torch.allclose(got.float(), wanted, atol=0.06)


def test_the_layer():
    torch.manual_seed(0)
    shapes = [(2, 3), (4, 6)]
    layer = DeformableAttention(width=8, heads=2, levels=2, points=3)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, 0, 0.4)
    tokens, query = torch.randn(2, 30, 8), torch.randn(2, 30, 8)
    reference = torch.rand(30, 2)
    # Deformable DETR's order of the offsets: head, level, point, (x, y).
    offsets = layer.offsets(query).view(2, 30, 2, 2, 3, 2)
    size = torch.tensor([(w, h) for h, w in shapes]).float()[None, :, None]
    places = reference[None, :, None, None, None] * size + offsets - 0.5
    weights = layer.weights(query).view(2, 30, 2, 6).softmax(-1).flatten(2)
    value = layer.value(tokens).view(2, 30, 2, 4)
    sampled = slow(value, places.flatten(2, 4).transpose(2, 3), weights, shapes)
    wanted = layer.out(sampled.float())
    with torch.no_grad():
        assert torch.allclose(layer(query, reference, layer.sampler(tokens, shapes)), wanted, atol=1e-4)


@pytest.mark.parametrize("at_once", [1, 200, 2**18])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_few_tokens_at_a_time_give_the_same_to_the_bit(monkeypatch, at_once, dtype):
    shapes = [(2, 3), (4, 6)]
    layer = DeformableAttention(width=8, heads=2, levels=2, points=3).to(dtype)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, 0, 0.4)
    tokens, query, reference = torch.randn(2, 30, 8).to(dtype), torch.randn(2, 30, 8).to(dtype), torch.rand(30, 2)
    whole = layer(query, reference, layer.sampler(tokens, shapes))  # with a gradient: all at once
    monkeypatch.setattr(deformable_attention, "_AT_ONCE", at_once)
    with torch.no_grad():
        assert torch.equal(layer(query, reference, layer.sampler(tokens, shapes)), whole)


def test_the_layer_starts_as_deformable_detr():
    layer = DeformableAttention(width=16, heads=8, levels=2, points=3)
    bias = layer.offsets.bias.view(8, 2, 3, 2)
    assert torch.allclose(bias[0, 0], torch.tensor([[1.0, 0], [2, 0], [3, 0]]), atol=1e-6)
    assert torch.allclose(bias[1, 1], torch.tensor([[1.0, 1], [2, 2], [3, 3]]), atol=1e-6)
    assert torch.allclose(bias[2, 0, 0], torch.tensor([0.0, 1]), atol=1e-6)
    assert not layer.offsets.weight.any()


@pytest.mark.parametrize("sample", [sample_bag, sample_grid, sample_gather])
@pytest.mark.parametrize("shapes", [LEVELS[0], LEVELS[3]])
def test_gradients_against_differences(sample, shapes):
    parts = [part.double().requires_grad_() for part in inputs(shapes, seed=5, points=2, channels=2, far=0.2)]
    assert torch.autograd.gradcheck(lambda *given: sample(*given, shapes), parts)


def test_gradients_in_bfloat16_are_those_of_float32_rounded():
    shapes, (value, places, weights) = LEVELS[2], inputs(LEVELS[2])
    weight_of_sum = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(4))
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        leaf = value.to(dtype).requires_grad_()
        share = weights.clone().requires_grad_()
        total = (sample_bag(leaf, places, share, shapes).float() * weight_of_sum).sum()
        gradients.append(torch.autograd.grad(total, (leaf, share)))
    for wanted, got in zip(*gradients, strict=True):
        assert torch.allclose(got.float(), wanted, atol=0.02 * wanted.abs().max())


def test_gradients_are_the_same_to_the_bit_each_time():
    parts = inputs([(40, 40), (20, 20)], batch=1, heads=2, points=60, far=0.0)
    runs = []
    for _ in range(2):
        fresh = [part.clone().requires_grad_() for part in parts]
        runs.append(torch.autograd.grad(sample_bag(*fresh, [(40, 40), (20, 20)]).square().sum(), fresh))
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [BagSampler, GridSampler])
def test_numbers_that_are_none_stay_none_and_crash_nothing(kind, bad):
    """An overflow is told by whoever looks at the outcome; it must come so far."""
    shapes = [(2, 3), (4, 6)]
    layer = DeformableAttention(8, 2, 2, 2)
    tokens = torch.randn(1, 30, 8)
    tokens[0, 3, 1] = bad
    torch.nn.init.normal_(layer.offsets.weight)
    out = layer(tokens, torch.rand(30, 2), kind(layer.value(tokens).unflatten(-1, (2, -1)), shapes))
    assert not out[0, 3].isfinite().any()
