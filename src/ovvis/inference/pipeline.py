"""A video from its first frame to its tracks, in one pass from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ovvis.errors import InputError
from ovvis.inference.final_masks import rle_from_logits
from ovvis.inference.spill import DEFAULT_LIMIT
from ovvis.inference.stopwatch import Stopwatch
from ovvis.inference.tubes import Tubes
from ovvis.inference.windows import groups, make_window
from ovvis.io.video import Source, open_source
from ovvis.masks import box
from ovvis.models.model import Model, VideoSettings
from ovvis.models.text import Progress, embed_vocabulary
from ovvis.paths import cache_folder
from ovvis.pixels import network_size, padded_size
from ovvis.structures import FrameResult, Instance, Prediction, TextEmbeddings, VideoResult, Window
from ovvis.tracking.tracker import Tracker
from ovvis.version import __version__
from ovvis.vocabulary import VILD_PROMPTS, Label, Vocabulary

TEXT_CACHE = "text_embeddings.sqlite"


class VideoSegmenter:
    """Finds, follows and names everything in videos that a vocabulary speaks of.

    The defaults reproduce the authors' list of results. The network has no memory; this object keeps none
    between videos either, so one segmenter serves any number of videos, one after another.

    Args:
        model: from `load_model`.
        vocabulary: what `Vocabulary` takes, or text as `Vocabulary.parse` takes it.
        short_edge: pixels that a frame's short edge is resized to for the network; None takes the model's own, 0 keeps
            the frame's size.
        long_edge: most pixels of the long edge after that.
        max_tracks: number of (tube, label) pairs that become tracks.
        min_score: in [0, 1]; tracks below it are left out.
        prompts: texts with one "{}" for the word.
        settings: how predictions become tracks; None takes the model's own.
        batch: windows that go through the network together.
        cache: whether text embeddings are kept on disk.
        memory_limit: bytes of a video's records that stay in memory; the rest goes to a temporary file.
        on_text: called with words done and words in all while the text tower runs.

    Raises:
        InputError: a number outside its range, or a vocabulary that cannot be used.

    Example:
        >>> import numpy as np
        >>> from ovvis.models.clip_vis import ClipVisConfig, build_clip_vis
        >>> tiny = ClipVisConfig(width=32, queries=5, pixel_layers=1, decoder_layers=1, decoder_hidden=32)
        >>> segmenter = VideoSegmenter(build_clip_vis(tiny), ["dog", "cat"], prompts=["a {}"], cache=False)
        >>> result = segmenter([np.zeros((64, 96, 3), np.uint8)] * 2)
        >>> len(result.tracks), len(result.frame_indices)
        (10, 2)
    """

    def __init__(
        self,
        model: Model,
        vocabulary: Vocabulary | str | Iterable[str | Sequence[str] | Label],
        *,
        short_edge: int | None = None,
        long_edge: int = 1333,
        max_tracks: int = 50,
        min_score: float = 0.0,
        prompts: Sequence[str] = VILD_PROMPTS,
        settings: VideoSettings | None = None,
        batch: int = 1,
        cache: bool = True,
        memory_limit: int = DEFAULT_LIMIT,
        on_text: Progress | None = None,
    ) -> None:
        self.short_edge = model.short_edge if short_edge is None else short_edge
        for name, value, least in (
            ("short_edge", self.short_edge or 32, 32),
            ("long_edge", long_edge, 32),
            ("max_tracks", max_tracks, 1),
            ("batch", batch, 1),
        ):
            if value < least:
                raise InputError(f"{name} {value}: it must be at least {least}")
        if not (0 <= min_score <= 1):
            raise InputError(f"min_score {min_score}: it must lie in [0, 1]")
        self.model = model.eval()
        if isinstance(vocabulary, str):
            vocabulary = Vocabulary.parse(vocabulary)
        self.vocabulary = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(vocabulary)
        self.settings = settings or model.video
        self._check_settings()
        self.long_edge = long_edge
        self.max_tracks, self.min_score = max_tracks, min_score
        self.batch, self.memory_limit = batch, memory_limit
        self.prompts = tuple(prompts)
        file = cache_folder() / TEXT_CACHE if cache else None
        text = embed_vocabulary(model.clip, self.vocabulary, self.prompts, file, on_text)
        self.text: TextEmbeddings = replace(text, vectors=text.vectors.to(model.device))

    def _check_settings(self) -> None:
        """Refuse a tracker that cannot be built, before any frame is read."""
        try:
            self._tracker()
        except ValueError as error:
            raise InputError(str(error)) from error

    def _tracker(self) -> Tracker:
        s = self.settings
        return Tracker(s.memory, s.matched, s.recency_weighted, s.momentum)

    def __call__(
        self, source: Source | str | Path | Iterable[Any], on_frame: Callable[[int], None] | None = None
    ) -> VideoResult:
        """Segment a whole video.

        Args:
            source: a video file, a folder or glob of frames, arrays (H, W, 3), or what `open_source` returns.
            on_frame: called with the number of frames done after each window.

        Returns:
            The tracks. Their masks lie in a temporary file if the video is long: see `VideoResult.close`.

        Raises:
            InputError: the source cannot be read or holds no frame.
            ResourceError: the temporary folder is full.
        """
        source = source if isinstance(source, Source) else open_source(source)
        run = _Run(self, source)
        try:
            indices: list[int] = []
            times: list[float] = []
            for window, _, _ in run.windows():
                indices += [frame.index for frame in window.frames]
                times += [frame.time for frame in window.frames]
                if on_frame is not None:
                    on_frame(len(indices))
            info = source.info
            with run.watch("masks"):
                tracks, store = run.tubes.finish(
                    run.padded, run.size, (info.height, info.width), self.max_tracks, self.min_score
                )
        finally:
            run.tubes.close()
        return VideoResult(
            tracks=tracks,
            source=info.name,
            height=info.height,
            width=info.width,
            fps=info.fps,
            frame_indices=indices,
            frame_times=times,
            labels=self.vocabulary.names,
            settings=self.describe(run.size),
            seconds=run.watch.seconds,
            problem=source.problem,
            storage=store,
        )

    def stream(self, source: Source | str | Path | Iterable[Any]) -> Iterator[FrameResult]:
        """Yield each frame's instances as soon as they are known.

        Ids stay the same over the video. Labels and scores are those of the video so far, so that they may change
        from frame to frame; each tube shows under its best label only.

        Args:
            source: as in `__call__`; also an iterator that never ends.

        Raises:
            InputError: the source cannot be read or holds no frame.
        """
        source = source if isinstance(source, Source) else open_source(source)
        run = _Run(self, source, keep_frames=False)
        try:
            for window, prediction, objects in run.windows():
                yield from self._known(window, prediction, objects, run)
        finally:
            run.tubes.close()

    def _known(self, window: Window, prediction: Prediction, objects: Tensor, run: _Run) -> Iterator[FrameResult]:
        """Yield what is known of a window's frames."""
        scores, labels = run.tubes.scores().max(1)
        scores = (scores * run.tubes.mask_quality()).cpu()
        order = scores.argsort(descending=True)[: self.max_tracks].tolist()
        silence = self.settings.silence or 0.0
        # Without the class score of the frame the weakest bound is asked for: a sigmoid is at least 1/2.
        shown = [
            q for q in order if scores[q] >= self.min_score and math.sqrt(float(objects[q]) / 2) >= silence * scores[q]
        ]
        logits = prediction.mask_logits[0].float().cpu()
        for t, frame in enumerate(window.frames):
            height, width = frame.image.shape[:2]
            instances = []
            for q in shown:
                mask = rle_from_logits(logits[q, t], run.padded, window.image_size, (height, width))
                if mask is not None:
                    label = self.vocabulary.names[int(labels[q])]
                    instances.append(Instance(q + 1, label, float(scores[q]), mask, box(mask)))
            yield FrameResult(frame, tuple(instances))

    def describe(self, size: tuple[int, int] | None = None) -> dict[str, Any]:
        """Return the settings that make a result, for its file; with the network's input size where that is known."""
        return {
            "ovvis": __version__,
            "torch": torch.__version__,
            "model": self.model.name,
            "weights": self.model.source,
            "config": asdict(self.model.config),
            "device": str(self.model.device),
            "precision": str(self.model.dtype).removeprefix("torch."),
            **({} if size is None else {"network_size": list(size)}),
            "short_edge": self.short_edge,
            "long_edge": self.long_edge,
            "max_tracks": self.max_tracks,
            "min_score": self.min_score,
            "prompts": list(self.prompts),
            "tracks": asdict(self.settings),
        }


