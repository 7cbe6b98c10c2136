from dataclasses import replace

import pytest
import torch

import ovvis.training.loss.criterion as criterion_module
import ovvis.training.loss.matcher as matcher_module
from ovvis.structures import Target
from ovvis.training.loss.criterion import (
    Criterion,
    LossConfig,
    WeightedTerm,
    clip_vis_criterion,
    ovformer_criterion,
    single_frames,
)
from ovvis.training.loss.losses import LabelTerm, ObjectTerm, dice_term, iou_term, mask_term
from ovvis.training.loss.matcher import Matcher, dice_cost, label_cost, mask_cost, object_cost
from training_cases import GivenPoints, all_at_once, boxes, leaves, parity_case, prediction_of_masks, random_prediction

COSTS = ((2.0, object_cost), (5.0, mask_cost), (5.0, dice_cost))
OVFORMER_COSTS = ((2.0, label_cost), (5.0, mask_cost), (5.0, dice_cost))
SMALL = LossConfig(points=30)
LABELS = 6  # of OVFormer's criterion in these tests
WEIGHTS = torch.tensor([4.0, 1.0, 2.0, 3.0, 0.0, 5.0])


@pytest.mark.parametrize(
    ("name", "terms", "costs"),
    [
        (
            "loss_clip_vis",
            {"object_ce": (1.0, ObjectTerm(0.4)), "iou": (1.0, iou_term), "mask": (1.0, mask_term)},
            COSTS,
        ),
        # OVFormer: windows of two frames under one assignment; every class counts as sampled.
        (
            "loss_ovformer",
            {"object_ce": (1.0, ObjectTerm(0.4)), "ce": (1.7, LabelTerm(torch.ones(9))), "mask": (1.0, mask_term)},
            OVFORMER_COSTS,
        ),
    ],
)
@pytest.mark.parity
def test_the_authors_loss(name, terms, costs, device):
    case, prediction, targets = parity_case(name, device)
    points = GivenPoints(case["points.match"], case["points.loss"])
    terms = {**terms, "dice": (1.0, dice_term)}
    matcher = Matcher(costs, points)
    criterion = Criterion([WeightedTerm(n, weight, term) for n, (weight, term) in terms.items()], matcher, points)
    for window, match in enumerate(matcher(prediction, targets, [None, None])):
        pairs = sorted(zip(match.queries[0].tolist(), match.instances[0].tolist(), strict=True))
        theirs = (case[f"match.{window}.{side}"].tolist() for side in ("query", "target"))
        assert pairs == sorted(zip(*theirs, strict=True))
    loss = criterion(prediction, targets)
    assert len(points.loss) == 0
    for term, value in loss.by_name().items():
        assert value.item() == pytest.approx(case[f"loss.{term}"].item(), abs=1e-5), term
    assert loss.total.item() == pytest.approx(sum(case[f"loss.{term}"].item() for term in terms), abs=4e-5)


def test_ovformers_table():
    """The released weights: 2, 2 x 1.7, 5, 5; the object's score costs nothing by itself in matching."""
    criterion = ovformer_criterion(LossConfig(), WEIGHTS)
    assert [(row.name, row.weight) for row in criterion.terms] == [
        ("object", 2.0),
        ("label", 3.4),
        ("mask", 5.0),
        ("dice", 5.0),
    ]
    assert [(weight, cost.__name__) for weight, cost in criterion.matcher.costs] == [
        (2.0, "label_cost"),
        (5.0, "mask_cost"),
        (5.0, "dice_cost"),
    ]
    assert criterion.terms[1].term.sample == 50
    paper = ovformer_criterion(LossConfig(label_sample=None, label_scale=1.0), WEIGHTS)
    assert (paper.terms[1].weight, paper.terms[1].term.sample) == (2.0, None)


def vanishing(count, frames=3):
    """Return boxes of which each even one is in the first frame alone, each odd one in the others alone."""
    target = boxes(count, frames)
    masks = target.masks.clone()
    masks[::2, 1:] = False
    masks[1::2, 0] = False
    return replace(target, masks=masks)


