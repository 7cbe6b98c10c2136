"""Options of the trackers that follow what is found in each frame."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from ovvis.cli.options import completing, grouped
from ovvis.errors import InputError
from ovvis.models.settings import PROPAGATORS, TRACKERS, Following

_option = grouped("Trackers of detections (sort, overlap, propagate)")


@dataclass(frozen=True, kw_only=True)
class FollowingOptions:
    """The options as typed; `sharing(FollowingOptions)` gives them to a verb."""

    overlap: Annotated[
        float | None, _option(min=0, max=1, help="Overlap from which two may be one thing; 0.3 if not given.")
    ] = None
    patience: Annotated[
        int | None, _option(min=0, help="Frames for which a thing may be unseen and go on; 30 if not given.")
    ] = None
    start_score: Annotated[
        float | None, _option(min=0, max=1, help="Score from which a thing begins a track; 0 if not given.")
    ] = None
    propagator: Annotated[
        str | None,
        _option(
            help=f"Who carries masks on for propagate: {', '.join(PROPAGATORS)} (SAM 2, with the extra sam2); colours "
            "if not given.",
            metavar="NAME",
            autocompletion=completing(PROPAGATORS),
        ),
    ] = None
    min_frames: Annotated[int | None, _option(min=1, help="Leave out tracks of fewer frames.")] = None

    def find(self, tracker: str | None, any_may_be_short: bool = False) -> Following:
        """Return how things are followed.

        Args:
            tracker: by name; None: the model's own, which follows its queries.
            any_may_be_short: whether tracks of few frames can be left out whatever follows them.

        Raises:
            InputError: an option that the tracker has no use for, or that cannot be used.
        """
        kind = "queries" if tracker is None else TRACKERS[tracker]["followed"]
        used = set() if kind == "queries" else {"overlap", "patience", "start_score", "min_frames"}
        used |= {"propagator"} if kind == "propagate" else set()
        used |= {"min_frames"} if any_may_be_short else set()
        for name, value in asdict(self).items():
            if value is not None and name not in used:
                flag = f"--{name.replace('_', '-')}"
                those = "propagate" if name == "propagator" else "sort, overlap or propagate"
                asked = "the model's own tracker" if tracker is None else f"--tracker {tracker}"
                raise InputError(f"{flag} {value}: {asked} has no use for it; leave it out, or give --tracker {those}")
        names = {"overlap": "least", "start_score": "start"}
        given: dict[str, Any] = {names.get(k, k): v for k, v in asdict(self).items() if v is not None}
        return Following(**given)
