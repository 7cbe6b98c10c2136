"""Ways that take what a network finds in each frame for detections: followed, and perhaps named, by others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ovvis.inference.associations import association_of
from ovvis.inference.followed import Gatherer, geometric
from ovvis.inference.look import Look
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.inference.proposals import Detecting, detected_in, final_of
from ovvis.inference.seen import Seen
from ovvis.models.settings import Following
from ovvis.reproduction.cropped import LOOK_EVERY, crop_namer
from ovvis.reproduction.rows import Way
from ovvis.structures import Detected, Followed, Frame, Track, Window


@dataclass(frozen=True, slots=True)
class _Seen:
    """How a network's frame becomes detections: what ways share."""

    settings: tuple[object, ...]  # what of a way's settings decides its names


class ProposedWays:
    """Follows the proposals of a network through one video in many ways.

    Args:
        ways: the ways.
        segmenter: the model with its vocabulary.
        size: height and width of the frames.
    """

    def __init__(self, ways: Sequence[Way], segmenter: VideoSegmenter, size: tuple[int, int]) -> None:
        self._segmenter = segmenter
        labels = segmenter.text.labels
        self._ways = {
            way: (association_of(way.settings, way.how or Following()), Gatherer(size, labels)) for way in ways
        }
        self._ages: dict[Way, Counter[int]] = {way: Counter() for way in ways}  # frames that a tube was seen in

    def add(self, window: Window, seen: Seen, look: Look) -> None:
        """Take the next window."""
        made: dict[_Seen, list[Detected]] = {}
        for way, (association, gatherer) in self._ways.items():
            view, settings = _view(way), way.settings
            if view not in made:
                how = Detecting(quality=settings.mask_quality)
                made[view] = detected_in(window, seen, look.padded, settings, how)
            for frame, detected in zip(window.frames, made[view], strict=True):
                followed = association.update(detected, frame.image)
                gatherer.add(self._named(way, frame, detected, followed), followed)

    def _named(self, way: Way, frame: Frame, detected: Detected, followed: Followed) -> Detected:
        """Return a frame's things named as a way wants it; by crops a tube is in its first frame, and then at times."""
        if way.crops is None:
            return detected
        ages, tubes = self._ages[way], followed.tubes.tolist()
        rows = np.array(
            [i for i, tube in enumerate(tubes) if tube >= 0 and ages[tube] % LOOK_EVERY == 0], dtype=np.intp
        )
        ages.update(tube for tube in tubes if tube >= 0)
        names = np.full((len(detected), len(self._segmenter.text.labels)), np.nan, dtype=np.float32)
        named = crop_namer(self._segmenter, way.crops, way.settings.none_logit)(frame.image, detected.choose(rows))
        assert named.names is not None
        names[rows] = named.names
        return replace(detected, names=names)

    def finish(self, max_tracks: int) -> Iterator[tuple[Way, list[Track]]]:
        """Yield the tracks of each way; their masks can be read until the next is asked for."""
        for way, (_, gatherer) in self._ways.items():
            final = geometric if way.crops is not None else final_of(way.settings)
            frames = 1 if way.how is None else way.how.min_frames
            tracks, _, store = gatherer.finish(final, max_tracks, min_frames=frames)
            try:
                yield way, tracks
            finally:
                store.close()

    def close(self) -> None:
        """Free the masks."""
        for _, gatherer in self._ways.values():
            gatherer.close()


def is_proposed(way: Way) -> bool:
    """Return whether a way takes a network's queries for detections."""
    return way.settings.followed != "queries"


def _view(way: Way) -> _Seen:
    s = way.settings
    decides = (s.class_score, s.none_logit, s.average, s.weighting, s.use_iou, s.use_object, s.mask_quality)
    return _Seen(decides)
