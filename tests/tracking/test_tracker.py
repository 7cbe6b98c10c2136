import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from ovvis.tracking.association import SharedMatches
from ovvis.tracking.tracker import Tracker


def sequence(seed, frames, queries=5, width=4):
    return list(torch.randn(frames, queries, width, generator=torch.Generator().manual_seed(seed)))


def take(tracker, window, objects=None):
    return tracker.update(window, torch.ones(len(window)) if objects is None else torch.tensor(objects))


def hungarian(old, new):
    cost = 1 - F.normalize(old, dim=-1) @ F.normalize(new, dim=-1).T
    return torch.from_numpy(linear_sum_assignment(cost.numpy())[1])


@given(st.integers(0, 2**31))
def test_memory_of_one_is_adjacent_matching(seed):
    tracker, last = Tracker(memory=1, matched=1), None
    for new in sequence(seed, 6):
        order = take(tracker, new)
        if last is None:
            assert order.tolist() == list(range(5))
        else:
            assert order.tolist() == hungarian(last, new).tolist()
        last = new[order]


@given(st.integers(0, 2**31), st.sampled_from([0.1, 0.7, 1.0]))
def test_momentum_is_long_term_matching(seed, momentum):
    tracker, running = Tracker(momentum=momentum), None
    for new in sequence(seed, 6):
        order = take(tracker, new)
        if running is None:
            running = new
        else:
            assert order.tolist() == hungarian(running, new).tolist()
            running = momentum * new[order] + (1 - momentum) * running


@pytest.mark.parametrize("settings", [{"momentum": 0.1}, {"momentum": 0.1, "birth": 0.3}])
def test_what_is_carried_on_is_not_rounded(settings):
    """Of a network in half precision a running mean is that of its numbers, as if they came in float32."""
    half, whole = Tracker(**settings), Tracker(**settings)
    for window in sequence(0, 30):
        window = window.bfloat16()
        assert take(half, window).tolist() == take(whole, window.float()).tolist()
        assert torch.equal(half._slots[-1].embeddings, whole._slots[-1].embeddings)


def test_the_momentum_is_the_share_of_the_new():
    tracker = Tracker(momentum=0.7)
    take(tracker, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    take(tracker, torch.tensor([[0.6, 0.8], [0.0, 1.0]]))  # tube 0 becomes (0.72, 0.56), tube 1 stays
    # Nearer to (0.72, 0.56) than to (0, 1) is only the second query.
    assert take(tracker, torch.tensor([[0.3, 0.95], [0.72, 0.56]])).tolist() == [1, 0]


@given(st.integers(0, 2**31), st.integers(1, 9), st.data())
def test_identity_survives_permutations(seed, memory, data):
    matched = data.draw(st.integers(1, memory))
    rng = np.random.default_rng(seed)
    truth = torch.eye(6)
    tracker = Tracker(memory=memory, matched=matched)
    first = torch.from_numpy(rng.permutation(6))
    take(tracker, truth[first])
    for _ in range(6):
        shuffle = torch.from_numpy(rng.permutation(6))
        seen = truth + 0.05 * torch.from_numpy(rng.standard_normal((6, 6))).float()
        order = take(tracker, seen[shuffle])
        assert shuffle[order].tolist() == first.tolist()


# Instances 0 and 1 look like 0 and 1 of FIRST, for one frame like those of OTHER, and then like both. In that one
# frame the trace of the first look says the wrong thing.
FIRST, OTHER = torch.eye(6)[:3], torch.eye(6)[3:]
NOISY = OTHER + 0.3 * FIRST[[1, 0, 2]]
BOTH = FIRST + OTHER


@pytest.mark.parametrize(("memory", "matched", "kept"), [(1, 1, False), (9, 5, True)])
def test_identity_through_one_noisy_frame(memory, matched, kept):
    tracker = Tracker(memory=memory, matched=matched)
    for _ in range(6):
        take(tracker, FIRST)
    assert take(tracker, NOISY).tolist() == [1, 0, 2]
    for _ in range(3):
        assert take(tracker, BOTH).tolist() == ([0, 1, 2] if kept else [1, 0, 2])


@pytest.mark.parametrize(("memory", "expected"), [(3, [1, 0, 2]), (2, [0, 1, 2])])
def test_the_memory_holds_the_last_windows_only(memory, expected):
    tracker = Tracker(memory=memory, matched=1)
    for window in (FIRST, OTHER, OTHER):
        assert take(tracker, window).tolist() == [0, 1, 2]
    # The first window's look says one thing, loudly; the later ones' the other.
    assert take(tracker, FIRST[[1, 0, 2]] + 0.2 * OTHER).tolist() == expected


def test_the_recency_weights_reach_the_vote():
    def last(weighted):
        tracker = Tracker(memory=2, matched=2, recency_weighted=weighted)
        take(tracker, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        take(tracker, torch.tensor([[0.6, 0.8], [0.8, 0.6]]))  # taken as [1, 0]
        return tracker, [torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.8, 0.6], [0.6, 0.8]])]

    for weighted in (True, False):
        tracker, slots = last(weighted)
        new = torch.tensor([[0.1, 1.0], [1.0, 0.1]])
        costs = [1 - F.normalize(slot, dim=-1) @ F.normalize(new, dim=-1).T for slot in slots]
        mean = sum(cost * (i + 1 if weighted else 1) for i, cost in enumerate(costs))
        assert take(tracker, new).tolist() == linear_sum_assignment(mean.numpy())[1].tolist()


