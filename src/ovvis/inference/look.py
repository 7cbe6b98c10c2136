"""The network's pass over a video: what it says of each window, before anyone follows or names a tube."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import cached_property
from itertools import islice
from math import prod
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ovvis.errors import InputError
from ovvis.inference import scoring
from ovvis.inference.ahead import read_ahead
from ovvis.inference.fetched import Fetched, late, sent
from ovvis.inference.fitting import Fitting, memory_of, most_windows
from ovvis.inference.refined import refine
from ovvis.inference.region import shown_size
from ovvis.inference.spill import DEFAULT_LIMIT
from ovvis.inference.stopwatch import Stopwatch
from ovvis.inference.windows import groups, place_window, read_window
from ovvis.models.export.exported import AnyModel
from ovvis.models.settings import ClassScore, VideoSettings
from ovvis.pixels import network_size, padded_size
from ovvis.sources.source import Source
from ovvis.structures import Prediction, TextEmbeddings, Window
from ovvis.tracking.learnt import InOrder, LearntTracker
from ovvis.tracking.tracker import Tracker

if TYPE_CHECKING:
    from ovvis.inference.brief import Brief
    from ovvis.inference.mask_code import MaskCode

WIDE = 4096  # labels; of more a frame keeps what its class scores are made of, and not them
ClassKey = tuple[ClassScore, float | None]


def class_key(settings: VideoSettings) -> ClassKey:
    """Return what of the settings decides a window's class scores."""
    return settings.class_score, settings.none_logit


class Seen:
    """What the network says of one window, its queries in the network's own order.

    What the scores' settings decide is computed once for each choice, however many tubes ask for it.

    Args:
        prediction: a batch of one window.
        class_logits: 1, Q, K; with a learnt "none of these" K + 1.
        logit_scale: factor between cosine and class logit.
        vectors: Q, E; what the classifier makes the logits of, where it is that alone: see `Classifier.vectors`.
        sound: whether the network's answer is a number everywhere, as a tensor that is read with the rest; None where
            it was read already.
    """

    def __init__(
        self,
        prediction: Prediction,
        class_logits: Tensor,
        logit_scale: float,
        vectors: Tensor | None = None,
        sound: Tensor | None = None,
    ) -> None:
        self.prediction, self.sound = prediction, sound
        self.brief: Brief | None = None  # what is read back, once that has begun
        self.codes: list[MaskCode] | None = None  # of each frame, where its masks themselves are not here any more
        self._class_logits = class_logits
        self.vectors = vectors
        if prediction.object_logits is None:
            self.object_logits = scoring.object_logits(self.logits)  # Q, 2
        else:
            self.object_logits = prediction.object_logits[0].float()
        self.objects = self.object_logits.softmax(-1)[:, scoring.OBJECT]  # Q; in [0, 1]
        self.logit_scale = logit_scale
        self._classes: dict[ClassKey, Tensor] = {}
        self._scores: dict[object, Tensor] = {}

    def check(self) -> None:
        """Refuse what is no number, where that was not done yet.

        Raises:
            InputError: the network overflows.
        """
        if self.sound is not None and not bool(self.sound):
            raise overflow(self.prediction.embeddings.dtype)

    @cached_property
    def logits(self) -> Tensor:
        """The class logits (Q, K or K + 1), float32."""
        return self._class_logits[0].float()

    @cached_property
    def masks(self) -> Tensor:
        """The mask logits (Q, T, h, w), float32."""
        return self.prediction.mask_logits[0].float()

    @cached_property
    def positive(self) -> Tensor:
        """Which cells are of each mask (Q, T, h, w)."""
        return self.masks > 0

    @cached_property
    def confidence(self) -> Tensor:
        """The sum of the sigmoids of each mask's positive cells (Q, T)."""
        return self.masks.sigmoid().mul_(self.positive).flatten(2).sum(2)

    @cached_property
    def pixels(self) -> Tensor:
        """The number of each mask's positive cells (Q, T)."""
        return self.positive.flatten(2).sum(2)

    def classes(self, settings: VideoSettings) -> Tensor:
        """Return the class scores (Q, K), in [0, 1]."""
        key = class_key(settings)
        if key not in self._classes:
            self._classes[key] = scoring.class_scores(
                self.logits, settings.class_score, self.logit_scale, settings.none_logit
            )
        return self._classes[key]

    def names(self, settings: VideoSettings) -> Tensor:
        """Return how each query is named (Q, K + 1), of unit length: the roots of the class scores, and of their rest.

        The product of two is the overlap of their scores, the Bhattacharyya coefficient.
        """
        scores = self.classes(settings).clamp(min=0)
        rest = (1 - scores.sum(-1, keepdim=True)).clamp(min=0)  # "none of these"
        return F.normalize(torch.cat([scores, rest], -1).sqrt(), dim=-1)

    def followed_by(self, tracker: Tracker | InOrder, settings: VideoSettings) -> Tensor:
        """Return a tracker's tube order (Q) of the window; the settings are the tracker's."""
        if self.brief is not None:
            return tracker.update(self.brief["embeddings"], self.brief["objects"], self.brief.names(settings))
        names = self.names(settings) if settings.names else None
        return tracker.update(self.prediction.embeddings[0], self.objects, names)

    def evidence(self, settings: VideoSettings) -> Tensor:
        """Return what the choice of silenced frames takes the sigmoid of (Q, K): see `scoring.silenced`."""
        return self.logits if settings.class_score == "sigmoid" else self.classes(settings)

    def scores(self, settings: VideoSettings) -> Tensor:
        """Return what a tube takes the mean of (Q, K): class logits, or class scores weighted by mask IoUs."""
        if settings.average == "logits":
            return self.logits
        key = (*class_key(settings), settings.use_iou, settings.weighting)
        if key not in self._scores:
            ious = None if self.prediction.mask_ious is None else self.prediction.mask_ious[0].float()
            self._scores[key] = scoring.window_scores(self.classes(settings), ious, settings)
        return self._scores[key]


