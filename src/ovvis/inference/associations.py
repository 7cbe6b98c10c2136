"""Trackers by name, for what was detected in single frames."""

from __future__ import annotations

from ovvis.errors import InputError, nearest
from ovvis.models.settings import LEARNT, PROPAGATORS, SAM2, TRACKERS, Following, VideoSettings, with_tracker
from ovvis.tracking.detected import Association, Overlap, Sort
from ovvis.tracking.embedded import Embedded
from ovvis.tracking.propagate import Propagate, Propagator
from ovvis.tracking.readout import MemoryReadout
from ovvis.tracking.tracker import Tracker

FOR_DETECTIONS = tuple(name for name in TRACKERS if name not in LEARNT)
"""The trackers that follow what any detector found."""


def build_propagator(name: str) -> Propagator:
    """Return what carries masks on, at its beginning.

    Raises:
        InputError: there is none of that name.
        ResourceError: its package is missing, or its weights cannot be fetched.
    """
    if name not in PROPAGATORS:
        raise InputError(f"propagator {name!r}: there is none of that name; {nearest(name, PROPAGATORS)}")
    if name == "colours":
        return MemoryReadout()
    from ovvis.models.sam2 import load_sam2  # an optional package

    return load_sam2(SAM2[name])


def build_association(name: str, how: Following) -> Association:
    """Return a tracker of detections, at its beginning.

    Raises:
        InputError: there is none of that name, or it follows a network's own queries alone.
    """
    return association_of(with_tracker(VideoSettings(), name), how)


def association_of(settings: VideoSettings, how: Following) -> Association:
    """Return the tracker of detections that settings describe, at its beginning.

    Raises:
        InputError: it follows a network's own queries alone.
    """
    if settings.learnt != "none":
        raise InputError(
            f"tracker {settings.learnt}: it is a part of OV-DVIS++ and follows its queries; detections are followed by "
            f"{', '.join(FOR_DETECTIONS)}"
        )
    if settings.followed == "sort":
        return Sort(how.least, how.patience, how.start)
    if settings.followed == "overlap":
        return Overlap(how.least, how.patience, how.start)
    if settings.followed == "propagate":
        return Propagate(build_propagator(how.propagator), how.least, how.patience, how.start)
    s = settings
    tracker = Tracker(s.memory, s.matched, s.recency_weighted, s.momentum, s.birth)
    # What only remembers windows forgets a thing that was not seen in them.
    forgets = s.birth is None and s.momentum is None
    return Embedded(tracker, how.slots, s.memory if forgets else None)
