"""Ways that take what a network finds in each frame for detections: followed, and perhaps named, by others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ovvis.inference.associations import association_of
from ovvis.inference.followed import Gatherer, geometric
from ovvis.inference.look import Look, Seen
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.inference.proposals import Detecting, detected_in, final_of
from ovvis.models.settings import Following
from ovvis.reproduction.cropped import crop_namer
from ovvis.reproduction.experiments import Way
from ovvis.structures import Detected, Track, Window


@dataclass(frozen=True, slots=True)
class _Seen:
    """How a network's frame becomes detections: what ways share."""

    settings: tuple[object, ...]  # what of a way's settings decides its names
    crops: str | None


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

    def add(self, window: Window, seen: Seen, look: Look) -> None:
        """Take the next window."""
        made: dict[_Seen, list[Detected]] = {}
        for way, (association, gatherer) in self._ways.items():
            view, plain, settings = _view(way), _view(replace(way, crops=None)), way.settings
            if plain not in made:
                how = Detecting(quality=settings.mask_quality)
                made[plain] = detected_in(window, seen, look.padded, settings, how)
            if way.crops is not None and view not in made:
                namer = crop_namer(self._segmenter, way.crops, settings.none_logit)
                made[view] = [namer(frame.image, one) for frame, one in zip(window.frames, made[plain], strict=True)]
            for frame, detected in zip(window.frames, made[view], strict=True):
                gatherer.add(detected, association.update(detected, frame.image))

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
    return _Seen(decides, way.crops)
