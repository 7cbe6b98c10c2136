"""Small predictions and targets for the tests of the loss."""

from dataclasses import fields
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn.functional import one_hot

from ovvis.structures import LayeredPrediction, Target

PARITY = Path(__file__).parent / "parity"


def prediction_of_masks(masks, object_logits, ious=None, class_logits=None) -> LayeredPrediction:
    """Return one layer's prediction with given mask logits B, Q, T, h, w: features of width Q, embeddings one-hot."""
    batch, queries = masks.shape[:2]
    embeddings = one_hot(torch.arange(queries), queries).to(masks.dtype).expand(1, batch, -1, -1)
    return LayeredPrediction(
        mask_embeddings=embeddings,
        mask_features=masks.transpose(1, 2),
        object_logits=object_logits[None],
        mask_ious=None if ious is None else ious[None],
        embeddings=embeddings,
        class_logits=None if class_logits is None else class_logits[None],
    )


def random_prediction(
    layers=3, batch=2, queries=5, frames=1, width=8, size=(6, 8), seed=0, dtype=torch.float32, grad=True, labels=0
) -> LayeredPrediction:
    """Return noise; with class logits over some labels, and no IoUs, as OVFormer's is."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_(grad)

    return LayeredPrediction(
        mask_embeddings=draw(layers, batch, queries, width),
        mask_features=draw(batch, frames, width, *size),
        object_logits=draw(layers, batch, queries, 2),
        mask_ious=None
        if labels
        else torch.rand(layers, batch, queries, generator=generator, dtype=dtype).requires_grad_(grad),
        embeddings=draw(layers, batch, queries, width),
        class_logits=draw(layers, batch, queries, labels) if labels else None,
    )


def leaves(prediction):
    """Return what the loss must have a gradient for."""
    heads = (prediction.mask_ious, prediction.class_logits)
    return [
        prediction.mask_embeddings,
        prediction.mask_features,
        prediction.object_logits,
        *(head for head in heads if head is not None),
    ]


def boxes(count, frames=1, size=(24, 32), seed=0) -> Target:
    """Return instances that are boxes, visible in every frame."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(count, frames, *size, dtype=torch.bool)
    for n in range(count):
        for t in range(frames):
            y, x = (int(torch.randint(0, side - 8, (), generator=generator)) for side in size)
            masks[n, t, y : y + 6 + n % 3, x : x + 5] = True
    return Target(masks, torch.arange(count) % 4, torch.arange(count) + 10)


def parity_case(name, device="cpu"):
    """Return an authors' case, its prediction and its targets on a device."""
    case = load_file(PARITY / f"{name}.safetensors")
    ious = case["pred.ious"].squeeze(-1) if "pred.ious" in case else None
    logits = case["pred.class_logits"][..., :-1] if "pred.class_logits" in case else None  # the last is "no class"
    prediction = prediction_of_masks(case["pred.masks"], case["pred.object_logits"], ious, logits)
    targets = []
    for window in range(2):
        masks = case[f"target.masks.{window}"]
        assert ((masks == 0) | (masks == 1)).all()
        labels = case.get(f"target.labels.{window}", torch.zeros(len(masks)).long())
        targets.append(Target(masks.bool(), labels, torch.arange(len(masks))))
    tensors = {field.name: getattr(prediction, field.name) for field in fields(prediction)}
    prediction = LayeredPrediction(**{k: x if x is None else x.detach().to(device) for k, x in tensors.items()})
    return case, prediction, [target.to(torch.device(device)) for target in targets]


class GivenPoints:
    """Points that somebody else drew.

    Args:
        match: P, 2.
        loss: N, P, 2; of all matched masks, one after another.
    """

    def __init__(self, match, loss) -> None:
        self.match, self.loss, self.points = match, loss, len(match)

    def for_matching(self, like, generator=None):
        return self.match.to(like)

    def draw(self, masks, like, generator=None):
        points, self.loss = self.loss[:masks], self.loss[masks:]
        return points.to(like)

    def for_loss(self, logits, drawn):
        assert len(logits) == len(drawn)
        return drawn


def all_at_once(windows, size, prediction):
    """Stand in for `groups`: all windows of a batch, as on a GPU."""
    return [slice(0, windows)]
