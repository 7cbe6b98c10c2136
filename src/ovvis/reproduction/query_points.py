"""The query embeddings of a video's objects, and which matching keeps to them: what CLIP-VIS' Fig. 4 shows.

In each frame the true objects are given the queries whose masks overlap them most (the Hungarian method, by a half at
least). A matching starts with the tube that holds an object's first query; from then on it is right in a frame if that
tube holds the object's query there. An object that no query finds in a frame has no point there, and counts for none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ovvis.inference.pipeline import VideoSegmenter
from ovvis.inference.trackers import build_tracker
from ovvis.models.settings import VideoSettings
from ovvis.reproduction.truth import HALF, WindowTruth
from ovvis.reproduction.videos import Shown

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class QueryPoints:
    """The queries of a video's objects; P points, one for each object and frame in which a query has it."""

    frames: Ints  # P
    objects: Ints  # P; the object's place, from 0
    queries: Ints  # P
    overlaps: Floats  # P; of the query's mask with the object's
    vectors: Floats  # P, D; of unit length, as matchings compare them
    categories: tuple[int, ...]  # of each object its category's id
    held: Mapping[str, Ints]  # by matching, P: the query that the object's tube holds there
    wrong: Mapping[str, Floats]  # by matching, P, D: that query's vector

    def right(self, matching: str) -> NDArray[np.bool_]:
        """Return where a matching keeps to the object (P)."""
        return np.asarray(self.held[matching] == self.queries)

    def share(self, matching: str, place: int | None = None) -> float:
        """Return the share of points in which a matching is right: of an object, or of all; nan for none."""
        here = self.right(matching)[slice(None) if place is None else self.objects == place]
        return float(here.mean()) if len(here) else float("nan")

    def nearest_is_own(self) -> float:
        """Return how often a point's nearest one of another frame (cosine) is of the same object; nan for none."""
        near = self.vectors @ self.vectors.T
        near[self.frames[:, None] == self.frames[None, :]] = -np.inf
        known = np.isfinite(near).any(1)
        return float((self.objects[near.argmax(1)] == self.objects)[known].mean()) if known.any() else float("nan")


def query_points(
    segmenter: VideoSegmenter,
    video: Shown,
    label_of: Mapping[int, int],
    matchings: Mapping[str, VideoSettings],
    on_frame: Callable[[int], None],
) -> QueryPoints:
    """Return the queries of a video's objects, under matchings of the same predictions.

    Args:
        segmenter: the model with its vocabulary; its window is one frame.
        video: a video whose truth is known by pixel.
        label_of: position in the vocabulary of each category id.
        matchings: settings by name.
        on_frame: called with the number of frames seen.

    Raises:
        ValueError: the video's truth is not known by pixel, or windows are of several frames.
    """
    if video.owners is None or segmenter.settings.window != 1:
        raise ValueError("query points need a truth by pixel, and windows of one frame")
    look = segmenter.with_settings(replace(segmenter.settings, learnt="none")).look(video.source())
    trackers = {name: build_tracker(settings) for name, settings in matchings.items()}
    labels = tuple(label_of[category] for category in video.categories)
    rows: list[tuple[int, int, int, float]] = []
    vectors: list[Floats] = []
    held: dict[str, list[int]] = {name: [] for name in matchings}
    wrong: dict[str, list[Floats]] = {name: [] for name in matchings}
    tube: dict[str, dict[int, int]] = {name: {} for name in matchings}
    for window, seen in look:
        frame = window.frames[0].index
        truth = WindowTruth(video.owners[[frame]], labels, look.size, look.padded)
        orders = {name: seen.followed_by(tracker, matchings[name]).numpy() for name, tracker in trackers.items()}
        embeddings = _unit(seen.prediction.embeddings[0])
        for place, query, overlap in _found(truth.overlaps(seen.masks).numpy().astype(np.float64)):
            rows.append((frame, place, query, overlap))
            vectors.append(embeddings[query])
            for name, order in orders.items():
                own = tube[name].setdefault(place, int(np.flatnonzero(order == query)[0]))
                held[name].append(int(order[own]))
                wrong[name].append(embeddings[order[own]])
        on_frame(frame + 1)
    width = vectors[0].shape[0] if vectors else 0
    frames, objects, queries, overlaps = zip(*rows, strict=True) if rows else ((), (), (), ())
    return QueryPoints(
        frames=np.array(frames, dtype=np.int64),
        objects=np.array(objects, dtype=np.int64),
        queries=np.array(queries, dtype=np.int64),
        overlaps=np.array(overlaps, dtype=np.float64),
        vectors=_stacked(vectors, width),
        categories=video.categories,
        held={name: np.array(each, dtype=np.int64) for name, each in held.items()},
        wrong={name: _stacked(each, width) for name, each in wrong.items()},
    )


def telling_object(points: QueryPoints, better: str, others: Sequence[str]) -> int | None:
    """Return the object with which one matching goes most beyond the worst of others; None where it does with none."""
    gains = {
        place: points.share(better, place) - min(points.share(other, place) for other in others)
        for place in np.unique(points.objects).tolist()
    }
    best = max(gains, key=lambda place: gains[place], default=None)
    return best if best is not None and gains[best] > 0 else None


def _found(overlaps: Floats) -> list[tuple[int, int, float]]:
    """Return the objects that queries have, as object, query, overlap; of overlaps (Q, N)."""
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    pairs = sorted(zip(columns.tolist(), rows.tolist(), strict=True))
    return [(n, q, float(overlaps[q, n])) for n, q in pairs if overlaps[q, n] >= HALF]


def _unit(embeddings: torch.Tensor) -> Floats:
    found: Floats = torch.nn.functional.normalize(embeddings.double(), dim=-1).cpu().numpy()
    return found


def _stacked(vectors: list[Floats], width: int) -> Floats:
    return np.stack(vectors) if vectors else np.zeros((0, width))
