from dataclasses import replace

import pytest
import torch

from ovvis.training.loss.losses import LabelTerm, ObjectTerm, Pairs, dice_term, iou_term, mask_term
from training_cases import boxes, random_prediction

LAYERS, WINDOWS, QUERIES, POINTS = 2, 2, 4, 12


def pairs(frames=1, dtype=torch.float64, seed=0, counts=(1, 2), labels=0) -> Pairs:
    generator = torch.Generator().manual_seed(seed)
    matched = sum(counts)
    order = [torch.stack([torch.randperm(QUERIES, generator=generator)[:n] for _ in range(LAYERS)]) for n in counts]
    return Pairs(
        prediction=random_prediction(
            layers=LAYERS, queries=QUERIES, frames=frames, dtype=dtype, seed=seed, labels=labels
        ),
        targets=[boxes(n, frames) for n in counts],
        windows=torch.arange(WINDOWS).repeat_interleave(torch.tensor(counts)),
        queries=torch.cat(order, dim=1),
        instances=torch.cat([torch.arange(n).expand(LAYERS, -1) for n in counts], dim=1),
        mask_logits=torch.randn(LAYERS, matched, frames, POINTS, generator=generator, dtype=dtype).requires_grad_(),
        mask_truth=torch.rand(LAYERS, matched, frames, POINTS, generator=generator, dtype=dtype).round(),
    )


def test_object_query_by_query():
    given = pairs()
    share = ObjectTerm(0.4)(given)
    for layer in range(LAYERS):
        objects = set(zip(given.windows.tolist(), given.queries[layer].tolist(), strict=True))
        total = count = 0.0
        for window in range(WINDOWS):
            for query in range(QUERIES):
                index, weight = (0, 1.0) if (window, query) in objects else (1, 0.4)
                total -= weight * given.prediction.object_logits[layer, window, query].log_softmax(-1)[index].item()
                count += weight
        assert share.total[layer].item() == pytest.approx(total)
        assert share.count[layer].item() == pytest.approx(count) == pytest.approx(3 + 0.4 * 5)


@pytest.mark.parametrize("frames", [1, 3])
def test_masks_point_by_point(frames):
    given = pairs(frames)
    mask, dice = mask_term(given), dice_term(given)
    for layer in range(LAYERS):
        entropy = overlap = 0.0
        for m in range(3):
            for t in range(frames):
                p = given.mask_logits[layer, m, t].sigmoid()
                y = given.mask_truth[layer, m, t]
                entropy -= (y * p.log() + (1 - y) * (1 - p).log()).sum().item() / POINTS
                overlap += 1 - (2 * (p * y).sum().item() + 1) / (p.sum().item() + y.sum().item() + 1)
        assert mask.total[layer].item() == pytest.approx(entropy)
        assert dice.total[layer].item() == pytest.approx(overlap)
        assert mask.count[layer] == dice.count[layer] == 3


def test_iou_by_counting():
    given = pairs()
    given.mask_truth[0, 0] = 0  # nothing of it is at the points: no overlap, so it does not count
    share = iou_term(given)
    for layer in range(LAYERS):
        total, count = 0.0, 0
        for m in range(3):
            inside = given.mask_logits[layer, m, 0] > 0
            truth = given.mask_truth[layer, m, 0] > 0.5
            both, either = (inside & truth).sum().item(), (inside | truth).sum().item()
            if both:
                predicted = given.prediction.mask_ious[layer, given.windows[m], given.queries[layer, m]].item()
                total += abs(predicted - both / either)
                count += 1
        assert share.total[layer].item() == pytest.approx(total)
        assert share.count[layer].item() == count
    assert share.count[0] < 3


def test_a_mask_and_a_truth_that_are_both_empty():
    given = pairs()
    with torch.no_grad():
        given.mask_logits.fill_(-3)
    given.mask_truth.zero_()
    share = iou_term(given)
    assert share.total.tolist() == share.count.tolist() == [0, 0]
    share.total.sum().backward()
    assert not given.prediction.mask_ious.grad.any()


def sample_of(given, term, seeds=(0, 0)):
    """Return the labels that count, of each window, in the first layer."""
    seeded = replace(given, generators=[torch.Generator().manual_seed(seed) for seed in seeds])
    chosen = term._sampled(seeded, LAYERS, QUERIES)
    return [set(row.nonzero()[:, 0].tolist()) for row in chosen[:, 0]]


