from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovvis.errors import InputError
from ovvis.training.data.sampling import EndlessSampler, SamplingConfig, choose_frames, repeat_factors


def rng(seed=0):
    return np.random.default_rng(seed)


@given(st.integers(1, 80), st.integers(1, 8), st.integers(1, 25), st.booleans(), st.integers(0, 2**32))
def test_frames_of_a_window(total, frames, reach, shuffle, seed):
    chosen = choose_frames(total, SamplingConfig(frames, reach, shuffle), rng(seed))
    assert len(chosen) == frames
    assert all(0 <= index < total for index in chosen)
    # One of them is the reference, and the others lie around it.
    assert any(all(abs(index - reference) <= reach for index in chosen) for reference in chosen)
    if not shuffle:
        assert chosen == sorted(chosen)
    if min(total, reach + 1) >= frames:  # the range holds that many on one side alone
        assert len(set(chosen)) == frames
    if total <= frames and total <= reach + 1:
        assert set(chosen) == set(range(total))


def test_every_frame_is_a_reference_equally_often():
    counts = Counter(choose_frames(4, SamplingConfig(), rng(seed))[0] for seed in range(4000))
    assert all(850 < counts[index] < 1150 for index in range(4))


def test_the_range_is_reached_and_kept():
    pairs = [choose_frames(100, SamplingConfig(frames=2, frame_range=3), rng(seed)) for seed in range(300)]
    assert {b - a for a, b in pairs} == {1, 2, 3}


def test_shuffled_frames_come_in_every_order():
    orders = {tuple(choose_frames(3, SamplingConfig(3, 20, True), rng(seed))) for seed in range(200)}
    assert len(orders) == 6


# Four images; category 1 in all, 2 in two, 3 in one. Threshold 0.9: r(1) = 1 (0.9 < 1), r(2) = sqrt(0.9 / 0.5)
# = 1.342, r(3) = sqrt(0.9 / 0.25) = 1.897; an image takes its largest.
@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.0, [1, 1, 1, 1]), (0.25, [1, 1, 1, 1]), (0.9, [1.8974, 1.3416, 1, 1]), (0.36, [1.2, 1, 1, 1])],
)
def test_repeat_factors(threshold, expected):
    videos = [{1, 2, 3}, [1, 2, 2], {1}, {1}]  # two instances of one category count once
    assert np.allclose(repeat_factors(videos, threshold), expected, atol=1e-4)


def test_repeat_factor_of_nothing_is_one():
    assert repeat_factors([set(), {1}], 1.0).tolist() == [1, 2**0.5]


def draws(count, *args, **kwargs):
    return list(islice(EndlessSampler(*args, **kwargs), count))


def test_an_epoch_has_every_video_once():
    found = draws(30, [np.ones(10)])
    for epoch in range(3):
        assert sorted(d.video for d in found[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert [d.video for d in found[:10]] != [d.video for d in found[10:20]]
    assert [d.position for d in found] == list(range(30))
    assert draws(30, [np.ones(10)], seed=1) != found


def test_fractions_are_rounded_at_random():
    sampler = EndlessSampler([np.array([1.0, 1.25, 2.5])])
    assert sampler.epoch == 4.75
    counts = Counter(d.video for d in islice(sampler, 4750))
    assert abs(counts[0] - 1000) < 30
    assert abs(counts[1] - 1250) < 60
    assert abs(counts[2] - 2500) < 60


def test_a_mixture_keeps_to_its_weights():
    found = draws(6000, [np.ones(5), np.ones(7)], [1, 3])
    counts = Counter(d.dataset for d in found)
    assert abs(counts[1] - 4500) < 150
    of_first = [d.video for d in found if d.dataset == 0]
    assert sorted(of_first[:5]) == list(range(5))
    by_size = Counter(d.dataset for d in draws(6000, [np.ones(5), np.ones(7)]))
    assert abs(by_size[0] - 2500) < 150


MIXTURE = [np.array([1.0, 1.5, 2.2]), np.ones(4)]


@pytest.mark.parametrize("start", [0, 1, 17, 4095, 4096, 4097, 9000])
@pytest.mark.parametrize("factors", [MIXTURE, MIXTURE[:1]])
def test_it_goes_on_from_any_place(start, factors):
    whole = draws(start + 50, factors, seed=3)
    assert draws(50, factors, seed=3, start=start) == whole[start:]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_share_the_sequence(processes):
    whole = draws(60, MIXTURE, seed=5, start=6)
    dealt = [draws(60 // processes, MIXTURE, seed=5, rank=r, processes=processes, start=6) for r in range(processes)]
    together = [draw for turn in zip(*dealt, strict=True) for draw in turn]
    assert together == whole


@pytest.mark.parametrize(
    ("factors", "weights", "message"),
    [([], None, "holds no video"), ([np.ones(0)], None, "holds no video"), ([np.ones(2)], [0], "above 0")],
)
def test_mixtures_that_cannot_be(factors, weights, message):
    with pytest.raises(InputError, match=message):
        EndlessSampler(factors, weights)


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"frame_range": 0}, {"repeat_threshold": 2.0}])
def test_config_is_checked(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        SamplingConfig(**wrong)
