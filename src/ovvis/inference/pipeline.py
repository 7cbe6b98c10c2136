"""The way in: a network and words in, videos to tracks, or to what is known of each frame."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Unpack

import torch

from ovvis.errors import InputError
from ovvis.inference.checks import check_settings, check_stream, checked_score
from ovvis.inference.exact import apart, exactly
from ovvis.inference.look import Look
from ovvis.inference.run import Run
from ovvis.inference.spill import DEFAULT_LIMIT
from ovvis.inference.stopwatch import Beside, Stopwatch
from ovvis.inference.trackers import build_learnt
from ovvis.inference.whole import segment
from ovvis.labels.label import told
from ovvis.models.export.exported import AnyModel
from ovvis.models.settings import LONG_EDGE, Following, VideoSettings
from ovvis.models.text import EmbeddedWords, Progress, Words, embed_words, read_words, text_cache
from ovvis.sources.video import OpenOptions, Source, opened
from ovvis.structures import SHOWN_SCORE, FrameResult, TextEmbeddings, VideoResult
from ovvis.version import __version__
from ovvis.vocabulary import VILD_PROMPTS, Label, Vocabulary


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
        batch: windows that go through the network together; None: one, or as many as pay and fit into the device's
            memory where the model was loaded with that ("batch" of `load_model`'s accelerate).
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
        long_edge: int = LONG_EDGE,
        max_tracks: int | None = None,
        min_score: float = 0.0,
        prompts: Sequence[str] = VILD_PROMPTS,
        text_embeddings: str | Path | TextEmbeddings | None = None,
        text_rows: Vocabulary | str | Iterable[str | Sequence[str] | Label] | None = None,
        settings: VideoSettings | None = None,
        following: Following | None = None,
        batch: int | None = None,
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
            ("batch", 1 if batch is None else batch, 1),
        ):
            if value < least:
                raise InputError(f"{name} {value}: it must be at least {least}")
        self.model = model.eval()
        self.settings = settings or model.video
        self.following = following or Following()
        check_settings(self.model, self.settings)
        self.long_edge = long_edge
        self.asked_tracks, self.min_score = max_tracks, checked_score(min_score)
        self.batch, self.memory_limit = batch or 1, memory_limit
        self._fitted = batch is None and "batch" in model.accelerated
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
        return self.settings.results if self.asked_tracks is None else self.asked_tracks

    def with_settings(self, settings: VideoSettings) -> VideoSegmenter:
        """Return a segmenter with the same network and vocabulary that makes tracks in another way.

        Raises:
            InputError: the settings cannot be used.
        """
        other = copy(self)
        other.settings = settings
        check_settings(self.model, settings)
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
        with exactly(self.model.device):
            return segment(self, source, on_frame, on_seen)

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
        check_stream(self.settings)
        least = max(checked_score(min_score), self.min_score)
        source = opened(source, options)
        return apart(self._stream(Run(self, source, keep_frames=False), least), self.model.device)

    def _stream(self, run: Run, least: float) -> Generator[FrameResult]:
        try:
            for window, seen, order in run.windows():
                yield from run.known(window, seen, order, least)
        finally:
            run.close()

    def look(self, source: Source, ahead: bool = False, whole: bool = False) -> Look:
        """Return the network's pass over a video, for whoever follows its queries in ways of their own.

        Args:
            source: the video.
            ahead: see `Look`.
            whole: whether nobody waits for the first frames, so that a batch may be as large as it pays.
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
            fitted=whole and self._fitted,
        )

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
