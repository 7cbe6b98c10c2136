"""What a row measures: a model, words and frames, ready to run again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch.utils.hooks import RemovableHandle

from ovvis.benchmark.peaks import StagePeaks, can_tell
from ovvis.benchmark.plan import Row
from ovvis.benchmark.records import Sample
from ovvis.errors import InputError
from ovvis.freed_memory import freed_at_once
from ovvis.held_memory import most_held
from ovvis.inference.fitting import MOST, usual_batch
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.inference.stopwatch import Beside, Stopwatch
from ovvis.models.accelerations import accelerations
from ovvis.models.devices import pick_device, pick_precision
from ovvis.models.export.exported import AnyModel
from ovvis.models.export.names import is_exported
from ovvis.models.families import build_model
from ovvis.models.layers.deformable_attention import DeformableAttention
from ovvis.models.load import load_model
from ovvis.models.model import Model
from ovvis.models.settings import LONG_EDGE, Precision, with_tracker
from ovvis.models.text import embed_vocabulary
from ovvis.models.zoo import find_model
from ovvis.pixels import network_size, padded_size
from ovvis.structures import TextEmbeddings
from ovvis.vocabulary import Vocabulary

PARTS = ("backbone", "pixel_decoder", "query_decoder")
Build = Callable[[Row], AnyModel]


def build(row: Row) -> AnyModel:
    """Return a row's model, ready to run."""
    if row.way != "ovvis":
        raise InputError(f"way {row.way!r}: the program in benchmarks/ that measured it knows it; run that one again")
    if is_exported(row.model):
        return load_model(row.model, device=row.device)
    if row.weights == "own":
        precision = cast(Precision, row.precision)
        return load_model(row.model, device=row.device, precision=precision, accelerate=row.accelerate)
    device = pick_device(row.device)
    ways = accelerations(row.accelerate)
    return untrained(row).for_inference(device, pick_precision(row.precision, device), ways)


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
        batch = usual_batch(model, row.batch)
        self._segmenter = VideoSegmenter(
            model,
            ["thing"],
            prompts=["{}"],
            cache=False,
            short_edge=row.short_edge,
            batch=batch,
            settings=settings,
        )
        self._segmenter.text = random_words(row.words, model)
        # A network that is compiled, replayed or ONNX Runtime's has no parts that one could see by themselves.
        whole = not isinstance(model, Model) or {"compile", "graph"} & {*model.accelerated}
        self._parts, self._hooks = (Stopwatch(), []) if whole else watch_parts(cast(Model, model))
        self._before = 0.0  # MiB that the process held at most before its memory was looked at
        self._warm_up = (batch or 2 * MOST) * max(2, settings.window or 1)

    def warm_up(self) -> None:
        """Run a few frames: the first ones pay for what is made once."""
        self._segmenter(moving_frames(self._warm_up, self.row.height, self.row.width)).close()

    def stage_mib(self) -> dict[str, float]:
        """Return what each stage holds at most above the loaded model, of a few frames more; nothing where untold."""
        if not can_tell(self._device):
            return {}
        self._before = held_mib() or 0.0
        with freed_at_once():
            peaks = StagePeaks(self._device)
            try:
                self._tell(peaks)
                self.warm_up()
            finally:
                self._tell(None)
        return {name.replace("_", " "): max(mib, 0.0) for name, mib in peaks.mib.items()}

    def _tell(self, beside: Beside | None) -> None:
        """Have something else told of each stage."""
        self._segmenter.beside = self._parts.beside = beside

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
        parts = {name.replace("_", " "): took / row.frames for name, took in self._parts.seconds.items()}
        rest = {"other network" if parts else "network": max(network - sum(parts.values()), 0.0)}
        gpu = torch.cuda.max_memory_allocated(self._device) / 2**20 if cuda else None
        peak = None if (most := held_mib()) is None else max(most, self._before)
        return Sample(seconds=spent / row.frames, stages={**parts, **rest, **stages}, peak_mib=peak, gpu_mib=gpu)

    def close(self) -> None:
        """Let go of the model's parts."""
        for hook in self._hooks:
            hook.remove()


