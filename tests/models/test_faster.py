"""Compiled and replayed forwards: taken where they give the same, left out with a line where they do not."""

import os
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from ovvis.models.faster import SHAPES, Faster
from ovvis.models.layers.deformable_attention import DeformableAttention
from ovvis.structures import Prediction


def network(pixels, views=None):
    """A forward of few numbers."""
    sums = pixels.sum((1, 2)) if views is None else pixels.sum((1, 2)) + views.float().mean()
    return Prediction(
        mask_logits=sums[:, None], object_logits=None, mask_ious=None, embeddings=sums[:, :1] ** 2, features=pixels + 1
    )


def recorded(run, inputs):
    """Stand in for a CUDA graph: what it gives lies where it lay, and it reads its inputs where they were."""
    outputs = run(*inputs)

    def replay():
        for into, new in zip(outputs, run(*inputs), strict=True):
            into.copy_(new)
        return outputs

    return replay


def windows(count, width=4):
    return [torch.randn(1, 1, 3, 2, width, generator=torch.Generator().manual_seed(i)) for i in range(count)]


def same(found, wanted):
    for part in fields(Prediction):
        one, other = getattr(found, part.name), getattr(wanted, part.name)
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other), part.name


def test_replays_give_what_the_network_gives_and_keep_it():
    fast = Faster(network, compiled=False, recorded=True, capture=recorded)
    found = [fast(x, None) for x in windows(5)]  # read only now, as one that reads late does
    assert fast.notes == []
    for x, one in zip(windows(5), found, strict=True):
        same(one, network(x))


def test_the_network_itself_runs_for_the_trial_alone():
    seen = []

    def counted(pixels, views):
        seen.append(pixels)
        return network(pixels)

    def without_python(run, inputs):
        names = ("mask_logits", "embeddings", "features")
        return recorded(lambda *x: tuple(getattr(network(*x), name) for name in names), inputs)

    fast = Faster(counted, compiled=False, recorded=True, capture=without_python)
    for x in windows(6):
        fast(x, None)
    assert len(seen) == 2


def test_each_shape_is_recorded_by_itself_and_too_many_go_plain():
    made = []

    def capture(run, inputs):
        made.append(inputs[0].shape)
        return recorded(run, inputs)

    fast = Faster(network, compiled=False, recorded=True, capture=capture)
    for width in [*range(3, 3 + SHAPES + 2)] * 2:
        for x in windows(2, width):
            same(fast(x, None), network(x))
    assert [shape[-1] for shape in made] == [3, 4, 5, 6]


def test_views_are_inputs_too():
    fast = Faster(network, compiled=False, recorded=True, capture=recorded)
    for i, x in enumerate(windows(3)):
        views = torch.arange(12, dtype=torch.uint8).view(1, 1, 3, 2, 2) * i
        same(fast(x, views), network(x, views))


def stale(run, inputs):
    outputs = run(*inputs)
    return lambda: outputs


def noise(run, inputs):
    return lambda: tuple(torch.randn_like(x) for x in run(*inputs))


def not_a_number(run, inputs):
    return lambda: tuple(x / 0 * 0 for x in run(*inputs))


def fails(run, inputs):
    raise RuntimeError("operation not permitted when stream is capturing\nand more")


@pytest.mark.parametrize(
    ("capture", "line"),
    [
        (stale, "it differs from the plain way (by "),
        (noise, "it differs from the plain way (by "),
        (not_a_number, "it differs from the plain way (by nan of its size)"),
        (fails, "RuntimeError: operation not permitted when stream is capturing and more"),
    ],
)
def test_a_wrong_way_is_left_out_with_one_line(capture, line, caplog):
    fast = Faster(network, compiled=False, recorded=True, capture=capture)
    for x in windows(4):
        same(fast(x, None), network(x))
    assert len(fast.notes) == 1 and fast.notes[0].startswith("accelerate graph: left out for windows of 1x1x3x2x4: ")
    assert line in fast.notes[0] and caplog.messages == fast.notes


def test_what_is_compiled_is_recorded():
    order = []

    def compiler(function):
        def compiled(*inputs):
            order.append("compiled")
            return function(*inputs)

        return compiled

    def capture(run, inputs):
        order.clear()
        return recorded(run, inputs)

    fast = Faster(network, compiled=True, recorded=True, compiler=compiler, capture=capture)
    for x in windows(3):
        same(fast(x, None), network(x))
    assert order and fast.notes == []


def test_a_compiler_that_fails_leaves_the_plain_way(monkeypatch):
    def missing(function):
        raise FileNotFoundError("g++")

    fast = Faster(network, compiled=True, recorded=False, compiler=missing)
    for x in windows(2):
        same(fast(x, None), network(x))
    assert fast.notes == ["accelerate compile: left out for windows of 1x1x3x2x4: FileNotFoundError: g++"]


@pytest.mark.slow  # the compiler
def test_what_is_compiled_gives_the_same_and_is_kept_in_the_cache_folder(monkeypatch):
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    layer = DeformableAttention(8, 2, 1, 2).requires_grad_(False)
    reference = torch.rand(8, 2, generator=torch.Generator().manual_seed(0))

    def see(pixels, views):
        tokens = pixels.reshape(1, 8, 8)
        seen = layer(tokens, reference, layer.sampler(tokens, [(2, 4)]), tokens)
        return Prediction(mask_logits=seen, object_logits=None, mask_ious=None, embeddings=seen[:, :1], features=None)

    fast = Faster(see, compiled=True, recorded=False)
    with torch.no_grad():
        for seed in range(3):
            pixels = torch.randn(1, 1, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
            found, wanted = fast(pixels, None), see(pixels, None)
            assert torch.allclose(found.mask_logits, wanted.mask_logits, atol=1e-5)
    assert fast.notes == []
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"].startswith(os.environ["OVVIS_CACHE"])
    assert list(Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).rglob("*.so"))
