"""The network's pass over a video: what it says of each window, before anyone follows or names a tube."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from math import prod

import torch
from torch import Tensor

from ovvis.inference.ahead import read_ahead
from ovvis.inference.fetched import Fetched, late, sent
from ovvis.inference.fitting import Fitting, memory_of, most_windows
from ovvis.inference.refined import refine
from ovvis.inference.region import shown_size
from ovvis.inference.seen import Seen, overflow
from ovvis.inference.spill import DEFAULT_LIMIT
from ovvis.inference.stopwatch import Stopwatch
from ovvis.inference.windows import groups, place_window, read_window
from ovvis.models.export.exported import AnyModel
from ovvis.pixels import network_size, padded_size
from ovvis.sources.source import Source
from ovvis.structures import Prediction, TextEmbeddings, Window
from ovvis.tracking.learnt import LearntTracker

WIDE = 4096  # labels; of more a frame keeps what its class scores are made of, and not them


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


def _batches(windows: Iterator[Window], count: Callable[[], int]) -> Iterator[tuple[Window, ...]]:
    """Yield groups of `count` windows of the same length; the last window of a video may be a shorter one.

    How many, is asked before each.
    """
    while group := tuple(islice(windows, count())):
        full = tuple(w for w in group if len(w.frames) == len(group[0].frames))
        yield full
        if len(full) < len(group):
            yield group[len(full) :]