class _Run:
    """The state of one video: its tracker and its tubes."""

    def __init__(self, segmenter: VideoSegmenter, source: Source, keep_frames: bool = True) -> None:
        model, info = segmenter.model, source.info
        self._segmenter, self._source = segmenter, source
        self.watch = Stopwatch(model.device)
        self.size = network_size(info.height, info.width, segmenter.short_edge or None, segmenter.long_edge)
        self.padded = padded_size(self.size)
        self.tracker = segmenter._tracker()
        self.tubes = Tubes(
            segmenter.text.labels,
            segmenter.settings,
            model.clip.logit_scale,
            segmenter.memory_limit,
            keep_frames,
        )

    @torch.no_grad()
    def windows(self) -> Iterator[tuple[Window, Prediction, Tensor]]:
        """Yield each window with its prediction in tube order and its object scores (Q)."""
        segmenter, model = self._segmenter, self._segmenter.model
        frames = groups(self._source, segmenter.settings.window)
        made = (make_window(group, self.size, model.pixel_mean, model.pixel_std) for group in frames)
        for batch in self.watch.each("read", _batches(made, segmenter.batch)):
            with self.watch("network"):
                predictions = model(torch.stack([window.pixels for window in batch]))
                if not predictions.embeddings.isfinite().all():
                    raise InputError(
                        f"the network overflows in {str(model.dtype).removeprefix('torch.')}: use bfloat16 or "
                        "float32, or check the weights"
                    )
            with self.watch("names"):
                class_logits = model.classifier(predictions, segmenter.text)
            for i, window in enumerate(batch):
                prediction = predictions.window(i)
                with self.watch("tracking"):
                    order = self.tracker.update(prediction.embeddings[0])
                with self.watch("tubes"):
                    prediction = prediction.aligned(order)
                    logits = class_logits[i : i + 1, order.to(class_logits.device)]
                    objects = self.tubes.add(prediction, logits)
                yield window, prediction, objects


def _batches(windows: Iterator[Window], count: int) -> Iterator[tuple[Window, ...]]:
    """Yield groups of `count` windows of the same length; the last window of a video may be a shorter one."""
    for group in groups(windows, count):
        full = tuple(w for w in group if len(w.frames) == len(group[0].frames))
        yield full
        if len(full) < len(group):
            yield group[len(full) :]