class NetworkSubject:
    """Windows of one shape through the network, one after another; no frames are read, nothing is named or followed.

    Args:
        row: what is measured; its frames are the windows' in all.
        build: makes the model.
    """

    def __init__(self, row: Row, build: Build = build) -> None:
        self.row, self._model = row, build(row)
        window, batch = self._model.video.window or 1, row.batch or self._model.batch
        height, width = padded_size(network_size(row.height, row.width, row.short_edge or None, LONG_EDGE))
        device, side = self._model.device, self._model.view_side
        draw = torch.Generator().manual_seed(0)
        self._pixels = torch.randn(batch, window, 3, height, width, generator=draw).to(device)
        self._views = None if side is None else torch.zeros(batch, window, 3, side, side, dtype=torch.uint8).to(device)
        self._text = random_words(1, self._model)  # the network does not see words
        self._times = max(1, round(row.frames / (window * batch)))

    def _run(self, times: int) -> None:
        with torch.no_grad():
            for _ in range(times):
                self._model.see(self._pixels, self._views, self._text)
        if self._model.device.type == "cuda":
            torch.cuda.synchronize(self._model.device)

    def warm_up(self) -> None:
        """Run a few windows: libraries choose their algorithms, and what is recorded is recorded."""
        self._run(3)

    def stage_mib(self) -> dict[str, float]:
        """Return nothing: it has no stages."""
        return {}

    def sample(self) -> Sample:
        """Run all windows once."""
        cuda = self._model.device.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats(self._model.device)
        start = time.perf_counter()
        self._run(self._times)
        spent = time.perf_counter() - start
        gpu = torch.cuda.max_memory_allocated(self._model.device) / 2**20 if cuda else None
        frames = self._times * self._pixels.shape[0] * self._pixels.shape[1]
        return Sample(seconds=spent / frames, peak_mib=held_mib(), gpu_mib=gpu)

    def close(self) -> None:
        """Let go of nothing: it changed nothing."""


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

    def stage_mib(self) -> dict[str, float]:
        """Return nothing: it has no stages."""
        return {}

    def sample(self) -> Sample:
        """Read all words once."""
        start = time.perf_counter()
        embed_vocabulary(self._model.clip, Vocabulary(self._words))
        return Sample(seconds=time.perf_counter() - start, peak_mib=held_mib())

    def close(self) -> None:
        """Let go of nothing: it changed nothing."""


class Yardstick:
    """Products of matrices and copies of memory by NumPy: about as much of either as a network does."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._matrix = rng.standard_normal((1024, 1024)).astype(np.float32)
        self._block = np.zeros(2**25, np.uint8)

    def warm_up(self) -> None:
        """Do it once."""
        self.sample()

    def stage_mib(self) -> dict[str, float]:
        """Return nothing: it has no stages."""
        return {}

    def sample(self) -> Sample:
        """Do it once more."""
        start = time.perf_counter()
        for _ in range(8):
            self._matrix @ self._matrix
            self._block.copy()
        return Sample(seconds=time.perf_counter() - start)

    def close(self) -> None:
        """Let go of nothing: it changed nothing."""


Subject = VideoSubject | NetworkSubject | TextSubject | Yardstick


def subject(row: Row, build: Build = build) -> Subject:
    """Return what a row measures."""
    if row.task == "yardstick":
        return Yardstick()
    if row.task == "network":
        return NetworkSubject(row, build)
    return TextSubject(row, build) if row.task == "text" else VideoSubject(row, build)


def held_mib() -> float | None:
    """Return the most memory that this process has held so far; None where the system does not say."""
    return None if (held := most_held()) is None else held / 2**20


def watch_parts(model: Model) -> tuple[Stopwatch, list[RemovableHandle]]:
    """Return a stopwatch that adds up the time of the network's parts, and the hooks by which it does."""
    watch, hooks = Stopwatch(model.device, wait="overlap" not in model.accelerated), []
    for name in PARTS:
        running: list[Any] = []

        def begin(*_: object, name: str = name, running: list[Any] = running) -> None:
            running.append(watch(name))
            running[-1].__enter__()

        def end(*_: object, running: list[Any] = running) -> None:
            running.pop().__exit__(None, None, None)

        part = getattr(model.network, name)
        hooks += [part.register_forward_pre_hook(begin), part.register_forward_hook(end)]
    return watch, hooks


def random_words(count: int, model: AnyModel) -> TextEmbeddings:
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
