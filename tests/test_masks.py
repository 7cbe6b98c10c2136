import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from ovvis.masks import area, box, decode, encode, encode_crop, from_runs, overlap, run_lengths, unsound


def theirs(mask):
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))


def one(shape, *places):
    mask = np.zeros(shape, dtype=bool)
    for place in places:
        mask[place] = True
    return mask


def blobs(height, width, seed, count=6):
    """Discs that cross the border."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), dtype=bool)
    for _ in range(count):
        r = rng.integers(1, height // 3 + 2)
        mask |= (y - rng.integers(height)) ** 2 + (x - rng.integers(width)) ** 2 <= r * r
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((1, 1), bool),
        np.ones((1, 1), bool),
        np.zeros((3, 4), bool),
        np.ones((3, 4), bool),
        one((3, 4), (0, 0)),
        one((3, 4), (2, 3)),
        one((3, 4), (0, 0), (2, 3)),
        one((1, 9), (0, 8)),
        one((9, 1), (8, 0)),
        one((9, 1), (0, 0), (4, 0)),
        np.indices((7, 9)).sum(0) % 2 == 0,
        np.ones((720, 1280), bool),
        one((720, 1280), (719, 1279)),
        one((4000, 6000), (0, 0), (3999, 5999)),
        *(blobs(720, 1280, seed) for seed in range(3)),
        np.random.default_rng(0).random((97, 131)) < 0.5,
        np.random.default_rng(1).random((480, 853)) < 0.001,
    ],
)
def test_code_is_cocos_byte_for_byte(mask):
    assert encode(mask) == theirs(mask)
    assert np.array_equal(decode(encode(mask)), mask)
    assert decode(encode(mask)).dtype == np.bool_


@given(hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.booleans()))
def test_any_small_mask(mask):
    assert encode(mask) == theirs(mask)
    assert np.array_equal(decode(encode(mask)), mask)
    assert area(encode(mask)) == mask.sum()


@given(st.data())
def test_crop_equals_the_whole_mask(data):
    height, width = data.draw(st.integers(1, 15)), data.draw(st.integers(1, 15))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    h, w = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    crop = data.draw(hnp.arrays(bool, (h, w), elements=st.booleans()))
    whole = np.zeros((height, width), bool)
    whole[top : top + h, left : left + w] = crop
    assert encode_crop(crop, (top, left), (height, width)) == theirs(whole)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (np.zeros((4, 5), bool), (0, 0, 0, 0)),
        (one((4, 5), (1, 2)), (2, 1, 1, 1)),
        (one((4, 5), (0, 0), (3, 4)), (0, 0, 5, 4)),
        (one((4, 5), (1, 1), (1, 3), (2, 2)), (1, 1, 3, 2)),
    ],
)
def test_box(mask, expected):
    assert box(encode(mask)) == expected


def test_overlap():
    left, both, empty = one((2, 2), (0, 0)), one((2, 2), (0, 0), (1, 1)), np.zeros((2, 2), bool)
    table = overlap([encode(left), encode(empty)], [encode(both), encode(left), encode(empty)])
    assert table[0].tolist() == [0.5, 1, 0]
    assert table[1, :2].tolist() == [0, 0]
    assert overlap([], [encode(left)]).shape == (0, 1)
    assert overlap([encode(left)], []).shape == (1, 0)


RUNS = st.lists(st.integers(0, 2**29 - 1), min_size=1, max_size=40) | st.lists(
    st.integers(0, 3), min_size=1, max_size=9
)


@settings(max_examples=300, deadline=None)
@given(st.lists(RUNS, min_size=1, max_size=6))
def test_run_lengths_are_those_that_pycocotools_encodes(given_runs):
    codes = [coco.frPyObjects({"size": [1, sum(runs)], "counts": runs}, 1, sum(runs))["counts"] for runs in given_runs]
    found, starts = run_lengths(codes)
    for i, (runs, code) in enumerate(zip(given_runs, codes, strict=True)):
        assert found[starts[i] : starts[i + 1]].tolist() == runs
        if sum(runs):
            assert from_runs(runs, (1, sum(runs)))["counts"] == code
        assert unsound([code], sum(runs)) is None
        assert unsound([code], sum(runs) + 1) == 0


SIGNS = st.integers(0x30, 0x6F) | st.integers(0, 255)


@settings(max_examples=500, deadline=None)
@given(st.lists(SIGNS, max_size=12).map(bytes), st.integers(1, 60))
def test_what_is_called_sound_pycocotools_decodes(code, pixels):
    if unsound([code], pixels) is None:
        runs, _ = run_lengths([code])
        mask = np.repeat(np.arange(len(runs)) % 2, runs)
        rle = {"size": [pixels, 1], "counts": code}
        assert decode(rle)[:, 0].tolist() == mask.astype(bool).tolist()
        assert area(rle) == mask.sum()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6))
def test_a_changed_code_is_called_sound_only_if_its_runs_are(seed):
    rng = np.random.default_rng(seed)
    code = bytearray(encode(rng.random((20, 30)) < 0.3)["counts"])
    for _ in range(int(rng.integers(1, 4))):
        code[rng.integers(len(code))] = rng.integers(0x30, 0x70)
    if unsound([bytes(code)], 600) is None:
        runs, _ = run_lengths([bytes(code)])
        assert runs.min() >= 0 and runs.sum() == 600
        decoded = decode({"size": [20, 30], "counts": bytes(code)}).T.reshape(-1)
        assert decoded.tolist() == (np.repeat(np.arange(len(runs)), runs) % 2 == 1).tolist()
