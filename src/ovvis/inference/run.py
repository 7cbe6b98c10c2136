"""One video on its way: what the network says of each window, followed and gathered as tubes."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ovvis.cores import CoresWatch
from ovvis.inference.brief import Brief
from ovvis.inference.fetched import late
from ovvis.inference.final_masks import masks_of
from ovvis.inference.recording import Again, Recording
from ovvis.inference.seen import Seen
from ovvis.inference.trackers import build_tracker
from ovvis.inference.tubes import Tubes
from ovvis.inference.video_names import video_names
from ovvis.masks import box
from ovvis.sources.source import Source
from ovvis.structures import FrameResult, Instance, Window

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter


class Run:
    """The state of one video: its tracker and its tubes.

    Args:
        segmenter: what segments it.
        source: its frames.
        keep_frames: whether tracks are made in the end; a stream keeps no frames.
        told: each window in order, with what the network said of it already.
    """

    def __init__(
        self,
        segmenter: VideoSegmenter,
        source: Source,
        keep_frames: bool = True,
        told: Iterable[tuple[Window, Seen]] | None = None,
    ) -> None:
        self._segmenter, self._told = segmenter, told
        self._cores = CoresWatch(segmenter.model.device.type == "cpu" and torch.get_num_threads() > 1)
        # A stream gives each frame as soon as it can.
        self._ahead = keep_frames and "overlap" in segmenter.model.accelerated
        self.look = segmenter.look(source, self._ahead, whole=keep_frames)
        self.watch = self.look.watch
        self.settings = segmenter.settings
        self.tracker = build_tracker(self.settings)
        again = Again(segmenter.model.classifier, segmenter.text)
        self.recording: Recording | None = None
        if keep_frames:
            device = segmenter.model.device
            elsewhere = device if self._ahead and device.type != "cpu" else None
            settings, limit = [segmenter.settings], segmenter.memory_limit
            self.recording = Recording(settings, limit, again=again, device=elsewhere)
        self.tubes = Tubes(segmenter.text.labels, segmenter.settings, self.recording)
        self.names = video_names(segmenter, self.settings) if keep_frames else None  # a stream names frame by frame

    def windows(self) -> Iterator[tuple[Window, Seen, Tensor]]:
        """Yield each window, what the network says of it, and its tube order (Q)."""
        with closing(self._begun()) as begun:
            yield from self._followed(late(begun, int(self._ahead)))

    def _begun(self) -> Generator[tuple[Window, Seen]]:
        """Yield each window once what is wanted of it is on its way."""
        with ExitStack() as stack:
            windows = self._told
            if windows is None:
                windows = stack.enter_context(closing(iter(self.look)))  # which ends the thread that reads ahead
            for window, seen in windows:
                if self._ahead:
                    with self.watch("tubes"):
                        seen.brief = Brief(seen, [self.settings])
                yield window, seen

    def _followed(self, windows: Iterable[tuple[Window, Seen]]) -> Iterator[tuple[Window, Seen, Tensor]]:
        for window, seen in windows:
            with self.watch("tracking"):
                order = seen.followed_by(self.tracker, self.settings)
            with self.watch("tubes"):
                if self.recording is not None:
                    self.recording.add(seen)
                self.tubes.add(seen, order)
                if self.names is not None:
                    self.names.add(seen.prediction)
            yield window, seen, order

    def known(self, window: Window, seen: Seen, order: Tensor, least: float) -> Iterator[FrameResult]:
        """Yield what is known of a window's frames by then; instances that score below `least` are left out."""
        best, labels = self.tubes.scores().max(1)  # made once: of many words it takes a while
        silenced = self.tubes.silenced(seen, order, labels, best).cpu()
        scores = (best * self.tubes.mask_quality()).cpu()
        first = scores.argsort(descending=True)[: self._segmenter.max_tracks].tolist()
        shown = [q for q in first if scores[q] >= least and not silenced[q]]
        names = [self._segmenter.vocabulary.names[label] for label in labels[shown].tolist()]
        found = masks_of(seen.masks[order[shown].to(seen.masks.device)], self.look.padded, window)
        for frame, masks in zip(window.frames, found, strict=True):
            each = zip(shown, names, scores[shown].tolist(), masks, strict=True)
            instances = (Instance(q + 1, name, score, mask, box(mask)) for q, name, score, mask in each if mask)
            yield FrameResult(frame, tuple(instances))

    def close(self) -> None:
        """Free the records."""
        self._cores.close()
        for kept in (self.recording, self.names):
            if kept is not None:
                kept.close()