def test_reset_begins_another_video():
    tracker = Tracker(memory=3, matched=2)
    take(tracker, FIRST)
    turned = FIRST[[2, 0, 1]]
    assert take(tracker, turned).tolist() == [1, 2, 0]
    tracker.reset()
    assert take(tracker, turned).tolist() == [0, 1, 2]


def test_the_order_is_on_the_cpu_in_int64():
    tracker = Tracker()
    for _ in range(2):
        order = take(tracker, FIRST.bfloat16())
        assert (order.dtype, order.device.type) == (torch.int64, "cpu")


@pytest.mark.parametrize(
    ("numbers", "named"),
    [
        ({"memory": 0}, "memory 0"),
        ({"memory": -1, "matched": 1}, "memory -1"),
        ({"matched": 0}, "matched 0"),
        ({"memory": 2, "matched": 3}, "matched 3"),
        ({"momentum": 0.0}, "momentum 0.0"),
        ({"momentum": 1.5}, "momentum 1.5"),
        ({"momentum": -0.1}, "momentum -0.1"),
        ({"momentum": float("nan")}, "momentum nan"),
    ],
)
def test_bad_numbers(numbers, named):
    with pytest.raises(ValueError, match=named):
        Tracker(**numbers)


def test_trackers_that_share_their_matches_go_their_own_ways():
    generator = torch.Generator().manual_seed(3)
    windows = [torch.randn(8, 6, generator=generator) for _ in range(12)]
    choices = [(1, 1), (3, 1), (5, 3), (9, 5)]
    shared, orders = SharedMatches(), []
    for memory, matched in choices:
        alone, sharing = Tracker(memory, matched), Tracker(memory, matched, match=shared)
        found = [(take(alone, w).tolist(), take(sharing, w).tolist()) for w in windows]
        assert all(one == other for one, other in found)
        orders.append(str(found))
    assert len(set(orders)) == len(choices)


EYE = torch.eye(4)


def test_a_hidden_object_comes_back_to_its_tube():
    """Objects 0 and 1 and two queries that are none; object 1 is hidden while something else appears."""
    tracker = Tracker(birth=0.3)
    assert take(tracker, EYE, [0.9, 0.9, 0.1, 0.0]).tolist() == [0, 1, 2, 3]
    other = torch.tensor([0.0, 0.3, 0.0, 1.0])  # nearer to object 1 than to what tubes 2 and 3 were
    hidden = torch.stack([EYE[0], other, EYE[2], -EYE[1]])
    for _ in range(12):  # longer than the memory
        order = take(tracker, hidden, [0.9, 0.9, 0.1, 0.1]).tolist()
        assert order[0] == 0 and order[1] in (2, 3) and 1 in order[2:]
    back = torch.stack([other, EYE[0], EYE[1], EYE[2]])
    found = take(tracker, back, [0.9, 0.9, 0.9, 0.1]).tolist()
    assert found[:2] == [1, 2] and found[order.index(1)] == 0  # each its own, the new one that of its birth


