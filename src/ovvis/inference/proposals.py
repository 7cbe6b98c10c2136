"""A segmenter as a detector: what its network finds in each frame, before anybody follows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ovvis.inference.final_masks import masks_of
from ovvis.inference.followed import Final, Floats
from ovvis.inference.look import Look
from ovvis.inference.seen import Seen
from ovvis.masks import Rle
from ovvis.models.settings import VideoSettings
from ovvis.structures import Detected, Frame, Window
from ovvis.tracking.detected import without_twins


@dataclass(frozen=True, slots=True)
class Detecting:
    """Which of a network's queries count as things that are in a frame."""

    least: float = 0.3  # object score from which a query is a thing, in [0, 1]
    most: int = 50  # of a frame, the best scored
    quality: bool = True  # whether the masks' pixels' confidence counts
    twins: float = 0.7  # overlap from which the worse of two is the same thing again; 1: they never are


def proposals(look: Look, settings: VideoSettings, how: Detecting) -> Iterator[tuple[Frame, Detected]]:
    """Yield each frame with the things that a network finds there, named and with embeddings.

    Args:
        look: the network's pass over a video.
        settings: how its scores are made.
        how: which queries count.
    """
    for window, seen in look:
        with look.watch("tracks"):
            found = detected_in(window, seen, look.padded, settings, how)
        yield from zip(window.frames, found, strict=True)


def detected_in(
    window: Window, seen: Seen, padded: tuple[int, int], settings: VideoSettings, how: Detecting
) -> list[Detected]:
    """Return what a network finds in each frame of a window.

    Args:
        window: the frames.
        seen: what the network says of them.
        padded: height and width of its input, padding included.
        settings: how its scores are made.
        how: which queries count.
    """
    names = seen.scores(settings) if settings.average == "scores" else seen.classes(settings)
    best = (names.max(1).values * seen.objects).sqrt() if settings.use_object else names.max(1).values.sqrt()
    queries = torch.nonzero(seen.objects >= how.least).flatten()
    queries = queries[best[queries].argsort(descending=True, stable=True)]
    codes = masks_of(seen.masks[queries], padded, window)
    return [_detected(seen, t, queries, names, found, how) for t, found in enumerate(codes)]


def _detected(seen: Seen, t: int, queries: Tensor, names: Tensor, codes: list[Rle | None], how: Detecting) -> Detected:
    rows = [i for i, code in enumerate(codes) if code is not None]
    found = [code for code in codes if code is not None]
    kept = without_twins(found, how.twins)[: how.most]
    chosen = [rows[i] for i in kept]
    picked = queries[chosen]
    sure = seen.confidence[picked, t] / (seen.pixels[picked, t] + 1e-6) if how.quality else None
    return Detected(
        masks=tuple(found[i] for i in kept),
        scores=seen.objects[picked].cpu().double().numpy(),
        embeddings=seen.prediction.embeddings[0, picked].float().cpu().numpy(),
        names=names[picked].float().cpu().numpy(),
        quality=None if sure is None else sure.float().cpu().numpy(),
    )


def final_of(settings: VideoSettings) -> Final:
    """Return what makes a tube's scores from its means over frames, as the model's tubes are scored."""

    def final(names: Floats, scores: Floats) -> Floats:
        product = names * scores[:, None] if settings.use_object else names
        out: Floats = np.sqrt(product) if settings.weighting == "released" else product
        return out

    return final
