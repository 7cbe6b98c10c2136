"""What a model sees in a few windows, painted beside the truth."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ovvis.models.model import Model
from ovvis.outputs.painting import Painted, paint
from ovvis.training.data.dataset import TrainingSet
from ovvis.training.data.loader import collate, network_input
from ovvis.training.data.sampling import Draw
from ovvis.training.task import Picture

SHOWN = 20  # instances in a picture
LEAST = 0.3  # score of an instance that is shown


def paint_windows(model: Model, data: TrainingSet, count: int, device: torch.device) -> list[Picture]:
    """Return pictures of the first frames of windows, the truth at the left, the model's masks at the right.

    Args:
        model: in evaluation mode, gradients off.
        data: where the windows come from; videos are taken evenly.
        count: pictures.
        device: of the model.
    """
    videos = len(data.parts[0].annotations.videos)
    places = sorted({int(place) for place in np.linspace(0, videos - 1, min(count, videos))})
    out: list[Picture] = []
    for number, video in enumerate(places):
        batch = collate([data[Draw(number, 0, video)]]).to(device)
        height, width = batch.sizes[0]
        image = np.ascontiguousarray(batch.pixels[0, 0, :, :height, :width].permute(1, 2, 0).cpu().numpy())
        masks = batch.targets[0].masks[:, 0, :height, :width]
        truth = [Painted(i + 1, "truth", 1.0, mask) for i, mask in enumerate(masks.cpu().numpy()) if mask.any()]
        images = None if batch.views is None else model.clip.embed_images(batch.views[:, :1])
        pixels = network_input(batch, model.pixel_mean, model.pixel_std)[:, :1]
        found = _found(model, pixels, images, (height, width))
        out.append((f"window-{number}", np.concatenate([paint(image, truth), paint(image, found)], axis=1)))
    return out


def _found(model: Model, pixels: Tensor, images: Tensor | None, size: tuple[int, int]) -> list[Painted]:
    """Return the best instances of a window of one frame."""
    prediction = model(pixels, images=images)
    scores = prediction.object_logits[0].float().softmax(-1)[:, 0]
    if prediction.mask_ious is not None:
        scores = (scores * prediction.mask_ious[0].float().clamp(0, 1)).sqrt()
    best = scores.topk(min(SHOWN, len(scores))).indices
    best = best[scores[best] >= LEAST]
    logits = prediction.mask_logits[:, best, 0].float()
    if not len(best):
        return []
    whole = F.interpolate(logits, pixels.shape[-2:], mode="bilinear", align_corners=False)[0] > 0
    masks = whole[:, : size[0], : size[1]].cpu().numpy()
    return [
        Painted(int(query) + 1, "object", float(scores[query]), mask)
        for query, mask in zip(best, masks, strict=True)
        if mask.any()
    ]
