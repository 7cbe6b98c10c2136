"""Pure functions that turn logits into the scores of tubes."""

from __future__ import annotations

import torch
from torch import Tensor

from ovvis.models.settings import ClassScore, VideoSettings, Weighting

OBJECT = 0  # index of "object" in the object logits


def class_scores(
    logits: Tensor, kind: ClassScore, logit_scale: float | None = None, none_logit: float | None = None
) -> Tensor:
    """Return the class scores (Q, K) of one window, in [0, 1], from its class logits.

    Args:
        logits: Q, K; with "void" Q, K + 1.
        kind: "softmax" over the vocabulary, as CLIP-VIS released it; "cosine", as in its paper (eq. 10); "sigmoid"
            of each logit by itself, as OVFormer released it; "void": a softmax whose last logit is a learnt "none of
            these", which is left out afterwards (FC-CLIP).
        logit_scale: the factor between cosine and logit, for "cosine".
        none_logit: logit of "none of these", which takes its share of the softmax and is left out; None: there is no
            such answer, so that a list of one word scores 1 on everything, as released.
    """
    if kind == "cosine":
        if logit_scale is None:
            raise ValueError("class scores by cosine need the factor between cosine and logit")
        return (logits / logit_scale).clamp(min=0)
    if kind == "sigmoid":
        return logits.sigmoid()
    if kind == "void":
        return logits.softmax(-1)[..., :-1]
    if none_logit is None:
        return logits.softmax(-1)
    none = logits.new_full((*logits.shape[:-1], 1), none_logit)
    return torch.cat([logits, none], -1).softmax(-1)[..., :-1]


def object_logits(logits: Tensor) -> Tensor:
    """Return what stands for object logits (Q, 2) where the last of the class logits (Q, K + 1) is "none of these".

    Their softmax is the probability of any label, and of none.
    """
    return torch.stack([logits[:, :-1].logsumexp(-1), logits[:, -1]], -1)


def window_scores(classes: Tensor, ious: Tensor | None, settings: VideoSettings) -> Tensor:
    """Return class scores (Q, K) weighted by the predicted mask IoUs (Q): what a tube takes the mean of."""
    weighted = classes if ious is None or not settings.use_iou else classes * ious[:, None]
    return _mean_of_two(weighted, settings.weighting)


def tube_scores(mean: Tensor, object_logits: Tensor, settings: VideoSettings) -> Tensor:
    """Return the scores (Q, K) of tubes, in [0, 1].

    Args:
        mean: Q, K; mean of `window_scores` over the tube.
        object_logits: Q, 2; mean over the tube.
        settings: the weighting.
    """
    objects = object_logits.softmax(-1)[:, OBJECT, None]
    return _mean_of_two(mean * objects if settings.use_object else mean, settings.weighting)


def video_scores(mean: Tensor, object_logits: Tensor, settings: VideoSettings) -> Tensor:
    """Return the scores (Q, K) of tubes, in [0, 1], from the means over their windows.

    Args:
        mean: Q, K or K + 1; of what the settings take the mean of.
        object_logits: Q, 2; mean over the tube.
        settings: how scores are made.
    """
    if settings.average == "logits":
        mean = class_scores(mean, settings.class_score, none_logit=settings.none_logit)
    return tube_scores(mean, object_logits, settings)


def _mean_of_two(product: Tensor, weighting: Weighting) -> Tensor:
    """Return the geometric mean of two scores from their product (released), or the product itself (paper)."""
    return product.sqrt() if weighting == "released" else product


def silenced(classes: Tensor, objects: Tensor, scores: Tensor, share: float) -> Tensor:
    """Return for which (tube, label) pairs a frame shows nothing (released behaviour).

    Args:
        classes: P; class scores of the pairs in the frame: CLIP-VIS takes the sigmoid of its softmax. Where a score
            is the sigmoid of a logit, it is the logit.
        objects: P; object scores of the pairs' tubes in the frame.
        scores: P; the pairs' scores over the video.
        share: a frame is silenced below this share of the score.
    """
    return (classes.sigmoid() * objects).sqrt() < scores * share


def needs_classes(objects: Tensor, share: float) -> Tensor:
    """Return for which tubes (Q) `silenced` can depend on the frame's class scores.

    A sigmoid of a score in [0, 1] is at least 1/2, so a tube with sqrt(object score / 2) >= share is never
    silenced, whatever its label: no tube's score is above 1.
    """
    return (objects / 2).sqrt() < share


def sparse_classes(classes: Tensor) -> Tensor:
    """Return class scores with those at zero that cannot change a float32 sigmoid; they compress well."""
    return torch.where(classes < 2.0**-23, 0.0, classes)


def undecided(evidence: Tensor, objects: Tensor, share: float, kind: ClassScore) -> tuple[Tensor, Tensor]:
    """Return the queries for which `silenced` can depend on the frame's evidence, and theirs, so that it packs well.

    Args:
        evidence: Q, K.
        objects: Q; object scores in the frame.
        share: a frame is silenced below this share of the score; infinite where scores have no upper bound.
        kind: of the class scores. A logit is made infinite where the pair is never silenced.

    Returns:
        queries: n; int64, ascending.
        rows: n, K.
    """
    if kind == "sigmoid":
        sure = (evidence.sigmoid() * objects[:, None]).sqrt() >= share
        queries = torch.nonzero(~sure.all(-1)).flatten()
        return queries, evidence.masked_fill(sure, torch.inf)[queries]
    queries = torch.nonzero(needs_classes(objects, share)).flatten()
    return queries, sparse_classes(evidence[queries])