@pytest.mark.parametrize(
    "targets",
    [
        pytest.param([vanishing(2), vanishing(3)], id="who is not in every frame"),
        pytest.param([boxes(0, 3), vanishing(1)], id="an empty window beside one instance"),
        pytest.param([vanishing(9), boxes(0, 3)], id="more instances than queries"),
        pytest.param([boxes(0, 3), boxes(0, 3)], id="no instance anywhere"),
    ],
)
def test_windows_of_ovformer(targets):
    prediction = random_prediction(frames=3, labels=LABELS)
    loss = ovformer_criterion(SMALL, WEIGHTS)(prediction, targets, seeds=[1, 2])
    assert loss.names == ("object", "label", "mask", "dice")
    assert loss.total.isfinite()
    loss.total.backward()
    for leaf in leaves(prediction):
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
    queries = prediction.class_logits.grad.any(-1).sum(-1)  # L, B: who answers for a label
    assert queries.tolist() == [[min(len(target.labels), 5) for target in targets]] * 3


def test_a_frame_without_the_instance_counts():
    """A mask where nothing is to be seen costs, in the window's loss and in its matching."""
    masks = torch.full((1, 2, 2, 16, 16), -30.0)
    masks[0, :, 0, 4:8, 4:8] = 30.0
    masks[0, 0, 1, 4:8, 4:8] = 30.0  # the first query sees the instance in the second frame too
    truth = torch.zeros(1, 2, 16, 16, dtype=torch.bool)
    truth[0, 0, 4:8, 4:8] = True
    prediction = prediction_of_masks(masks, torch.zeros(1, 2, 2), None, torch.zeros(1, 2, LABELS))
    target = Target(truth, torch.tensor([0]), torch.tensor([0]))
    criterion = ovformer_criterion(LossConfig(points=2000, importance=0.0), WEIGHTS)
    (match,) = criterion.matcher(prediction, [target], [torch.Generator().manual_seed(0)])
    assert match.queries.tolist() == [[1]]
    right = criterion(prediction, [target], seeds=[0]).by_name()["mask"]
    only = replace(prediction, mask_embeddings=prediction.mask_embeddings[:, :, :1])
    only = replace(only, object_logits=only.object_logits[:, :, :1], class_logits=only.class_logits[:, :, :1])
    wrong = criterion(only, [target], seeds=[0]).by_name()["mask"]
    assert wrong > right + 3  # a sixteenth of the frame, its logits 30 at most, weight 5


def test_every_layer_counts_and_parts_add_up():
    prediction, targets = random_prediction(), [boxes(2), boxes(3, seed=1)]
    loss = clip_vis_criterion(SMALL)(prediction, targets, seeds=[1, 2])
    assert loss.names == ("object", "iou", "mask", "dice")
    assert loss.parts.shape == (4, 3)
    assert (loss.parts > 0).all()
    assert loss.parts.sum().item() == pytest.approx(loss.total.item(), rel=1e-5)
    assert sum(loss.by_name().values()).item() == pytest.approx(loss.total.item(), rel=1e-5)
    doubled = clip_vis_criterion(replace(SMALL, iou=4.0))(prediction, targets, seeds=[1, 2])
    torch.testing.assert_close(doubled.parts[1], loss.parts[1] * 2)
    loss.total.backward()
    for leaf in leaves(prediction):
        assert leaf.grad.isfinite().all()
        assert leaf.grad.flatten(1).any(1).all()  # every layer, or every window


@pytest.mark.parametrize("family", ["clip-vis", "ovformer"])
def test_windows_at_once_are_windows_one_by_one(family, monkeypatch):
    """What a GPU computes in one piece is what a CPU computes a window at a time: losses and gradients."""
    targets = [boxes(2, 2), boxes(0, 2), boxes(7, 2, seed=1), boxes(3, 2, seed=2)]
    found = []
    for together in (False, True):
        if family == "clip-vis":
            prediction, criterion = random_prediction(batch=4, frames=2), clip_vis_criterion(SMALL)
        else:
            prediction = random_prediction(batch=4, frames=2, labels=LABELS)
            criterion = ovformer_criterion(SMALL, WEIGHTS)
        if together:
            for module in (matcher_module, criterion_module):
                monkeypatch.setattr(module, "groups", all_at_once)
        loss = criterion(prediction, targets, seeds=[1, 2, 3, 4])
        loss.total.backward()
        found.append((loss.parts, [leaf.grad for leaf in leaves(prediction)]))
    torch.testing.assert_close(found[0][0], found[1][0])
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert one is not None
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_class_agnostic():
    prediction, targets = random_prediction(), [boxes(2), boxes(3, seed=1)]
    others = [Target(t.masks, t.labels.flip(0) + 90, t.ids.flip(0)) for t in targets]
    criterion = clip_vis_criterion(SMALL)
    assert torch.equal(
        criterion(prediction, targets, seeds=[1, 2]).parts, criterion(prediction, others, seeds=[1, 2]).parts
    )