def test_without_births_the_hidden_object_is_lost():
    tracker = Tracker()
    take(tracker, EYE, [0.9, 0.9, 0.1, 0.0])
    hidden = torch.stack([EYE[0], torch.tensor([0.0, 1.0, 0.0, 0.4]), EYE[2], -EYE[1]])
    assert take(tracker, hidden, [0.9, 0.9, 0.1, 0.1]).tolist()[1] == 1


@given(st.integers(0, 2**31), st.sampled_from([None, 0.7]))
def test_births_change_nothing_where_all_are_objects(seed, momentum):
    births, released = Tracker(birth=0.3, momentum=momentum), Tracker(momentum=momentum)
    for new in sequence(seed, 12):
        assert take(births, new).tolist() == take(released, new).tolist()


def test_a_hidden_tube_keeps_its_running_embedding():
    tracker = Tracker(momentum=0.5, birth=0.3)
    take(tracker, EYE[:2], [1.0, 1.0])
    for _ in range(20):
        assert take(tracker, torch.stack([EYE[0], EYE[3]]), [1.0, 0.0]).tolist() == [0, 1]
    assert take(tracker, torch.stack([EYE[1], EYE[0]]), [1.0, 1.0]).tolist() == [1, 0]


@pytest.mark.parametrize("birth", [0.0, -0.1, 2.1])
def test_births_out_of_range(birth):
    with pytest.raises(ValueError, match="birth"):
        Tracker(birth=birth)


def test_names_are_a_share_of_the_distance():
    """By definition: the weighted mean of two cosines, in the first window after another."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        old, new = torch.randn(2, 6, 5, generator=generator)
        named = F.normalize(torch.rand(2, 6, 4, generator=generator), dim=-1)
        tracker = Tracker(1, 1, names=0.4)
        tracker.update(old, torch.ones(6), named[0])
        found = tracker.update(new, torch.ones(6), named[1])
        similar = 0.6 * F.normalize(old, dim=-1) @ F.normalize(new, dim=-1).T + 0.4 * named[0] @ named[1].T
        assert found.tolist() == linear_sum_assignment(-similar.numpy())[1].tolist()


def test_objects_that_look_alike_are_known_by_their_names():
    near = torch.tensor([[1.0, 0.1, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    for share, expected in ((0.0, [1, 0]), (0.3, [0, 1])):
        tracker = Tracker(names=share)
        tracker.update(near, torch.ones(2), torch.eye(2))
        assert tracker.update(near.flip(0), torch.ones(2), torch.eye(2)).tolist() == expected


def test_a_name_that_is_wrong_for_a_moment_does_not_stay():
    """A tube's names are a running mean: one window's do not undo those of ten."""
    tracker = Tracker(memory=1, matched=1, names=0.5)
    same = torch.ones(2, 3)  # embeddings that tell nothing
    for _ in range(10):
        assert tracker.update(same, torch.ones(2), torch.eye(2)).tolist() == [0, 1]
    tracker.update(same, torch.ones(2), torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    assert tracker.update(same, torch.ones(2), torch.eye(2).flip(0)).tolist() == [1, 0]


def test_a_tube_that_begins_takes_the_names_of_its_object():
    tracker = Tracker(memory=1, matched=1, birth=0.3, names=0.3)
    tracker.update(EYE[:2], torch.tensor([1.0, 0.0]), torch.tensor([[1.0, 0.0], [0.8, 0.6]]))
    tracker.update(EYE[:2], torch.ones(2), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    torch.testing.assert_close(tracker._slots[-1].embeddings[:, 4:], 0.3**0.5 * torch.eye(2))


def test_names_must_be_given_and_be_a_share():
    with pytest.raises(ValueError, match="to be given them"):
        Tracker(names=0.3).update(EYE, torch.ones(4))
    for share in (-0.1, 1.0):
        with pytest.raises(ValueError, match="names"):
            Tracker(names=share)
