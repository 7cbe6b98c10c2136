import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ovvis.inference import mask_code
from ovvis.inference.final_masks import rle_from_logits
from ovvis.inference.mask_code import Sketch, near_edge, pack, pack_bits, unpack, unpack_bits, unpack_on

KINDS = ("noise", "sparse", "blobs", "flat", "zeros")


def logits(kind, queries, h, w, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(queries, h, w, generator=g)
    if kind == "sparse":
        return x - 2.5
    if kind == "blobs":
        small = torch.randn(1, queries, h // 24 + 1, w // 24 + 1, generator=g)
        return F.interpolate(small, (h, w), mode="bicubic")[0] * 8
    if kind == "flat":
        return torch.arange(queries).view(-1, 1, 1) - 1.0 + torch.zeros(queries, h, w)
    if kind == "zeros":
        return x.round().clamp(-1, 1)
    return x


def same_masks(x, cells):
    h, w = cells
    kept = (h * 4 - 5, w * 4 - 2)
    back = unpack(pack(x), np.arange(len(x)))
    assert set(back) == set(torch.nonzero((x > 0).flatten(1).any(1)).flatten().tolist())
    for q, y in back.items():
        assert torch.equal(y > 0, x[q] > 0)
        for size in (kept, (h * 4, w * 4), (h * 9 + 1, w * 7 + 3), (h * 2 + 1, w * 3), (h, w), (3, 5)):
            assert rle_from_logits(y, (h * 4, w * 4), kept, size) == rle_from_logits(x[q], (h * 4, w * 4), kept, size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cells", [(24, 32), (8, 8), (9, 33), (2, 3)])
def test_masks_are_the_same_at_every_size(kind, cells):
    same_masks(logits(kind, 4, *cells, seed=0), cells)


@given(st.sampled_from(KINDS), st.integers(2, 20), st.integers(2, 20), st.integers(0, 2**31))
def test_masks_are_the_same(kind, h, w, seed):
    same_masks(logits(kind, 3, h, w, seed), (h, w))


def test_only_wanted_queries_come_back():
    x = logits("noise", 5, 8, 8, 0)
    x[3] = -1
    code = pack(x)
    assert code.slots.tolist() == [0, 1, 2, 4]
    back = unpack(code, np.array([4, 3, 1]))
    assert sorted(back) == [1, 4]
    for q in (1, 4):
        near = near_edge((x > 0)[q : q + 1])[0]
        assert torch.equal(back[q][near], x[q][near])
    assert unpack(code, np.array([3])) == {}
    assert unpack(code, np.array([], dtype=int)) == {}


# Once: mask_code.py `pack` reshaped no rows with -1, so a frame without any positive cell raised.
def test_nothing_positive():
    code = pack(-torch.ones(3, 4, 4))
    assert unpack(code, np.arange(3)) == {}


def test_a_code_of_blobs_is_short():
    x = logits("blobs", 20, 120, 216, 0)
    code = pack(x)
    assert len(code.signs) + code.values.nbytes < x.numel() * 4 / 3


def test_near_edge_by_hand():
    positive = torch.zeros(1, 1, 9, dtype=torch.bool)
    positive[0, 0, 4:] = True
    assert near_edge(positive)[0, 0].tolist() == [False, False, True, True, True, True, False, False, False]
    corner = torch.zeros(1, 6, 6, dtype=torch.bool)
    corner[0, 0, 0] = True
    wanted = torch.zeros(6, 6, dtype=torch.bool)
    wanted[:3, :3] = True
    assert torch.equal(near_edge(corner)[0], wanted)


def same_code(x, usual, monkeypatch):
    monkeypatch.setattr(mask_code, "_USUAL", usual)
    sketch, wanted = Sketch(x, x > 0), pack(x)
    found = sketch.code(**{name: part.clone() for name, part in sketch.parts.items()})
    assert found.shape == wanted.shape and found.signs == wanted.signs
    for one, other in ((found.slots, wanted.slots), (found.values, wanted.values), (found.starts, wanted.starts)):
        assert one.dtype == other.dtype and np.array_equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("usual", [1, 2, 1000])  # room for all values, for half of them, for next to none
def test_a_sketch_by_steps_of_fixed_sizes_is_the_same_code(kind, usual, monkeypatch):
    for size in ((5, 7), (24, 30), (1, 9)):
        same_code(logits(kind, 4, *size, seed=3), usual, monkeypatch)


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_is_unpacked_on_a_device_as_on_the_cpu(kind):
    code = pack(logits(kind, 5, 12, 17, seed=1))
    wanted = unpack(code, np.array([0, 2, 3]))
    queries, found = unpack_on(code, np.array([0, 2, 3]), torch.device("cpu"))
    assert queries == list(wanted)
    for query, one in zip(queries, found, strict=True):
        assert torch.equal(one, wanted[query])


@pytest.mark.parametrize("count", [1, 8, 9, 31])
def test_bits_there_and_back(count):
    bools = torch.rand(3, count, generator=torch.Generator().manual_seed(0)) > 0.5
    bits = pack_bits(bools)
    assert np.array_equal(bits.numpy(), np.packbits(bools.numpy(), axis=1))
    assert torch.equal(unpack_bits(bits, count), bools)
