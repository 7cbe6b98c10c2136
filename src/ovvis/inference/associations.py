"""Trackers by name, for what was detected in single frames."""

from __future__ import annotations

from dataclasses import dataclass

from ovvis.errors import InputError
from ovvis.models.settings import LEARNT, TRACKERS, find_tracker
from ovvis.tracking.detected import Association, Overlap, Sort
from ovvis.tracking.embedded import Embedded
from ovvis.tracking.tracker import Tracker

FOR_DETECTIONS = tuple(name for name in TRACKERS if name not in LEARNT)
"""The trackers that follow what any detector found."""


@dataclass(frozen=True, slots=True)
class Following:
    """How detections are followed.

    Raises:
        InputError: a number outside its range.
    """

    least: float = 0.3  # overlap from which two may be one thing, in [0, 1]
    patience: int = 30  # frames for which a tube may be unseen and still go on
    start: float = 0.0  # score from which a thing may begin a tube, in [0, 1]
    slots: int = 100  # of trackers by embeddings: things that are followed at once

    def __post_init__(self) -> None:
        for name, value in (("overlap", self.least), ("start", self.start)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} {value:g}: it must lie in [0, 1]")
        if self.patience < 0 or self.slots < 1:
            raise InputError(f"patience {self.patience}, slots {self.slots}: give 0 frames or more, and 1 slot or more")


def build_association(name: str, how: Following) -> Association:
    """Return a tracker of detections, at its beginning.

    Raises:
        InputError: there is none of that name, or it follows a network's own queries alone.
    """
    chosen = find_tracker(name)
    if name in LEARNT:
        raise InputError(
            f"tracker {name}: it is a part of OV-DVIS++ and follows its queries; detections are followed by "
            f"{', '.join(FOR_DETECTIONS)}"
        )
    if chosen["followed"] == "sort":
        return Sort(how.least, how.patience, how.start)
    if chosen["followed"] == "overlap":
        return Overlap(how.least, how.patience, how.start)
    own = {key: value for key, value in chosen.items() if key not in ("followed", "learnt")}
    # What only remembers windows forgets a thing that was not seen in them.
    forgets = own["birth"] is None and own["momentum"] is None
    return Embedded(Tracker(**own), how.slots, own["memory"] if forgets else None)
