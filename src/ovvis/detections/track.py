"""A video and what any detector found in its frames: one result, as the segmenter's own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from ovvis.detections.exported import forget
from ovvis.detections.given import Given
from ovvis.detections.naming import Namer, crop_namer
from ovvis.detections.read import read_detections, video_of
from ovvis.detections.sheet import Sheet
from ovvis.detections.sheet import Video as Facts
from ovvis.errors import InputError
from ovvis.inference.associations import build_association
from ovvis.inference.followed import Gatherer, follow
from ovvis.inference.whole import result_of
from ovvis.models.settings import Following
from ovvis.sources.video import OpenOptions, Source, open_source
from ovvis.structures import Detected, Frame, VideoResult
from ovvis.tracking.detected import Association
from ovvis.version import __version__
from ovvis.vocabulary import Vocabulary

UNSHOWN = "frames with detections that the video, as it is asked for, does not show"
UNSEEN = "frames of the video without a detection"
LOW = "detections below the least score, left out"


@dataclass
class _Shown:
    """Puts things to the frames that a video shows."""

    source: Iterable[Frame]
    found: Sheet | Given
    least: float  # score of a thing
    namer: Namer | None
    notes: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[tuple[Frame, Detected]]:
        shown = set[int]()
        for frame in self.source:
            if isinstance(self.found, Sheet):
                detected = self.found.at(frame.index)
                shown.add(frame.index)
            else:
                detected = self.found.next()
            self.notes[UNSEEN] += not len(detected)
            rows = np.flatnonzero(detected.scores >= self.least)
            if len(rows) < len(detected):
                self.notes[LOW] += len(detected) - len(rows)
                detected = detected.choose(rows)
            yield frame, detected if self.namer is None else self.namer(frame.image, detected)
        if isinstance(self.found, Sheet):
            self.notes[UNSHOWN] = len(set(self.found.numbers) - shown)


def track(
    detections: str | Path | VideoResult | Sheet | Iterable[Any],
    video: Any,
    *,
    tracker: str | Association = "sort",
    how: Following | None = None,
    format: str | None = None,
    first: int | None = None,
    annotations: str | Path | None = None,
    categories: Mapping[int, str] | None = None,
    labels: Vocabulary | str | Iterable[Any] | None = None,
    clip: str | None = None,
    namer: Namer | None = None,
    least: float = 0.0,
    max_tracks: int | None = None,
    facts: Facts | None = None,
    on_frame: Callable[[int], None] | None = None,
    **options: Unpack[OpenOptions],
) -> VideoResult:
    """Make tracks of what any detector found in a video's frames.

    Args:
        detections: a file or folder (see `FORMATS_READ`), or what `read_detections` made of it; a result, whose
            identities are forgotten; or for each frame, in order, a `supervision.Detections` or what else `Given`
            takes.
        video: what `open_source` takes or returns.
        tracker: a name of `FOR_DETECTIONS`, or an association of your own.
        how: how they are followed, where a name says by whom.
        format: of a file; None finds out.
        first: the number that a file gives the first frame, 0 or 1; None finds out, or refuses.
        annotations: of COCO's results: the file that lists their images and categories.
        categories: names by the detections' own category ids.
        labels: words that a CLIP names things by, as `VideoSegmenter` takes them; None: their own labels stay.
        clip: which CLIP looks at them (`load_clip`), cut out one by one; None: `DEFAULT_CLIP`, if there are labels.
        namer: in place of both, what names things and says how they look.
        least: score below which a thing is left out, in [0, 1].
        max_tracks: the best (tube, label) pairs; None takes every tube.
        facts: what is known of the video, where it is open already; None finds out.
        on_frame: called with the number of frames done.
        options: those of `open_source`, for a video that is not open yet.

    Returns:
        The result, as `VideoSegmenter` gives it; `notes` tells what was left out, guessed or converted.

    Raises:
        InputError: something cannot be read or used so.
    """
    if not 0 <= least <= 1:
        raise InputError(f"the least score {least:g} must lie in [0, 1]")
    started = time.perf_counter()
    source = video if isinstance(video, Source) else open_source(video, **options)
    known = facts or video_of(_whole(video, source, options), video)
    if isinstance(detections, (str, Path)):
        detections = read_detections(
            detections, known, format, first=first, annotations=annotations, categories=categories
        )
    found = _taken(detections, known, categories)
    how = how or Following()
    if namer is None and (labels is not None or clip is not None):
        namer = crop_namer(labels, clip)
    # Of detections that still come, nobody knows yet what they carry.
    looked_at = namer is not None or not isinstance(found, Sheet) or found.embedded
    name, association = _association(tracker, how, looked_at)
    shown = _Shown(source, found, least, namer)
    gatherer = Gatherer(known.size, None if namer is None else namer.labels)
    seconds = {"read": time.perf_counter() - started}
    try:
        indices, times = follow(shown, association, gatherer, on_frame)
        tracks, labels, storage = gatherer.finish(max_tracks=max_tracks, min_frames=how.min_frames)
    except BaseException:
        gatherer.close()
        raise
    seconds["tracking"] = time.perf_counter() - started - seconds["read"]
    said = {**found.notes, **shown.notes}
    return result_of(
        source,
        indices,
        times,
        tracks,
        storage,
        labels=labels,
        settings={
            "ovvis": __version__,
            "model": "detections",
            "tracker": name,
            "tracks": {**asdict(how), "least_score": least, "max_tracks": max_tracks},
            **({} if namer is None else {"named_by": namer.describe()}),
        },
        seconds=seconds,
        said=[f"{what}: {number:,}" for what, number in said.items() if number],
    )


def _taken(
    detections: VideoResult | Sheet | Iterable[Any], known: Facts, categories: Mapping[int, str] | None
) -> Sheet | Given:
    """Return detections that are in memory already as `_Shown` takes them."""
    if isinstance(detections, VideoResult):
        return forget(detections, Path(detections.source), known)
    return detections if isinstance(detections, Sheet) else Given(detections, known.size, categories)


def _association(tracker: str | Association, how: Following, looked_at: bool) -> tuple[str, Association]:
    """Return a tracker's name, and it.

    Raises:
        InputError: it compares how things look, and nobody has looked at them.
    """
    name = tracker if isinstance(tracker, str) else type(tracker).__name__
    association = build_association(tracker, how) if isinstance(tracker, str) else tracker
    if association.looks and not looked_at:
        raise InputError(
            f"tracker {name}: it compares how things look, and these detections carry no embeddings: name a CLIP with "
            "--clip, or follow them by sort, overlap or propagate"
        )
    return name, association


def _whole(video: Any, source: Source, options: OpenOptions) -> Source:
    """Return all frames of a video, of which perhaps a part is asked for; what can be read once is not opened again."""
    if not isinstance(video, (str, Path)) or source.endless:
        return source
    kept: OpenOptions = {key: options[key] for key in ("fps", "stream", "levels") if key in options}  # type: ignore[assignment]
    return open_source(video, **kept)
