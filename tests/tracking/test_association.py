from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovvis.tracking.association import SharedMatches, assign, cosine_cost, match, presence_cost
from ovvis.tracking.association import vote as vote_of_matches


def vote(costs, matched, weighted):
    return vote_of_matches([match(cost) for cost in costs], matched, weighted)


def random_costs(seed, slots, queries):
    return list(np.random.default_rng(seed).random((slots, queries, queries)))


def total(cost, order):
    return sum(cost[q, order[q]] for q in range(len(cost)))


def cheapest(cost):
    """The cheapest of all one-to-one assignments."""
    return min(permutations(range(len(cost))), key=lambda order: total(cost, order))


def brute_vote(costs, matched, weighted):
    """The table of docs/method.md, word for word, over all permutations."""
    own = [total(cost, cheapest(cost)) for cost in costs]
    ranking = sorted(range(len(costs)), key=lambda i: own[i])
    if len(costs) < matched:
        return cheapest(costs[ranking[0]])
    chosen = ranking[:matched]
    return cheapest(sum(costs[i] * (i + 1 if weighted else 1) for i in chosen) / matched)


@given(st.integers(0, 2**31), st.integers(1, 5))
def test_assign_is_the_cheapest(seed, queries):
    (cost,) = random_costs(seed, 1, queries)
    order = assign(cost)
    assert tuple(order) == cheapest(cost)
    assert order.dtype == np.int64


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6), st.booleans())
def test_vote_by_brute_force(seed, queries, slots, matched, weighted):
    costs = random_costs(seed, slots, queries)
    assert tuple(vote(costs, matched, weighted)) == brute_vote(costs, matched, weighted)


def swap(wrong, keep):
    """A cost of two queries: `keep` for staying, `wrong` for changing places."""
    return np.array([[keep, wrong], [wrong, keep]])


# Oldest first. Each says how much it costs to stay; changing places costs 1 less or more.
@pytest.mark.parametrize(
    ("costs", "matched", "weighted", "expected"),
    [
        ([swap(1.0, 0.0)], 1, True, [0, 1]),
        ([swap(0.0, 1.0)], 1, True, [1, 0]),
        # Both vote: the sums are 1.0 against 0.9; with weights 1 and 2 they are 1.0 against 1.8.
        ([swap(0.0, 1.0), swap(0.9, 0.0)], 2, False, [1, 0]),
        ([swap(0.0, 1.0), swap(0.9, 0.0)], 2, True, [0, 1]),
        # Only the cheapest of two votes, though weights would turn the choice: 0.2 alone, 0.1 x 2 alone.
        ([swap(1.0, 0.1), swap(0.05, 1.0)], 1, True, [1, 0]),
        ([swap(1.0, 0.05), swap(0.1, 1.0)], 1, True, [0, 1]),
        # Fewer than matched are stored: the cheapest alone, against the majority.
        ([swap(1.0, 0.1), swap(1.0, 0.1), swap(0.05, 1.0)], 4, False, [1, 0]),
        ([swap(1.0, 0.1), swap(1.0, 0.1), swap(0.05, 1.0)], 3, False, [0, 1]),
    ],
)
def test_vote_by_hand(costs, matched, weighted, expected):
    assert vote(costs, matched, weighted).tolist() == expected


def test_cosine_cost():
    tubes = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    queries = torch.tensor([[5.0, 0.0], [-1.0, 0.0]])
    assert np.allclose(cosine_cost(tubes, queries), [[0, 2], [1, 1]])


def test_cosine_cost_of_half_precision_is_float32():
    cost = cosine_cost(torch.ones(2, 4, dtype=torch.bfloat16), torch.ones(2, 4, dtype=torch.bfloat16))
    assert cost.dtype == np.float32
    assert np.allclose(cost, 0, atol=1e-6)


def test_presence_cost():
    """Rows: an object, half an object, none; columns: an object, none."""
    cost = presence_cost(np.full((3, 2), 0.6), torch.tensor([1.0, 0.5, 0.0]), torch.tensor([1.0, 0.0]), 0.4)
    assert np.allclose(cost, [[0.6, 0.2], [0.4, 0.1], [0.2, 0.0]])


@given(st.floats(0, 1), st.floats(0.01, 2))
def test_an_object_goes_on_where_it_is_nearer_than_a_birth(distance, birth):
    tubes = queries = torch.tensor([1.0, 0.0])
    order = assign(presence_cost(np.full((2, 2), distance), tubes, queries, birth))
    assert abs(distance - birth) < 1e-6 or (order.tolist() == [0, 1]) == (distance < birth)


def test_zero_vectors_give_a_finite_cost():
    assert np.allclose(cosine_cost(torch.zeros(2, 3), torch.ones(2, 3)), 1)


def test_shared_matches_are_made_once_and_told_apart():
    shared, windows = SharedMatches(), [torch.randn(4, 3, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    made = {(i, j): shared(windows[i], windows[j]) for i in range(3) for j in range(3)}
    for (i, j), found in made.items():
        assert shared(windows[i], windows[j]) is found
        assert np.array_equal(found.cost, cosine_cost(windows[i], windows[j]))
        turned = found.in_order(np.array([2, 0, 3, 1]))
        assert np.array_equal(turned.cost[1], found.cost[0]) and turned.order[2] == found.order[3]
        assert turned.total == pytest.approx(total(turned.cost, turned.order))
