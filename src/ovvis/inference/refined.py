"""A pass over a whole video by a model that refines its tubes once all frames were seen (OV-DVIS++, offline)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ovvis.inference.spill import Spill
from ovvis.inference.stopwatch import Stopwatch
from ovvis.models.export.exported import AnyModel
from ovvis.models.heads import PooledClassHead
from ovvis.models.layers.mask_product import mask_product
from ovvis.models.temporal_refiner import TemporalRefiner
from ovvis.structures import Prediction, Window


def refine(
    model: AnyModel, followed: Iterable[tuple[Window, Tensor, Prediction]], limit: int, watch: Stopwatch
) -> Iterator[tuple[Window, Prediction]]:
    """Yield each window of a video as the refiner sees it, once the last was followed.

    Of each frame its states stay in memory, 2 x Q x D numbers; its mask features and CLIP's go to a spill, which is
    read twice. The windows that come out hold no pixels and their frames no image.

    Args:
        model: with a refiner.
        followed: each window, the segmenter's states of it in its own order (1, Q, D), and its prediction in tube
            order.
        limit: bytes of features that stay in memory; the rest goes to a temporary file.
        watch: takes the time of refining.
    """
    assert model.refiner is not None
    spill, windows = Spill(limit), []
    seen, states = [], []
    try:
        for window, own, prediction in followed:
            assert prediction.states is not None
            seen.append(own)
            states.append(prediction.states)
            spill.append_object((prediction.mask_features, prediction.features))
            windows.append(_without_pixels(window))
        if not windows:
            return
        with watch("refining"):
            normed = model.network.query_decoder.norm(model.refiner(torch.cat(states), torch.cat(seen)))  # T, Q, D
        yield from zip(windows, watch.each("refining", _predictions(model, normed, spill)), strict=True)
    finally:
        spill.close()


def _predictions(model: AnyModel, normed: Tensor, spill: Spill) -> Iterator[Prediction]:
    """Yield the prediction of each frame from the refined states (T, Q, D), with one class embedding for the video."""
    embeddings = model.network.query_decoder.mask_head(normed)  # T, Q, D
    sums, counts = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for masks, (features, _) in zip(_masks(embeddings, spill), spill.objects(), strict=True):
        inside = (masks > 0).to(features.dtype)
        sums = sums + torch.einsum("bqthw,btdhw->qd", inside, features).cpu().double()
        counts = counts + inside.float().sum((0, 2, 3, 4)).cpu().double()
    means = (sums / (counts + 1e-8)[:, None]).to(normed.device, normed.dtype)
    refiner, head = model.refiner, model.network.class_head
    assert isinstance(refiner, TemporalRefiner) and isinstance(head, PooledClassHead)
    classes = head.embed(refiner.over_time(normed), means)[None]  # 1, Q, E
    for t, (masks, (_, dense)) in enumerate(zip(_masks(embeddings, spill), spill.objects(), strict=True)):
        yield Prediction(
            mask_logits=masks,
            object_logits=None,
            mask_ious=None,
            embeddings=normed[t : t + 1],
            features=dense,
            class_embeddings=classes,
        )


def _masks(embeddings: Tensor, spill: Spill) -> Iterator[Tensor]:
    """Yield the mask logits (1, Q, 1, h, w) of each frame."""
    for t, (features, _) in enumerate(spill.objects()):
        yield mask_product(embeddings[t : t + 1], features)


def _without_pixels(window: Window) -> Window:
    """Return a window that holds no memory worth speaking of."""
    nothing = np.zeros((0, 0, 3), np.uint8)
    frames = tuple(replace(frame, image=nothing) for frame in window.frames)
    return replace(window, pixels=torch.zeros(0), views=None, frames=frames)
