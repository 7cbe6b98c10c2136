"""A video from its first frame to its tracks, in one pass from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from copy import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, Unpack

import torch
from torch import Tensor

from ovvis.cores import CoresWatch
from ovvis.errors import InputError
from ovvis.inference.associations import build_association
from ovvis.inference.brief import Brief
from ovvis.inference.fetched import late
from ovvis.inference.final_masks import masks_of
from ovvis.inference.followed import Gatherer, follow
from ovvis.inference.look import Look, Seen
from ovvis.inference.proposals import Detecting, final_of, proposals
from ovvis.inference.recording import Again, Recording
from ovvis.inference.region import PlacedMasks, shown_size
from ovvis.inference.spill import DEFAULT_LIMIT
from ovvis.inference.stopwatch import Beside, Stopwatch
from ovvis.inference.tubes import Tubes
from ovvis.inference.video_names import VideoNames
from ovvis.labels.label import told
from ovvis.masks import box
from ovvis.models.export.exported import AnyModel
from ovvis.models.geometric_ensemble import EnsembleClassifier
from ovvis.models.settings import Following, VideoSettings
from ovvis.models.text import EmbeddedWords, Progress, Words, embed_words, read_words, text_cache
from ovvis.sources.video import OpenOptions, Source, open_source
from ovvis.structures import SHOWN_SCORE, FrameResult, Instance, Storage, TextEmbeddings, Track, VideoResult, Window
from ovvis.tracking.association import Match
from ovvis.tracking.learnt import InOrder, LearntTracker
from ovvis.tracking.tracker import Tracker, compare
from ovvis.version import __version__
from ovvis.vocabulary import VILD_PROMPTS, Label, Vocabulary

Shown = TypeVar("Shown")


def build_tracker(settings: VideoSettings, match: Callable[[Tensor, Tensor], Match] = compare) -> Tracker | InOrder:
    """Return the tracker that settings describe, of what `Look` gives; see `Tracker` for `match`.

    Raises:
        ValueError: a number outside its range.
    """
    return _matching(settings, match) if settings.learnt == "none" else InOrder()


def build_learnt(model: AnyModel, settings: VideoSettings) -> LearntTracker:
    """Return a model's learnt tracker, which must be there, with the matching that comes first."""
    assert model.tracker is not None
    return LearntTracker(model.tracker, _matching(settings))


def video_names(segmenter: VideoSegmenter, settings: VideoSettings) -> VideoNames | None:
    """Return what names tubes for the whole video, where a learnt tracker's are named so; None elsewhere."""
    namer = segmenter.model.classifier
    if settings.learnt == "none" or not isinstance(namer, EnsembleClassifier) or not namer.over_video:
        return None
    return VideoNames(namer, segmenter.text, segmenter.memory_limit)


def _matching(settings: VideoSettings, match: Callable[[Tensor, Tensor], Match] = compare) -> Tracker:
    s = settings
    return Tracker(s.memory, s.matched, s.recency_weighted, s.momentum, s.birth, s.names, match)


