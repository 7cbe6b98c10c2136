"""What cannot be done is refused before any frame is read."""

from __future__ import annotations

from ovvis.errors import InputError
from ovvis.inference.trackers import matching
from ovvis.models.export.exported import AnyModel
from ovvis.models.settings import VideoSettings


def checked_score(value: float) -> float:
    """Return a score from which instances are shown.

    Raises:
        InputError: it is not in [0, 1].
    """
    if not (0 <= value <= 1):
        raise InputError(f"min_score {value}: it must lie in [0, 1]")
    return value


def check_settings(model: AnyModel, settings: VideoSettings) -> None:
    """Refuse a window that the model cannot name, and a tracker that cannot be built, before any frame is read.

    Raises:
        InputError: the settings cannot be used.
    """
    window = settings.window
    if window is not None and window < 1:
        raise InputError(f"window {window}: it must be at least 1 frame; None takes the whole video")
    if window != 1 and model.classifier.one_frame:
        shown = "of the whole video" if window is None else window
        raise InputError(f"window {shown}: {model.name} names frame by frame; leave its window at 1")
    _check_learnt(model, settings)
    try:
        matching(settings)
    except ValueError as error:
        raise InputError(str(error)) from error


def check_stream(settings: VideoSettings) -> None:
    """Refuse a tracker that has no stream.

    Raises:
        InputError: it wants the whole video, or follows detections.
    """
    if settings.learnt == "offline":
        raise InputError("tracker offline: it wants the whole video, so it has no stream; ask for online")
    if settings.followed != "queries":
        raise InputError(
            f"tracker {settings.followed}: it follows what was detected in a whole video, so it has no "
            "stream; ask for adjacent, topk, longterm or births"
        )


def _check_learnt(model: AnyModel, settings: VideoSettings) -> None:
    """Refuse a learnt tracker that the model has not, and what cannot go with one."""
    if settings.learnt == "none":
        return
    part = model.tracker if settings.learnt == "online" else model.refiner
    if part is None:
        raise InputError(
            f"tracker {settings.learnt}: {model.name} has none; ask for adjacent, topk, longterm or births"
        )
    if settings.birth is not None or settings.names:
        raise InputError(
            f"tracker {settings.learnt}: a learnt tracker goes on in every frame; births and names are of "
            "matchings, so leave them out or ask for another tracker"
        )
