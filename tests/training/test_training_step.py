"""The network, the loss and the optimizer together."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fakes import build_tiny
from ovvis.training.loss.criterion import LossConfig, clip_vis_criterion
from ovvis.training.optimizer import OptimizerConfig, build_optimizer
from training_cases import boxes, random_prediction

SMALL = LossConfig(points=200)
SIZE = (64, 96)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("counts", [(0, 0), (0, 1), (9, 2)])
def test_every_weight_has_a_gradient_whatever_the_targets(counts, autocast):
    """Several processes wait for each other's gradients of every weight, also for those of an empty image."""
    model = build_tiny().train()
    pixels = torch.randn(2, 1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        prediction = model(pixels, every_layer=True)
        loss = clip_vis_criterion(SMALL)(prediction, [boxes(n, size=SIZE) for n in counts], seeds=[0, 1])
    loss.total.backward()
    assert loss.total.isfinite()
    for name, parameter in model.network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_it_learns():
    """Two windows of boxes are found after a few steps from nothing; the loss falls in every term."""
    torch.manual_seed(0)
    model = build_tiny(decoder_layers=3).train()
    targets = [_large(boxes(1, size=(16, 24))), _large(boxes(2, size=(16, 24), seed=1))]
    pixels = torch.randn(2, 1, 3, *SIZE, generator=torch.Generator().manual_seed(0)) * 0.2
    for image, target in zip(pixels, targets, strict=True):
        image += target.masks.any(0)[:, None] * 1.5
    criterion = clip_vis_criterion(SMALL)
    optimizer = build_optimizer(model, OptimizerConfig(rate=1e-3))
    parts = []
    for _ in range(60):
        loss = criterion(model(pixels, every_layer=True), targets)
        parts.append(loss.parts.detach().sum(1))
        optimizer.zero_grad()
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    first, last = torch.stack(parts[:3]).mean(0), torch.stack(parts[-3:]).mean(0)
    assert (last < first).all(), (first, last)
    assert last.sum() < 0.5 * first.sum()
    model.eval()
    with torch.no_grad():
        prediction = model(pixels)
    for window, target in enumerate(targets):
        best = _best_overlaps(prediction.mask_logits[window, :, 0], target.masks[:, 0])
        assert best.mean() > 0.5


def _large(target):
    return replace(target, masks=target.masks.repeat_interleave(4, 2).repeat_interleave(4, 3))


def _best_overlaps(logits, truth):
    small = torch.nn.functional.interpolate(truth[None].float(), size=logits.shape[-2:], mode="area")[0] > 0.5
    inside = logits > 0
    both = (inside[:, None] & small).sum((-1, -2))
    return (both / (inside[:, None] | small).sum((-1, -2))).amax(0)


def test_the_guides_own_loss():
    guide = Path(__file__).parents[2] / "docs" / "details" / "training.md"
    text = guide.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(from ovvis\.training\.loss\.criterion.*?)```", text, re.S)
    prediction = random_prediction()
    names = {"model": lambda pixels, every_layer: prediction, "pixels": None, "targets": [boxes(1), boxes(2)]}
    exec(code, names)
    assert names["loss"].names == ("object", "mask", "dice", "sure")
    assert prediction.mask_features.grad.any()