class VideoSegmenter:
    """Finds, follows and names everything in videos that a vocabulary speaks of.

    The defaults reproduce the authors' list of results. The network has no memory; this object keeps none
    between videos either, so one segmenter serves any number of videos, one after another.

    Args:
        model: from `load_model`.
        vocabulary: what `Vocabulary` takes, or text as `Vocabulary.parse` takes it; None takes the one that came with
            the model's weights, where one did (`Model.texts`: an OVFormer's training labels). Or what `read_words` made
            of a vocabulary; prompts, embeddings and rows are in there then. Or `asked` of another segmenter with the
            same model, so that no text is embedded twice.
        short_edge: pixels that a frame's short edge is resized to for the network; None takes the model's own, 0 keeps
            the frame's size.
        long_edge: most pixels of the long edge after that.
        max_tracks: number of (tube, label) pairs that become tracks; None takes the model's own.
        min_score: in [0, 1]; tracks below it are left out.
        prompts: texts with one "{}" for the word.
        text_embeddings: a file of text embeddings (see `ovvis.models.text_file`), or embeddings of the vocabulary's
            labels, in place of those that the model's CLIP makes of words and prompts.
        text_rows: what the file's rows stand for, as `Vocabulary` takes it; None finds out.
        settings: how predictions become tracks; None takes the model's own.
        following: how a tracker that takes what is found in each frame (`settings.followed`) goes about it; None:
            `Following`'s own numbers.
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
        model: AnyModel,
        vocabulary: Vocabulary | Words | EmbeddedWords | str | Iterable[str | Sequence[str] | Label] | None = None,
        *,
        short_edge: int | None = None,
        long_edge: int = 1333,
        max_tracks: int | None = None,
        min_score: float = 0.0,
        prompts: Sequence[str] = VILD_PROMPTS,
        text_embeddings: str | Path | TextEmbeddings | None = None,
        text_rows: Vocabulary | str | Iterable[str | Sequence[str] | Label] | None = None,
        settings: VideoSettings | None = None,
        following: Following | None = None,
        batch: int = 1,
        cache: bool = True,
        memory_limit: int = DEFAULT_LIMIT,
        on_text: Progress | None = None,
    ) -> None:
        if not hasattr(model, "short_edge"):
            raise InputError(f"model is {told(model)}: give what load_model returns, and the labels behind it")
        self.short_edge = model.short_edge if short_edge is None else short_edge
        for name, value, least in (
            ("short_edge", self.short_edge or 32, 32),
            ("long_edge", long_edge, 32),
            ("max_tracks", 1 if max_tracks is None else max_tracks, 1),
            ("batch", batch, 1),
        ):
            if value < least:
                raise InputError(f"{name} {value}: it must be at least {least}")
        self.model = model.eval()
        self.settings = settings or model.video
        self.following = following or Following()
        self._check_settings()
        self.long_edge = long_edge
        self._asked_tracks, self.min_score = max_tracks, checked_score(min_score)
        self.batch, self.memory_limit = batch, memory_limit
        self._text_file = text_cache() if cache else None
        self.beside: Beside | None = None  # is told of each stage of a video
        words = vocabulary
        if isinstance(words, EmbeddedWords):
            self._renamable = not words.foreign
            self._ask(words)
            return
        if not isinstance(words, Words):
            rows = None if text_rows is None else _vocabulary(text_rows)
            labels = None if words is None else _vocabulary(words)
            words = read_words(labels, prompts, text_embeddings, rows)
        self._renamable = words.given is None
        self._ask(embed_words(words, model, self._text_file, on_text))

    def _ask(self, asked: EmbeddedWords) -> None:
        """Take words as those to look for."""
        self.asked = asked
        self.vocabulary, self.prompts, self._text_digest = asked.vocabulary, asked.words.prompts, asked.digest
        there = self.model.device
        vectors, rows = asked.text.vectors.to(there), asked.text.label_of_row.to(there)
        self.text = replace(asked.text, vectors=vectors, label_of_row=rows)

    @property
    def max_tracks(self) -> int:
        """The number of (tube, label) pairs that become tracks of a video."""
        return self.settings.results if self._asked_tracks is None else self._asked_tracks

    def with_settings(self, settings: VideoSettings) -> VideoSegmenter:
        """Return a segmenter with the same network and vocabulary that makes tracks in another way.

        Raises:
            InputError: the settings cannot be used.
        """
        other = copy(self)
        other.settings = settings
        other._check_settings()
        return other

    def with_labels(self, vocabulary: Vocabulary | str | Iterable[str | Sequence[str] | Label]) -> VideoSegmenter:
        """Return a segmenter with the same network and settings that looks for other labels.

        Raises:
            InputError: the vocabulary cannot be used, or the text embeddings were given from outside.
        """
        if not self._renamable:
            raise InputError("labels cannot be changed: their text embeddings were given, and CLIP's own are others")
        other = copy(self)
        words = read_words(_vocabulary(vocabulary), self.prompts or VILD_PROMPTS)
        other._ask(embed_words(words, self.model, self._text_file))
        return other

    def _check_settings(self) -> None:
        """Refuse a window that the model cannot name, and a tracker that cannot be built, before any frame is read."""
        window = self.settings.window
        if window is not None and window < 1:
            raise InputError(f"window {window}: it must be at least 1 frame; None takes the whole video")
        if window != 1 and self.model.classifier.one_frame:
            shown = "of the whole video" if window is None else window
            raise InputError(f"window {shown}: {self.model.name} names frame by frame; leave its window at 1")
        self._check_learnt()
        try:
            _matching(self.settings)
        except ValueError as error:
            raise InputError(str(error)) from error

    def _check_stream(self) -> None:
        """Refuse a tracker that has no stream.

        Raises:
            InputError: it wants the whole video, or follows detections.
        """
        if self.settings.learnt == "offline":
            raise InputError("tracker offline: it wants the whole video, so it has no stream; ask for online")
        if self.settings.followed != "queries":
            raise InputError(
                f"tracker {self.settings.followed}: it follows what was detected in a whole video, so it has no "
                "stream; ask for adjacent, topk, longterm or births"
            )

    def _check_learnt(self) -> None:
        """Refuse a learnt tracker that the model has not, and what cannot go with one."""
        settings, model = self.settings, self.model
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

    def __call__(
        self,
        source: Source | str | Path | Iterable[Any],
        on_frame: Callable[[int], None] | None = None,
        *,
        on_seen: Callable[[Iterator[FrameResult]], object] | None = None,
        **options: Unpack[OpenOptions],
    ) -> VideoResult:
        """Segment a whole video.

        Args:
            source: a video file, a folder or glob of frames, frames in memory (uint8, H x W x 3, RGB), or what
                `open_source` returns.
            on_frame: called with the number of frames done after each window.
            on_seen: called after each window with its frames and what is known of them by then, as a stream gives
                them; a frame's masks are made when it is asked for, and not else.
            options: those of `open_source`, for a source that is not open yet: start, end, every, roi, bgr, ...

        Returns:
            The tracks. Their masks lie in a temporary file if the video is long: see `VideoResult.close`.

        Raises:
            InputError: the source cannot be read or holds no frame.
            ResourceError: the temporary folder is full.
        """
        source = opened(source, options)
        with self.exactly():
            return self._segment(source, on_frame, on_seen)

    def _segment(
        self,
        source: Source,
        on_frame: Callable[[int], None] | None,
        on_seen: Callable[[Iterator[FrameResult]], object] | None,
    ) -> VideoResult:
        if self.settings.followed == "queries":
            made = self._follow_queries(source, on_frame, on_seen)
        else:
            made = self._follow_proposals(source, on_frame)
        info, look = source.info, made.look
        return VideoResult(
            tracks=made.tracks,
            source=info.name,
            height=info.height,
            width=info.width,
            fps=info.fps,
            frame_indices=made.indices,
            frame_times=made.times,
            labels=self.vocabulary.names,
            settings=self.describe(look.size) | ({} if info.region is None else {"region": asdict(info.region)}),
            seconds=look.watch.seconds,
            problem=source.problem,
            notes=list(source.notes),
            pixel_aspect=info.pixel_aspect,
            storage=made.store,
            opened_as=dict(source.opened_as),
            video=source if source.rereadable else None,
        )

    def _follow_queries(
        self,
        source: Source,
        on_frame: Callable[[int], None] | None,
        on_seen: Callable[[Iterator[FrameResult]], object] | None,
    ) -> _Made:
        """Follow the network's queries through a video."""
        run = _Run(self, source)
        try:
            indices: list[int] = []
            times: list[float] = []
            for window, seen, order in run.windows():
                indices += [frame.index for frame in window.frames]
                times += [frame.time for frame in window.frames]
                if on_frame is not None:
                    on_frame(len(indices))
                if on_seen is not None:
                    on_seen(self._known(window, seen, order, run, SHOWN_SCORE))
            info = source.info
            if run.names is not None:
                with run.watch("names"):
                    run.tubes.settle(run.names.mean())
            with run.watch("masks"):
                count = self.max_tracks
                if run.tubes.single_image and self._asked_tracks is None:
                    count = self.settings.image_results or count
                tracks, store = run.tubes.finish(
                    run.look.padded, run.look.size, shown_size(info), count, self.min_score
                )
                if info.region is not None:
                    whole = (info.height, info.width)
                    tracks = [replace(t, masks=PlacedMasks(t.masks, info.region, whole)) for t in tracks]
        finally:
            run.close()
        return _Made(tracks, store, indices, times, run.look)

    def _follow_proposals(self, source: Source, on_frame: Callable[[int], None] | None) -> _Made:
        """Take what the network finds in each frame for detections, and follow these through a video."""
        look, info = self.look(source), source.info
        how = Detecting(quality=self.settings.mask_quality)
        gatherer = Gatherer((info.height, info.width), self.text.labels, self.memory_limit)
        association = build_association(self.settings.followed, self.following)
        try:
            indices, times = follow(proposals(look, self.settings, how), association, gatherer, on_frame)
            with look.watch("tracks"):
                final, least = final_of(self.settings), self.following.min_frames
                tracks, _, store = gatherer.finish(final, self.max_tracks, self.min_score, least)
        except BaseException:
            gatherer.close()
            raise
        return _Made(tracks, store, indices, times, look)

    def stream(
        self,
        source: Source | str | Path | Iterable[Any],
        *,
        min_score: float = SHOWN_SCORE,
        **options: Unpack[OpenOptions],
    ) -> Iterator[FrameResult]:
        """Yield each frame's instances as soon as they are known.

        Ids stay the same over the video. Labels and scores are those of the video so far, so that they may change
        from frame to frame; each tube shows under its best label only.

        Args:
            source: as in `__call__`; also an iterator that never ends.
            min_score: instances that score below it, or below the segmenter's own, are left out, in [0, 1]; 0 gives
                all.
            options: as in `__call__`.

        Raises:
            InputError: the source cannot be read or holds no frame; `min_score` out of range; the tracker wants the
                whole video.
        """
        self._check_stream()
        least = max(checked_score(min_score), self.min_score)
        source = opened(source, options)
        return self.apart(self._stream(_Run(self, source, keep_frames=False), least))

    def _stream(self, run: _Run, least: float) -> Generator[FrameResult]:
        try:
            for window, seen, order in run.windows():
                yield from self._known(window, seen, order, run, least)
        finally:
            run.close()

    def apart(self, frames: Generator[Shown]) -> Iterator[Shown]:
        """Yield frames that are made apart from the caller's autocast; within the caller's own code it stays on."""
        try:
            while True:
                with self.exactly():
                    found = next(frames, None)
                if found is None:
                    return
                yield found
        finally:
            frames.close()

    def exactly(self) -> ExitStack:
        """Keep an autocast around the segmenter out of it: following, naming and masks need float32.

        How the network computes is the model's: its weights' type, or what its forward sets up for itself.
        """
        stack = ExitStack()
        for kind in {"cpu", self.model.device.type}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        return stack

    def look(self, source: Source, ahead: bool = False) -> Look:
        """Return the network's pass over a video, for whoever follows its queries in ways of their own.

        Args:
            source: the video.
            ahead: see `Look`.
        """
        model, settings = self.model, self.settings
        tracker = None if settings.learnt == "none" else build_learnt(model, settings)
        return Look(
            model,
            self.text,
            source,
            settings.window,
            (self.short_edge or None, self.long_edge),
            self.batch,
            watch=Stopwatch(model.device, self.beside, wait=not ahead),
            tracker=tracker,
            refined=settings.learnt == "offline",
            limit=self.memory_limit,
            ahead=ahead,
        )

    def _known(self, window: Window, seen: Seen, order: Tensor, run: _Run, least: float) -> Iterator[FrameResult]:
        """Yield what is known of a window's frames."""
        scores, labels = run.tubes.scores().max(1)
        scores = (scores * run.tubes.mask_quality()).cpu()
        best = scores.argsort(descending=True)[: self.max_tracks].tolist()
        silenced = run.tubes.silenced(seen, order, labels).cpu()
        shown = [q for q in best if scores[q] >= least and not silenced[q]]
        names = [self.vocabulary.names[label] for label in labels[shown].tolist()]
        found = masks_of(seen.masks[order[shown].to(seen.masks.device)], run.look.padded, window)
        for frame, masks in zip(window.frames, found, strict=True):
            each = zip(shown, names, scores[shown].tolist(), masks, strict=True)
            instances = (Instance(q + 1, name, score, mask, box(mask)) for q, name, score, mask in each if mask)
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
            **({} if self.model.runtime is None else {"runtime": self.model.runtime}),
            "precision": self.model.precision,
            **({"accelerate": list(self.model.accelerated)} if self.model.accelerated else {}),
            **({} if size is None else {"network_size": list(size)}),
            "short_edge": self.short_edge,
            "long_edge": self.long_edge,
            "max_tracks": self.max_tracks,
            "min_score": self.min_score,
            "prompts": list(self.prompts),
            **({} if self._text_digest is None else {"text_embeddings_sha256": self._text_digest}),
            "tracks": asdict(self.settings),
            **({} if self.settings.followed == "queries" else {"following": asdict(self.following)}),
        }


