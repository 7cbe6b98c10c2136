"""What follows the queries of a video, as settings describe it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ovvis.models.export.exported import AnyModel
from ovvis.models.settings import VideoSettings
from ovvis.tracking.association import Match
from ovvis.tracking.learnt import InOrder, LearntTracker
from ovvis.tracking.tracker import Tracker, compare


def build_tracker(settings: VideoSettings, match: Callable[[Tensor, Tensor], Match] = compare) -> Tracker | InOrder:
    """Return the tracker that settings describe, of what `Look` gives; see `Tracker` for `match`.

    Raises:
        ValueError: a number outside its range.
    """
    return matching(settings, match) if settings.learnt == "none" else InOrder()


def build_learnt(model: AnyModel, settings: VideoSettings) -> LearntTracker:
    """Return a model's learnt tracker, which must be there, with the matching that comes first."""
    assert model.tracker is not None
    return LearntTracker(model.tracker, matching(settings))


def matching(settings: VideoSettings, match: Callable[[Tensor, Tensor], Match] = compare) -> Tracker:
    """Return the matching of embeddings that settings describe; arguments and errors as in `build_tracker`."""
    s = settings
    return Tracker(s.memory, s.matched, s.recency_weighted, s.momentum, s.birth, s.names, match)
