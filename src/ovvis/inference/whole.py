"""A whole video: from its first frame to its tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ovvis.inference.associations import build_association
from ovvis.inference.followed import Gatherer, follow
from ovvis.inference.look import Look
from ovvis.inference.proposals import Detecting, final_of, proposals
from ovvis.inference.region import PlacedMasks, shown_size
from ovvis.inference.run import Run
from ovvis.inference.seen import Seen
from ovvis.sources.source import Source
from ovvis.structures import SHOWN_SCORE, FrameResult, Storage, Track, VideoResult, Window

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter


@dataclass(frozen=True, slots=True)
class _Made:
    """The tracks of a video, and what made them."""

    tracks: list[Track]
    store: Storage
    indices: list[int]
    times: list[float]
    look: Look


def segment(
    segmenter: VideoSegmenter,
    source: Source,
    on_frame: Callable[[int], None] | None,
    on_seen: Callable[[Iterator[FrameResult]], object] | None,
    told: Iterable[tuple[Window, Seen]] | None = None,
) -> VideoResult:
    """Segment a whole video: see `VideoSegmenter.__call__`.

    Args:
        segmenter: what segments it.
        source: its frames.
        on_frame: see there.
        on_seen: see there.
        told: each window in order, with what the network said of it already; the frames are not read then.
    """
    if segmenter.settings.followed == "queries":
        made = _follow_queries(segmenter, source, on_frame, on_seen, told)
    else:
        made = _follow_proposals(segmenter, source, on_frame)
    region, look = source.info.region, made.look
    return result_of(
        source,
        made.indices,
        made.times,
        made.tracks,
        made.store,
        labels=segmenter.vocabulary.names,
        settings=segmenter.describe(look.size) | ({} if region is None else {"region": asdict(region)}),
        seconds=look.watch.seconds,
    )


def result_of(
    source: Source,
    indices: list[int],
    times: list[float],
    tracks: list[Track],
    store: Storage | None,
    *,
    labels: tuple[str, ...],
    settings: dict[str, Any],
    seconds: dict[str, float],
    said: Sequence[str] = (),
) -> VideoResult:
    """Return what was found in a source, with what the source says of itself.

    Args:
        source: read to its end.
        indices: number of each frame that was looked at.
        times: when it is shown, seconds.
        tracks: what was found.
        store: holds their masks.
        labels: what was looked for.
        settings: what made the tracks.
        seconds: that each stage took.
        said: what a person should know besides the source's own notes.
    """
    info = source.info
    return VideoResult(
        tracks=tracks,
        source=info.name,
        height=info.height,
        width=info.width,
        fps=info.fps,
        frame_indices=indices,
        frame_times=times,
        labels=labels,
        settings=settings,
        seconds=seconds,
        problem=source.problem,
        notes=[*source.notes, *said],
        pixel_aspect=info.pixel_aspect,
        storage=store,
        opened_as=dict(source.opened_as),
        video=source if source.rereadable else None,
    )


def _follow_queries(
    segmenter: VideoSegmenter,
    source: Source,
    on_frame: Callable[[int], None] | None,
    on_seen: Callable[[Iterator[FrameResult]], object] | None,
    told: Iterable[tuple[Window, Seen]] | None,
) -> _Made:
    """Follow the network's queries through a video."""
    run = Run(segmenter, source, told=told)
    try:
        indices: list[int] = []
        times: list[float] = []
        for window, seen, order in run.windows():
            indices += [frame.index for frame in window.frames]
            times += [frame.time for frame in window.frames]
            if on_frame is not None:
                on_frame(len(indices))
            if on_seen is not None:
                on_seen(run.known(window, seen, order, SHOWN_SCORE))
        info = source.info
        if run.names is not None:
            with run.watch("names"):
                run.tubes.settle(run.names.mean())
        with run.watch("masks"):
            count = segmenter.max_tracks
            if run.tubes.single_image and segmenter.asked_tracks is None:
                count = segmenter.settings.image_results or count
            tracks, store = run.tubes.finish(
                run.look.padded, run.look.size, shown_size(info), count, segmenter.min_score
            )
            if info.region is not None:
                whole = (info.height, info.width)
                tracks = [replace(t, masks=PlacedMasks(t.masks, info.region, whole)) for t in tracks]
    finally:
        run.close()
    return _Made(tracks, store, indices, times, run.look)


def _follow_proposals(segmenter: VideoSegmenter, source: Source, on_frame: Callable[[int], None] | None) -> _Made:
    """Take what the network finds in each frame for detections, and follow these through a video."""
    look, info = segmenter.look(source, whole=True), source.info
    how = Detecting(quality=segmenter.settings.mask_quality)
    gatherer = Gatherer((info.height, info.width), segmenter.text.labels, segmenter.memory_limit)
    association = build_association(segmenter.settings.followed, segmenter.following)
    try:
        indices, times = follow(proposals(look, segmenter.settings, how), association, gatherer, on_frame)
        with look.watch("tracks"):
            final, least = final_of(segmenter.settings), segmenter.following.min_frames
            tracks, _, store = gatherer.finish(final, segmenter.max_tracks, segmenter.min_score, least)
    except BaseException:
        gatherer.close()
        raise
    return _Made(tracks, store, indices, times, look)