def test_labels_one_by_one():
    given = pairs(labels=6)
    term = LabelTerm(torch.tensor([1.0, 1, 0, 1, 1, 0]), sample=4)
    seeded = replace(given, generators=[torch.Generator().manual_seed(seed) for seed in (0, 0)])
    share = term(seeded)
    counted = term._sampled(replace(given, generators=[torch.Generator().manual_seed(seed) for seed in (0, 0)]), 2, 4)
    for layer in range(LAYERS):
        total = 0.0
        for m, window in enumerate(given.windows.tolist()):
            label = given.targets[window].labels[given.instances[layer, m]].item()
            scores = given.prediction.class_logits[layer, window, given.queries[layer, m]].sigmoid()
            for k in counted[window, layer].nonzero()[:, 0].tolist():
                total -= (scores[k] if k == label else 1 - scores[k]).log().item()
        assert share.total[layer].item() == pytest.approx(total)
        assert share.count[layer] == WINDOWS * QUERIES
    share.total.sum().backward()
    answered = given.prediction.class_logits.grad.any(-1)  # only matched queries answer
    assert answered.sum().item() == LAYERS * len(given.windows)


def test_which_labels_count():
    given = pairs(labels=100, counts=(1, 3))  # labels 0; 0, 1, 2
    weights = torch.ones(100)
    weights[50:] = 0
    one, other = sample_of(given, LabelTerm(weights))
    assert {0} <= one and {0, 1, 2} <= other
    assert len(one) == len(other) == 49  # "no object" is the fiftieth
    assert max(one | other) < 50  # what has no weight is never drawn
    again, changed = sample_of(given, LabelTerm(weights), seeds=(0, 1))
    assert again == one
    assert changed != other or changed == set(range(50))
    assert sample_of(given, LabelTerm(weights, 2))[1] == {0, 1, 2}  # those of the window, however many
    assert sample_of(given, LabelTerm(weights, None))[0] == set(range(50))
    assert sample_of(given, LabelTerm(weights, 1000))[0] == set(range(50))
    novel = torch.zeros(100)
    assert sample_of(given, LabelTerm(novel))[1] == {0, 1, 2}


def test_frequent_labels_are_drawn_more_often():
    given = pairs(labels=10, counts=(1, 1))
    weights = torch.tensor([1.0, 9.0, 9.0, *[0.1] * 7])
    drawn = [sample_of(given, LabelTerm(weights, 4), seeds=(seed, 500 + seed)) for seed in range(100)]
    often = sum({1, 2} <= labels for windows in drawn for labels in windows)
    assert often > 150  # by chance alone: 2 of 9 labels in 2 draws, once in 36


def test_labels_need_class_logits():
    with pytest.raises(ValueError, match="class logits over 6 labels, and there are none"):
        LabelTerm(torch.ones(6))(pairs())
    with pytest.raises(ValueError, match="over 6 labels, and there are those of 7 labels"):
        LabelTerm(torch.ones(6))(pairs(labels=7))


@pytest.mark.parametrize("term", [ObjectTerm(0.4), mask_term, dice_term, iou_term])
@pytest.mark.parametrize("frames", [1, 2])
def test_gradients(term, frames):
    given = pairs(frames)

    def total(objects, ious, masks):
        prediction = random_prediction(layers=LAYERS, queries=QUERIES, frames=frames, dtype=torch.float64)
        changed = {name: getattr(prediction, name) for name in ("mask_embeddings", "mask_features", "embeddings")}
        prediction = type(prediction)(object_logits=objects, mask_ious=ious, **changed)
        names = ("targets", "windows", "queries", "instances", "mask_truth")
        return term(
            Pairs(prediction=prediction, mask_logits=masks, **{name: getattr(given, name) for name in names})
        ).total

    inputs = (given.prediction.object_logits, given.prediction.mask_ious, given.mask_logits)
    assert torch.autograd.gradcheck(total, inputs)


def test_iou_needs_its_head():
    given = pairs()
    without = type(given.prediction)(
        **{name: getattr(given.prediction, name) for name in ("mask_embeddings", "mask_features", "object_logits")},
        mask_ious=None,
        embeddings=given.prediction.embeddings,
    )
    with pytest.raises(ValueError, match="predicts mask IoUs"):
        iou_term(
            Pairs(
                without,
                given.targets,
                given.windows,
                given.queries,
                given.instances,
                given.mask_logits,
                given.mask_truth,
            )
        )