def test_a_perfect_answer_costs_nothing():
    truth = boxes(3, size=(32, 32))
    masks = torch.full((1, 4, 1, 32, 32), -40.0)
    order = [2, 0, 3]
    masks[0, order] = truth.masks.float() * 80 - 40
    objects = torch.full((1, 4, 2), -20.0)
    objects[..., 1] = 20.0
    objects[0, order] = torch.tensor([20.0, -20.0])
    prediction = prediction_of_masks(masks, objects, torch.ones(1, 4))
    # Without points between a mask's pixels, where it has no sharp border.
    centres = (torch.cartesian_prod(torch.arange(32), torch.arange(32)) + 0.5) / 32
    points = GivenPoints(centres, centres.expand(3, -1, -1))
    parts = {"object": ObjectTerm(0.4), "iou": iou_term, "mask": mask_term, "dice": dice_term}
    criterion = Criterion([WeightedTerm(n, 1.0, term) for n, term in parts.items()], Matcher(COSTS, points), points)
    assert criterion(prediction, [truth]).parts.abs().max() < 1e-4


VOID = Target(torch.zeros(2, 1, 24, 32, dtype=torch.bool), torch.tensor([0, 1]), torch.tensor([1, 2]))


@pytest.mark.parametrize(
    "targets",
    [
        pytest.param([boxes(0), boxes(0)], id="no instance anywhere"),
        pytest.param([boxes(0), boxes(1)], id="an empty image beside one instance"),
        pytest.param([boxes(9), boxes(5)], id="more instances than queries"),
        pytest.param([VOID, VOID], id="only void masks"),
        pytest.param([VOID, boxes(2)], id="a window of void masks"),
    ],
)
def test_odd_targets(targets):
    prediction = random_prediction()
    loss = clip_vis_criterion(SMALL)(prediction, targets)
    assert loss.total.isfinite()
    assert (loss.parts[0] > 0).all()
    loss.total.backward()
    for leaf in leaves(prediction):  # no parameter is left without a gradient: DDP waits for each
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
    assert prediction.object_logits.grad.any()


def test_void_instances_are_as_if_absent():
    prediction = random_prediction()
    some = boxes(2)
    mixed = Target(*(torch.cat([getattr(VOID, n), getattr(some, n)]) for n in ("masks", "labels", "ids")))
    criterion = clip_vis_criterion(SMALL)
    one, other = (criterion(prediction, [t, boxes(1)], seeds=[3, 4]).parts for t in (mixed, some))
    assert torch.equal(one, other)


def test_the_count_of_instances_includes_those_without_a_query():
    """As released: nine instances and five queries still divide by nine."""
    prediction, targets = random_prediction(batch=1, layers=1), [boxes(9)]
    seen = []
    clip_vis_criterion(SMALL)(prediction, targets, average=lambda count: seen.append(count) or count)
    assert seen[0][2:].flatten().tolist() == [9, 9]


def gradient(prediction, targets, seeds, criterion=None, **more):
    loss = (criterion or clip_vis_criterion(SMALL))(prediction, targets, seeds=seeds, **more)
    return torch.autograd.grad(loss.total, leaves(prediction))