def _vocabulary(labels: Vocabulary | str | Iterable[str | Sequence[str] | Label]) -> Vocabulary:
    if isinstance(labels, str):
        return Vocabulary.parse(labels)
    return labels if isinstance(labels, Vocabulary) else Vocabulary(labels)


def checked_score(value: float) -> float:
    """Return a score from which instances are shown.

    Raises:
        InputError: it is not in [0, 1].
    """
    if not (0 <= value <= 1):
        raise InputError(f"min_score {value}: it must lie in [0, 1]")
    return value


def opened(source: Source | str | Path | Iterable[Any], options: OpenOptions) -> Source:
    """Return what `open_source` makes of a source that is not open yet.

    Raises:
        InputError: it cannot be read.
    """
    if not isinstance(source, Source):
        return open_source(source, **options)
    if options:
        names = ", ".join(options)
        raise InputError(f"{names}: the source is open already; give this to open_source, where it was opened")
    return source


@dataclass(frozen=True, slots=True)
class _Made:
    """The tracks of a video, and what made them."""

    tracks: list[Track]
    store: Storage
    indices: list[int]
    times: list[float]
    look: Look


class _Run:
    """The state of one video: its tracker and its tubes."""

    def __init__(self, segmenter: VideoSegmenter, source: Source, keep_frames: bool = True) -> None:
        self._cores = CoresWatch(segmenter.model.device.type == "cpu" and torch.get_num_threads() > 1)
        # A stream gives each frame as soon as it can.
        self._ahead = keep_frames and "overlap" in segmenter.model.accelerated
        self.look = segmenter.look(source, self._ahead)
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
        with closing(iter(self.look)) as look:  # which ends the thread that reads ahead
            for window, seen in look:
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

    def close(self) -> None:
        """Free the records."""
        self._cores.close()
        for kept in (self.recording, self.names):
            if kept is not None:
                kept.close()