class Look:
    """Runs the network and the classifier over a video, from its first window to its last.

    Args:
        model: the model.
        text: the vocabulary.
        source: the frames.
        window: frames that the network sees at once; None for all of them.
        edges: pixels of a frame's short edge in the network, None for the frame's own, and most of the long edge.
        batch: windows that go through the network together.
        watch: takes the time of the stages.
        tracker: a learnt tracker of the model's, at its beginning; the queries then come in tube order. None for none.
        refined: whether the model's refiner goes over what the tracker gives; nothing comes before the last frame.
        limit: bytes of what the refiner waits for that stay in memory.
        ahead: whether frames are read ahead of the network in a thread, and nothing of the device is waited for: who
            looks reads `Seen.brief`, which says where the network overflowed.
        fitted: whether the batch is what fits into the device's memory, where that tells what it has free.
    """

    def __init__(
        self,
        model: AnyModel,
        text: TextEmbeddings,
        source: Source,
        window: int | None,
        edges: tuple[int | None, int],
        batch: int = 1,
        watch: Stopwatch | None = None,
        tracker: LearntTracker | None = None,
        refined: bool = False,
        limit: int = DEFAULT_LIMIT,
        ahead: bool = False,
        fitted: bool = False,
    ) -> None:
        info = source.info
        self._model, self._source = model, source
        self._scale = model.clip.logit_scale  # read once: it waits for a device
        self.text = text  # may be replaced between two windows: the network does not see it
        self._window, self._batch = window, batch
        self._tracker, self._refined, self._limit = tracker, refined, limit
        self._ahead = ahead
        self.watch = watch or Stopwatch(model.device, wait=not ahead)
        height, width = shown_size(info)
        self.size = network_size(height, width, *edges, info.pixel_aspect)  # of the network's input
        self.padded = padded_size(self.size)
        self._fitting: Fitting | None = None
        if fitted and window is not None and (memory := memory_of(model.device)) is not None:
            shape = (window, *self.padded)
            self._fitting = Fitting(memory, most_windows(prod(shape)), model, shape)

    @torch.no_grad()
    def __iter__(self) -> Generator[tuple[Window, Seen]]:
        """Yield each window with what the network says of it.

        Raises:
            InputError: the source cannot be read, or the network overflows.
        """
        if self._tracker is None:
            for windows, predictions in self._predicted():
                sound = _sound(predictions)
                if not self._ahead:
                    self._check(bool(sound))
                yield from self._named(windows, predictions, sound if self._ahead else None)
            return
        followed: Iterable[tuple[Window, Prediction]] = ((w, p) for w, _, p in self._followed(self._tracker))
        if self._refined:
            followed = refine(self._model, self._followed(self._tracker), self._limit, self.watch)
        for window, prediction in followed:
            yield from self._named((window,), prediction)

    def _predicted(self) -> Generator[tuple[tuple[Window, ...], Prediction]]:
        """Yield each batch of windows with what the network says of it."""
        model = self._model
        frames = groups(self._source, self._window)
        info, on_cpu = self._source.info, model.device.type == "cpu"
        resized, pinned = on_cpu or not self._ahead, self._ahead and model.device.type == "cuda"
        look = (self.size, model.view_side, info.pixel_aspect, info.region)
        read = (read_window(group, *look, resized=resized, pinned=pinned) for group in frames)
        with ExitStack() as stack:
            raw = stack.enter_context(closing(read_ahead(read, 2 * self._most))) if self._ahead else read
            made = (place_window(one, model.pixel_mean, model.pixel_std) for one in raw)
            for batch in self.watch.each("read", _batches(made, self._count)):
                if self._fitting is None:
                    with self.watch("network"):
                        predictions = self._predict(batch)
                    yield batch, predictions
                else:
                    yield from self.watch.each("network", self._fitting.run(self._predict, batch))

    @property
    def _most(self) -> int:
        """The most windows of a batch."""
        return self._batch if self._fitting is None else self._fitting.most

    def _count(self) -> int:
        """Return the windows of the next batch."""
        return self._batch if self._fitting is None else self._fitting.count

    def _followed(self, tracker: LearntTracker) -> Iterator[tuple[Window, Tensor, Prediction]]:
        """Yield each window with its own states and with its prediction in tube order."""
        device = self._model.device
        with closing(self._each_begun()) as begun:
            for window, prediction, read in late(begun, int(self._ahead)):
                self._check(bool(read["sound"]))
                assert prediction.states is not None
                with self.watch("tracking"):
                    order = tracker.match(read["embeddings"])
                    followed = tracker.follow(prediction, sent(order, device) if self._ahead else order)
                yield window, prediction.states, followed

    def _each_begun(self) -> Generator[tuple[Window, Prediction, Fetched | dict[str, Tensor]]]:
        """Yield each window once what its match wants is there; ahead, once that is on its way."""
        with closing(self._predicted()) as predicted:
            for windows, predictions in predicted:
                sound = _sound(predictions)
                for i, window in enumerate(windows):
                    prediction = predictions.window(i)
                    wanted = {"sound": sound, "embeddings": prediction.embeddings[0]}
                    yield window, prediction, Fetched(wanted) if self._ahead else wanted

    def _named(
        self, windows: Sequence[Window], predictions: Prediction, sound: Tensor | None = None
    ) -> Iterator[tuple[Window, Seen]]:
        """Yield the windows of a batch with their names."""
        with self.watch("names"):
            class_logits, vectors = self._compared(predictions)
        for i, window in enumerate(windows):
            own = None if vectors is None else vectors[i]
            yield window, Seen(predictions.window(i), class_logits[i : i + 1], self._scale, own, sound)

    def _compared(self, predictions: Prediction) -> tuple[Tensor, Tensor | None]:
        """Return the class logits of a batch of windows, and what they are made of where that is less than they are."""
        classifier = self._model.classifier
        if len(self.text.labels) <= WIDE:
            return classifier(predictions, self.text), None
        vectors = classifier.vectors(predictions)
        return classifier(predictions, self.text) if vectors is None else classifier.compared(
            vectors, self.text
        ), vectors

    def _predict(self, batch: Sequence[Window]) -> Prediction:
        views = [window.views for window in batch if window.views is not None]
        pixels = torch.stack([window.pixels for window in batch])
        predictions = self._model.see(pixels, torch.stack(views) if views else None, self.text)
        if self._model.dtype == torch.float32:  # a forward under autocast may answer in less
            predictions = predictions.float()
        return predictions

    def _check(self, sound: bool) -> None:
        """Refuse what is no number.

        Raises:
            InputError: the network overflows.
        """
        if not sound:
            raise overflow(self._model.dtype)


def _sound(predictions: Prediction) -> Tensor:
    """Return whether the network's answer is a number everywhere, where it lies."""
    return predictions.embeddings.isfinite().all()


def overflow(dtype: torch.dtype) -> InputError:
    """Return the error of a network whose answer is no number."""
    kind = str(dtype).removeprefix("torch.")
    return InputError(f"the network overflows in {kind}: use bfloat16 or float32, or check the weights")


def _batches(windows: Iterator[Window], count: Callable[[], int]) -> Iterator[tuple[Window, ...]]:
    """Yield groups of `count` windows of the same length; the last window of a video may be a shorter one.

    How many, is asked before each.
    """
    while group := tuple(islice(windows, count())):
        full = tuple(w for w in group if len(w.frames) == len(group[0].frames))
        yield full
        if len(full) < len(group):
            yield group[len(full) :]
