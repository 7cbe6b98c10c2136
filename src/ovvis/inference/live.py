"""A stream that never ends, in memory that does not grow: the newest frame in, its instances out."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any, final

from torch import Tensor

from ovvis.errors import InputError
from ovvis.inference.checks import checked_score
from ovvis.inference.exact import apart
from ovvis.inference.final_masks import masks_of
from ovvis.inference.live_meter import LiveMeter
from ovvis.inference.live_tubes import LiveSettings, LiveTubes
from ovvis.inference.look import Look
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.inference.seen import Seen
from ovvis.inference.trackers import build_tracker
from ovvis.labels.label import Label
from ovvis.masks import box
from ovvis.sources.newest import NewestFrames
from ovvis.sources.source import Source
from ovvis.sources.video import OpenOptions, opened
from ovvis.structures import SHOWN_SCORE, Frame, Instance, LiveFrame, Window
from ovvis.vocabulary import Vocabulary


class Live:
    """Segments a source for as long as it goes on: a camera, a network stream, a file played as if it were one.

    Where the network is slower than the source, the newest frame is taken. Labels can be changed from any thread while
    it runs. Ids are never given twice; a tube whose object is long gone is let go, so that they never run out.

    Args:
        segmenter: the network and the first labels.
        source: what `open_source` takes or returns; read once.
        settings: how identities live and end.
        min_score: instances that score below it, or below the segmenter's own, are left out, in [0, 1].
        keep_up: whether the newest frame is taken; else the source waits and no frame is left out.
        paced: see `NewestFrames`.
        patience: seconds without a frame after which the source counts as stopped.
        bgr: arrays have their channels as OpenCV has them.

    Attributes:
        meter: figures of the run. Whoever makes pictures of the frames calls `meter.picture` for each when it is ready.
        problem: why the stream ended early; None if it did not.

    Raises:
        InputError: the source cannot be read, a number is out of range, or the tracker wants the whole video.

    Example:
        >>> import numpy as np
        >>> from ovvis.models.clip_vis import ClipVisConfig, build_clip_vis
        >>> tiny = ClipVisConfig(width=32, queries=5, pixel_layers=1, decoder_layers=1, decoder_hidden=32)
        >>> segmenter = VideoSegmenter(build_clip_vis(tiny), ["dog", "cat"], prompts=["a {}"], cache=False)
        >>> live = Live(segmenter, (np.zeros((64, 96, 3), np.uint8) for _ in range(3)), keep_up=False)
        >>> [seen.frame.index for seen in live]
        [0, 1, 2]
    """

    def __init__(
        self,
        segmenter: VideoSegmenter,
        source: Source | str | Path | Iterable[Any],
        *,
        settings: LiveSettings | None = None,
        min_score: float = SHOWN_SCORE,
        keep_up: bool = True,
        paced: bool | None = None,
        patience: float = 60.0,
        bgr: bool = False,
    ) -> None:
        window = segmenter.settings.window
        if segmenter.settings.learnt == "offline" or segmenter.settings.followed != "queries" or window is None:
            raise InputError("a live stream has no end to wait for: take a tracker and a window that do not want one")
        self._segmenter = copy(segmenter)
        self._segmenter.batch = 1  # a batch would wait for frames that are not there yet
        self._least = max(checked_score(min_score), segmenter.min_score)
        options: OpenOptions = {"bgr": True} if bgr else {}
        self._source = NewestFrames(opened(source, options), keep_up=keep_up, paced=paced, patience=patience)
        self._settings = settings or LiveSettings()
        self._next: VideoSegmenter | None = None  # with labels that are taken at the next frame
        self._changing = threading.Lock()
        self.meter = LiveMeter()

    @property
    def source(self) -> NewestFrames:
        """The source as it is read: its facts, what was left out, for how long it has been silent."""
        return self._source

    @property
    def problem(self) -> str | None:
        """One sentence on why the stream ended early; None where it did not."""
        return self._source.problem

    @property
    def labels(self) -> Vocabulary:
        """What is looked for from the next frame on."""
        return (self._next or self._segmenter).vocabulary

    def change_labels(self, labels: Vocabulary | str | Iterable[str | Sequence[str] | Label]) -> Vocabulary:
        """Look for other labels from the next frame on; tubes keep their ids, and get their names anew.

        The words' embeddings are made in the caller's thread, while the stream goes on.

        Returns:
            The labels as they were understood.

        Raises:
            InputError: the labels cannot be used; the old ones stay.
        """
        with self._changing:
            self._next = (self._next or self._segmenter).with_labels(labels)
            return self._next.vocabulary

    def stop(self) -> None:
        """End the stream after the frame that is being looked at; from any thread."""
        self._source.close()

    def __iter__(self) -> Iterator[LiveFrame]:
        """Yield each frame that is taken, with its instances; see `VideoSegmenter.stream` for labels and scores.

        Raises:
            InputError: the source cannot be used and gave no frame, or the network overflows.
        """
        return apart(self._frames(), self._segmenter.model.device)

    def _frames(self) -> Generator[LiveFrame]:
        segmenter = self._segmenter
        arrivals: list[tuple[float, int]] = []
        look = segmenter.look(_Noted(self._source, arrivals))
        tracker, tubes = build_tracker(segmenter.settings), LiveTubes(segmenter.settings, self._settings)
        self.meter.begun = self.meter.begun if self.meter.frames else time.monotonic()
        clock = _Clock()
        try:
            for window, seen in look:
                times = [clock(frame.time) for frame in window.frames]
                order = seen.followed_by(tracker, segmenter.settings)
                tracker.let_go(tubes.add(seen, order, times[-1]))
                instances = self._instances(window, seen, order, tubes, look)
                names = segmenter.vocabulary.names
                for frame, found, at, (captured, skipped) in zip(
                    window.frames, instances, times, arrivals, strict=True
                ):
                    yield LiveFrame(frame, found, names, captured, skipped, at)
                arrivals.clear()
                if self._next is not None:
                    with self._changing:
                        segmenter, self._next = self._next, None
                        self._segmenter = segmenter
                    look.text = segmenter.text
                    tracker.forget_names()
                    tubes.forget_names(0)
        finally:
            self._source.close()

    def _instances(
        self, window: Window, seen: Seen, order: Tensor, tubes: LiveTubes, look: Look
    ) -> list[tuple[Instance, ...]]:
        """Return the instances of each frame of a window."""
        segmenter = self._segmenter
        shown = tubes.shown(self._least, segmenter.max_tracks)
        queries = order[[slot for slot, _, _ in shown]].to(seen.masks.device)
        frames = []
        for masks in masks_of(seen.masks[queries], look.padded, window):
            found = []
            for (slot, label, score), mask in zip(shown, masks, strict=True):
                if mask is not None:
                    name = segmenter.vocabulary.names[label]
                    found.append(Instance(tubes.id_of(slot), name, score, mask, box(mask)))
            frames.append(tuple(found))
        return frames


@final
class _Noted(Source):
    """A source whose frames' arrivals are noted, in their order."""

    rereadable = False

    def __init__(self, source: NewestFrames, arrivals: list[tuple[float, int]]) -> None:
        self.info, self._source, self._arrivals = source.info, source, arrivals

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._source:
            self._arrivals.append(self._source.arrival)
            yield frame


class _Clock:
    """Times of frames as seconds that never go back: a stream that begins anew may set its own clock to zero."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._passed = 0.0

    def __call__(self, time: float) -> float:
        """Return the seconds of a frame since the first."""
        if self._last is not None:
            self._passed += max(time - self._last, 0.0)
        self._last = time
        return self._passed
