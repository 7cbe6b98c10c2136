"""CLIP-VIS' Fig. 4 on a video of the packaged world: its queries' embeddings, and the object that matchings lose."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ovvis.errors import InputError
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.models.settings import TRACKERS, VideoSettings
from ovvis.reproduction.drawing import Matchings, draw_embeddings
from ovvis.reproduction.paper_figures import write_csv
from ovvis.reproduction.projection import LEAST, Floats, in_two_dimensions
from ovvis.reproduction.query_points import QueryPoints, query_points, telling_object
from ovvis.reproduction.rows import Row
from ovvis.reproduction.videos import Videos

BETTER, OTHERS = "topk", ("adjacent", "longterm")
"""The matchings of the paper's figure, by the names of --tracker."""


@dataclass(frozen=True, slots=True)
class Telling:
    """The video that tells most."""

    number: int  # among the videos, from 0
    points: QueryPoints
    object: int | None  # with which the better matching goes most beyond the others; None: there is none


def matchings_of(own: VideoSettings) -> dict[str, VideoSettings]:
    """Return the matchings' settings, as released, with a model's own otherwise."""
    return {name: Row(name, TRACKERS[name]).way(own).settings for name in (BETTER, *OTHERS)}


def telling_video(
    segmenter: VideoSegmenter,
    videos: Videos,
    label_of: Mapping[int, int],
    on_frame: Callable[[int, int], object],
) -> Telling:
    """Return the video in which the better matching goes most beyond the worst of the others with an object.

    Args:
        segmenter: the model, with the videos' categories as its vocabulary.
        videos: to look through; their truths are known by pixel.
        label_of: position in the vocabulary of each category id.
        on_frame: told how many frames are seen, and how many there are.

    Raises:
        InputError: no video has queries enough to lay out.
    """
    segmenter = segmenter.with_settings(replace(segmenter.settings, window=1))
    matchings = matchings_of(segmenter.model.video)
    total, done, best, most = sum(map(videos.length, range(len(videos)))), 0, None, -1.0
    for number in range(len(videos)):
        told = partial(_tell, on_frame, done, total)
        points = query_points(segmenter, videos.video(number), label_of, matchings, told)
        done += videos.length(number)
        if len(points.frames) < LEAST:
            continue
        place = telling_object(points, BETTER, OTHERS)
        gain = 0.0 if place is None else points.share(BETTER, place) - min(points.share(o, place) for o in OTHERS)
        if gain > most:
            best, most = Telling(number, points, place), gain
    if best is None:
        raise InputError(
            f"the model finds too few objects in {videos.name} to lay their queries out: take other videos"
        )
    return best


def _tell(on_frame: Callable[[int, int], object], before: int, total: int, frames: int) -> None:
    on_frame(before + frames, total)


def draw(found: Telling, videos: Videos, pictures: Sequence[Path], table: Path, seed: int) -> dict[str, Any]:
    """Draw a video's embeddings, write every point, and return what they say in numbers.

    Args:
        found: the video.
        videos: that it is of.
        pictures: where to draw.
        table: where the points go (CSV).
        seed: of the layout.
    """
    points, place = found.points, found.object
    names = {category.id: category.name for category in videos.categories}
    called = {n: f"{names[id]} #{n + 1}" for n, id in enumerate(points.categories)}
    taken = _taken(points, place)
    laid = in_two_dimensions(np.concatenate([points.vectors, *taken.values()]), seed)
    count = len(points.frames)
    matchings = None if place is None else _matchings(points, place, laid[:count], laid[count:], called[place])
    draw_embeddings(laid[:count], points.objects, called, matchings, pictures)
    head = [
        "frame",
        "object",
        "category",
        "query",
        "overlap",
        "x",
        "y",
        *(f"{name} keeps it" for name in (BETTER, *OTHERS)),
    ]
    write_csv(table, head, _rows(points, laid, names))
    return _facts(found, videos, called, points)


def _taken(points: QueryPoints, place: int | None) -> dict[str, Floats]:
    """Return the queries that the other matchings took in the object's place, each once."""
    out: dict[str, Floats] = {}
    for other in OTHERS if place is not None else ():
        lost = (points.objects == place) & ~points.right(other)
        out[other] = np.unique(points.wrong[other][lost], axis=0)
    return out


def _matchings(points: QueryPoints, place: int, places: Floats, taken: Floats, name: str) -> Matchings:
    here = points.objects == place
    better = points.right(BETTER)[here]
    every = better & np.logical_and.reduce([points.right(other)[here] for other in OTHERS])
    return Matchings(
        title=f"{name}: who keeps to it in {int(here.sum())} frames",
        places=places[here],
        all_right=every,
        better_right=better & ~every,
        taken=taken,
        better=BETTER,
        others=" or ".join(OTHERS),
    )


def _rows(points: QueryPoints, laid: Floats, names: Mapping[int, str]) -> list[tuple[object, ...]]:
    return [
        (
            int(points.frames[i]),
            int(points.objects[i]) + 1,
            names[points.categories[points.objects[i]]],
            int(points.queries[i]),
            round(float(points.overlaps[i]), 4),
            *(round(float(value), 4) for value in laid[i]),
            *(int(points.right(name)[i]) for name in (BETTER, *OTHERS)),
        )
        for i in range(len(points.frames))
    ]


def _facts(found: Telling, videos: Videos, called: Mapping[int, str], points: QueryPoints) -> dict[str, Any]:
    everything = (BETTER, *OTHERS)
    objects = np.unique(points.objects).tolist()
    return {
        "videos": len(videos),
        "video": found.number + 1,
        "frames": videos.length(found.number),
        "points": len(points.frames),
        "nearest neighbour is of the same object": _rounded(points.nearest_is_own()),
        "kept": {name: _rounded(points.share(name)) for name in everything},
        "object": None if found.object is None else called[found.object],
        "objects": {
            called[n]: {
                "points": int((points.objects == n).sum()),
                **{name: _rounded(points.share(name, n)) for name in everything},
            }
            for n in objects
        },
    }


def _rounded(share: float) -> float | None:
    return None if math.isnan(share) else round(share, 4)