@pytest.mark.parametrize("labels", [0, LABELS])
@pytest.mark.parametrize("counts", [(3, 1), (0, 4), (0, 0), (1, 0)])
def test_processes_agree_with_one(counts, labels):
    """Two processes of one window, their counts averaged, their gradients averaged: one process of two windows."""
    whole = random_prediction(batch=2, labels=labels)
    small = replace(SMALL, label_sample=4)
    criterion = ovformer_criterion(small, WEIGHTS) if labels else clip_vis_criterion(small)
    targets = [boxes(n, seed=n) for n in counts]
    wanted = gradient(whole, targets, [7, 8], criterion)
    names = ("mask_embeddings", "object_logits", "mask_ious", "embeddings", "class_logits")

    def part(window):
        cut = {n: x[:, window : window + 1] for n in names if (x := getattr(whole, n)) is not None}
        return replace(whole, mask_features=whole.mask_features[window : window + 1], **cut)

    own = []
    for window in range(2):  # each process's own counts first
        criterion(part(window), [targets[window]], seeds=[7 + window], average=lambda c: own.append(c) or c)
    mean = (own[0] + own[1]) / 2
    total = 0
    for window in range(2):
        loss = criterion(part(window), [targets[window]], seeds=[7 + window], average=lambda _: mean)
        total = total + loss.total / 2
    for ours, theirs in zip(torch.autograd.grad(total, leaves(whole)), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_a_windows_seed_alone_decides_its_points():
    prediction, targets = random_prediction(), [boxes(2), boxes(3, seed=1)]
    first = gradient(prediction, targets, [1, 2])[1]
    torch.rand(3)
    again, other = gradient(prediction, targets, [1, 2])[1], gradient(prediction, targets, [1, 3])[1]
    assert torch.equal(first, again)
    assert torch.equal(first[0], other[0])
    assert not torch.equal(first[1], other[1])


@pytest.mark.parametrize("frames", [1, 2])
def test_gradient_of_the_whole(frames):
    prediction = random_prediction(
        layers=2, batch=2, queries=3, frames=frames, width=4, size=(3, 4), dtype=torch.float64
    )
    targets = [boxes(2, frames), boxes(1, frames, seed=5)]
    criterion = clip_vis_criterion(LossConfig(points=5, importance=0.0))  # uniform points do not move with the masks

    def total(embeddings, features, objects, ious):
        changed = replace(
            prediction, mask_embeddings=embeddings, mask_features=features, object_logits=objects, mask_ious=ious
        )
        return criterion(changed, targets, seeds=[1, 2]).total

    assert torch.autograd.gradcheck(total, leaves(prediction))


def test_full_precision_under_autocast():
    prediction, targets = random_prediction(), [boxes(2), boxes(3)]
    criterion = clip_vis_criterion(SMALL)
    wanted = criterion(prediction, targets, seeds=[1, 2])
    with torch.autocast("cpu", torch.bfloat16):
        loss = criterion(prediction, targets, seeds=[1, 2])
    assert loss.total.dtype == torch.float32
    assert torch.equal(loss.parts, wanted.parts)
    half = replace(
        prediction,
        **{n: getattr(prediction, n).bfloat16() for n in ("mask_embeddings", "mask_features", "object_logits")},
    )
    rounded = criterion(half, targets, seeds=[1, 2])
    assert rounded.total.dtype == torch.float32
    torch.testing.assert_close(rounded.parts, wanted.parts, rtol=0.05, atol=0.05)


def test_what_is_no_number_shows_in_the_total():
    prediction = random_prediction(grad=False)
    prediction.object_logits[0, 0, 0] = float("nan")
    assert clip_vis_criterion(SMALL)(prediction, [boxes(1), boxes(2)]).total.isnan()


def test_windows_fall_into_frames():
    masks = torch.zeros(2, 3, 4, 4, dtype=torch.bool)
    masks[0, :, 0] = True
    masks[1, 2, 1] = True
    target = Target(masks, torch.tensor([4, 5]), torch.tensor([40, 50]))
    pixels = torch.arange(6.0).view(2, 3, 1, 1, 1).expand(-1, -1, 3, 4, 4)
    single, targets = single_frames(pixels, [target, target])
    assert single.shape == (6, 1, 3, 4, 4)
    assert single[:, 0, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert [t.ids.tolist() for t in targets] == [[40], [40], [40, 50]] * 2
    assert targets[2].masks.shape == (2, 1, 4, 4)


@pytest.mark.parametrize(
    ("targets", "more", "message"),
    [
        ([boxes(1)], {}, "1 targets for 2 windows"),
        ([boxes(1), boxes(1, frames=2)], {}, "bool masks of 1 frames"),
        ([boxes(1), boxes(1)], {"seeds": [1]}, "1 seeds for 2 windows"),
    ],
)
def test_refuses(targets, more, message):
    with pytest.raises(ValueError, match=message):
        clip_vis_criterion(SMALL)(random_prediction(), targets, **more)


@pytest.mark.parametrize(
    "wrong",
    [
        {"points": 0},
        {"importance": 1.5},
        {"oversample": 0.5},
        {"mask": -1.0},
        {"dice": float("nan")},
        {"label_sample": 0},
        {"label_scale": -1.0},
    ],
)
def test_a_config_is_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LossConfig(**wrong)
