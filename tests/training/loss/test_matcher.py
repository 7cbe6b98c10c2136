import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

import ovvis.training.loss.matcher as matcher_module
from ovvis.training.loss.matcher import Candidates, Matcher, assign, dice_cost, mask_cost, object_cost
from ovvis.training.loss.points import PointSampler
from training_cases import GivenPoints, all_at_once, boxes, parity_case, random_prediction

COSTS = ((2.0, object_cost), (5.0, mask_cost), (5.0, dice_cost))


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(0, 5))
def test_the_assignment_is_the_cheapest_of_all(seed, queries, instances):
    costs = np.random.default_rng(seed).normal(size=(2, queries, instances))
    pairs = assign(costs)
    count = min(queries, instances)
    assert pairs.shape == (2, 2, count)
    for layer in range(2):
        ours = costs[layer, pairs[0, layer], pairs[1, layer]].sum()
        if queries >= instances:
            every = (sum(costs[layer, list(q), range(count)]) for q in itertools.permutations(range(queries), count))
        else:
            every = (sum(costs[layer, range(count), list(n)]) for n in itertools.permutations(range(instances), count))
        assert ours == pytest.approx(min(every))
        assert len(set(pairs[0, layer])) == len(set(pairs[1, layer])) == count


def candidates(seed=0, queries=4, instances=3, points=30):
    prediction = random_prediction(queries=queries, seed=seed, grad=False)
    generator = torch.Generator().manual_seed(seed)
    return Candidates(
        prediction=prediction,
        windows=slice(0, 2),
        labels=torch.zeros(2, instances).long(),
        mask_logits=torch.randn(3, 2, queries, points, generator=generator) * 3,
        mask_truth=torch.rand(2, instances, points, generator=generator),
    )


def test_costs_pair_by_pair():
    given_ = candidates()
    for cost, one in (
        (object_cost, lambda layer, b, q, n: -given_.prediction.object_logits[layer, b, q].softmax(-1)[0]),
        (
            mask_cost,
            lambda layer, b, q, n: binary_cross_entropy_with_logits(
                given_.mask_logits[layer, b, q], given_.mask_truth[b, n]
            ),
        ),
        (dice_cost, lambda layer, b, q, n: _dice(given_.mask_logits[layer, b, q], given_.mask_truth[b, n])),
    ):
        costs = cost(given_)
        assert costs.shape == (3, 2, 4, 3)
        for place in itertools.product(range(3), range(2), range(4), range(3)):
            assert costs[place].item() == pytest.approx(one(*place).item(), abs=1e-5), cost.__name__


def _dice(logits, truth):
    scores = logits.sigmoid()
    return 1 - (2 * (scores * truth).sum() + 1) / (scores.sum() + truth.sum() + 1)


def test_a_certain_mask_costs_nothing_and_its_opposite_much():
    given_ = candidates()
    truth = (given_.mask_truth > 0.5).float()
    logits = ((truth * 2 - 1) * 50).expand(3, -1, -1, -1)
    sure = replace(given_, mask_logits=logits, mask_truth=truth)
    assert mask_cost(sure).diagonal(dim1=2, dim2=3).abs().max() < 1e-4
    assert dice_cost(sure).diagonal(dim1=2, dim2=3).abs().max() < 1e-4
    wrong = replace(given_, mask_logits=-logits, mask_truth=truth)
    assert mask_cost(wrong).diagonal(dim1=2, dim2=3).min() == pytest.approx(50, abs=1e-3)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["loss_clip_vis", "loss_ovformer"])
def test_assigns_as_released(name):
    case, prediction, targets = parity_case(name)
    matcher = Matcher(COSTS, GivenPoints(case["points.match"], None))
    for window, found in enumerate(matcher(prediction, targets, [None, None])):
        assert torch.equal(found.queries[0], case[f"match.{window}.query"])
        assert torch.equal(found.instances[0], case[f"match.{window}.target"])


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("frames", [1, 3])
def test_costs_of_a_window_are_those_of_dense_masks(frames, together, monkeypatch):
    """The matcher samples features; the definition samples each query's mask, in each layer."""
    if together:
        monkeypatch.setattr(matcher_module, "groups", all_at_once)
    prediction = random_prediction(frames=frames, grad=False)
    targets = [boxes(2, frames), boxes(4, frames, seed=1)]
    points = torch.rand(25, 2, generator=torch.Generator().manual_seed(3))
    seen = []

    def spy(given_):
        seen.append(given_)
        return mask_cost(given_)

    Matcher([(1.0, spy)], GivenPoints(points, None))(prediction, targets, [None, None])
    masks = torch.einsum("lbqd,btdhw->lbqthw", prediction.mask_embeddings, prediction.mask_features)
    grid = (points * 2 - 1)[None, :, None]
    assert len(seen) == (1 if together else 2)
    logits = torch.cat([given_.mask_logits for given_ in seen], dim=1)
    truths = [truth for given_ in seen for truth in given_.mask_truth]
    for window, target in enumerate(targets):
        flat = masks[:, window].flatten(0, 1)  # L * Q, T, h, w
        wanted = torch.nn.functional.grid_sample(flat, grid.expand(len(flat), -1, -1, -1), align_corners=False)
        torch.testing.assert_close(logits[:, window].flatten(0, 1), wanted.flatten(1), atol=1e-5, rtol=1e-4)
        truth = target.masks.float()
        wanted = torch.nn.functional.grid_sample(truth, grid.expand(len(truth), -1, -1, -1), align_corners=False)
        torch.testing.assert_close(truths[window][: len(truth)], wanted.flatten(1))


@pytest.mark.parametrize("count", [0, 1, 5, 9])
def test_any_number_of_instances(count):
    prediction = random_prediction(grad=False)
    found = Matcher(COSTS, PointSampler(20))(prediction, [boxes(count), boxes(2)], [None, None])
    assert found[0].queries.shape == found[0].instances.shape == (3, min(count, 5))
    assert found[1].queries.shape == (3, 2)


def test_what_is_no_number_does_not_stop_it():
    prediction = random_prediction(grad=False)
    prediction.object_logits[0, 0, 1] = float("nan")
    prediction.mask_embeddings[1, 0] = float("inf")
    found = Matcher(COSTS, PointSampler(20))(prediction, [boxes(4), boxes(0)], [None, None])
    assert 1 not in found[0].queries[0]  # four instances find four sound queries
