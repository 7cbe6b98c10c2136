"""What a row measures: a model, words and frames, ready to run again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ovvis.benchmark.machine import peak_mib
from ovvis.benchmark.plan import Row
from ovvis.benchmark.records import Sample
from ovvis.errors import InputError
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.inference.stopwatch import Stopwatch
from ovvis.models.devices import pick_device, pick_precision
from ovvis.models.families import build_model
from ovvis.models.layers.deformable_attention import DeformableAttention
from ovvis.models.load import load_model
from ovvis.models.model import Model
from ovvis.models.settings import Precision, with_tracker
from ovvis.models.text import embed_vocabulary
from ovvis.models.zoo import find_model
from ovvis.structures import TextEmbeddings
from ovvis.vocabulary import Vocabulary

PARTS = ("backbone", "pixel_decoder", "query_decoder")
Build = Callable[[Row], Model]


def build(row: Row) -> Model:
    """Return a row's model, ready to run."""
    if row.way != "ovvis":
        raise InputError(f"way {row.way!r}: the program in benchmarks/ that measured it knows it; run that one again")
    if row.weights == "own":
        model = load_model(row.model, device=row.device, precision=cast(Precision, row.precision))
        assert isinstance(model, Model)  # its name is one of the zoo
        return model
    device = pick_device(row.device)
    return untrained(row).for_inference(device, pick_precision(row.precision, device))


def untrained(row: Row) -> Model:
    """Return a row's model with random weights, the same in every process, on the CPU."""
    entry = find_model(row.model)
    torch.manual_seed(0)
    model = build_model(entry.config, entry.name)
    with torch.no_grad():
        # Fresh layers predict almost the same mask everywhere: spread them, so that masks and samples differ.
        for layer in model.network.pixel_decoder.modules():
            if isinstance(layer, DeformableAttention):
                layer.offsets.weight.normal_(std=0.05)
    return model


class VideoSubject:
    """A generated video, segmented from its first frame to its tracks.

    The words are unit vectors drawn at random: no text work is part of a video.

    Args:
        row: what is measured.
        build: makes the model.
    """

    def __init__(self, row: Row, build: Build = build) -> None:
        self.row = row
        model = build(row)
        self._device = model.device
        settings = with_tracker(model.video, row.tracker) if row.tracker else model.video
        self._segmenter = VideoSegmenter(
            model,
            ["thing"],
            prompts=["{}"],
            cache=False,
            short_edge=row.short_edge,
            batch=row.batch or model.batch,
            settings=settings,
        )
        self._segmenter.text = random_words(row.words, model)
        self._parts = watch_parts(model)
        self._warm_up = self._segmenter.batch * max(2, settings.window or 1)

    def warm_up(self) -> None:
        """Run a few frames: the first ones pay for what is made once."""
        self._segmenter(moving_frames(self._warm_up, self.row.height, self.row.width)).close()

    def sample(self) -> Sample:
        """Run the whole video once."""
        row = self.row
        self._parts.seconds.clear()
        cuda = self._device.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats(self._device)
        start = time.perf_counter()
        with self._segmenter(moving_frames(row.frames, row.height, row.width)) as result:
            spent = time.perf_counter() - start
            stages = {stage: seconds / row.frames for stage, seconds in result.seconds.items()}
        network = stages.pop("network", 0.0)
        parts = {part.replace("_", " "): self._parts.seconds.get(part, 0.0) / row.frames for part in PARTS}
        gpu = torch.cuda.max_memory_allocated(self._device) / 2**20 if cuda else None
        return Sample(
            seconds=spent / row.frames,
            stages={**parts, "other network": max(network - sum(parts.values()), 0.0), **stages},
            peak_mib=peak_mib(),
            gpu_mib=gpu,
        )


class TextSubject:
    """The text embeddings of words that no cache knows, with the prompts that `ovvis segment` uses.

    Args:
        row: what is measured; its words are those of LV-VIS, over and over with a number.
        build: makes the model.
    """

    def __init__(self, row: Row, build: Build = build) -> None:
        self._model = build(row)
        self._words = new_words(row.words)

    def warm_up(self) -> None:
        """Read a few words."""
        embed_vocabulary(self._model.clip, Vocabulary(self._words[:8]))

    def sample(self) -> Sample:
        """Read all words once."""
        start = time.perf_counter()
        embed_vocabulary(self._model.clip, Vocabulary(self._words))
        return Sample(seconds=time.perf_counter() - start, peak_mib=peak_mib())


class Yardstick:
    """Products of matrices and copies of memory by NumPy: about as much of either as a network does."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._matrix = rng.standard_normal((1024, 1024)).astype(np.float32)
        self._block = np.zeros(2**25, np.uint8)

    def warm_up(self) -> None:
        """Do it once."""
        self.sample()

    def sample(self) -> Sample:
        """Do it once more."""
        start = time.perf_counter()
        for _ in range(8):
            self._matrix @ self._matrix
            self._block.copy()
        return Sample(seconds=time.perf_counter() - start)


Subject = VideoSubject | TextSubject | Yardstick


def subject(row: Row, build: Build = build) -> Subject:
    """Return what a row measures."""
    if row.task == "yardstick":
        return Yardstick()
    return TextSubject(row, build) if row.task == "text" else VideoSubject(row, build)


def watch_parts(model: Model) -> Stopwatch:
    """Return a stopwatch that adds up the time of the network's parts."""
    watch = Stopwatch(model.device)
    for name in PARTS:
        running: list[Any] = []

        def begin(*_: object, name: str = name, running: list[Any] = running) -> None:
            running.append(watch(name))
            running[-1].__enter__()

        def end(*_: object, running: list[Any] = running) -> None:
            running.pop().__exit__(None, None, None)

        part = getattr(model.network, name)
        part.register_forward_pre_hook(begin)
        part.register_forward_hook(end)
    return watch


def random_words(count: int, model: Model) -> TextEmbeddings:
    """Return a vocabulary of `count` labels, a unit vector each."""
    drawn = torch.randn(count, model.clip.width, generator=torch.Generator().manual_seed(0))
    names = tuple(f"label {k}" for k in range(count))
    return TextEmbeddings(F.normalize(drawn, dim=-1).to(model.device), torch.arange(count), names)


def new_words(count: int) -> list[str]:
    """Return `count` words of everyday length: LV-VIS' labels, then the same with numbers."""
    names = Vocabulary.builtin("lvvis").names
    return [name if k < len(names) else f"{name} {k}" for k in range(count) for name in (names[k % len(names)],)]


def moving_frames(count: int, height: int, width: int) -> Iterator[NDArray[np.uint8]]:
    """Yield frames with structure at several sizes that move a little; they hold no memory."""
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.standard_normal((1, 3, height // 16 + 9, width // 16 + 9))).float()
    image = F.interpolate(noise, size=(height + 64, width + 64), mode="bicubic")[0].permute(1, 2, 0)
    picture: NDArray[np.uint8] = (image * 60 + 128).clamp(0, 255).byte().numpy()
    for i in range(count):
        top, left = 2 * i % 64, 3 * i % 64
        yield np.ascontiguousarray(picture[top : top + height, left : left + width])
