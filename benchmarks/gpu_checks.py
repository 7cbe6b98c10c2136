"""What `gpu.py` runs in processes of its own: rows, and comparisons of a device with the CPU."""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace as changed

from ovvis.benchmark import subject, worker
from ovvis.benchmark.plan import Row
from ovvis.benchmark.subject import random_words, untrained
from ovvis.doctor.computing import BOUNDS, STORED, compare
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.models.devices import DTYPES
from ovvis.models.families import build_model
from ovvis.models.faster import differ
from ovvis.models.layers.kernels import difference
from ovvis.models.load import load_model
from ovvis.models.model import Model
from ovvis.models.settings import FamilyConfig
from ovvis.models.zoo import SMALL_MODEL, find_model
from ovvis.outputs.formats.tracks_json import load_tracks
from ovvis.paths import DEMO_VIDEO
from ovvis.sources.on_gpu import MEAN
from ovvis.sources.video import open_source
from ovvis.sources.video_file import FileSource
from ovvis.structures import Prediction, VideoResult

Found = dict[str, Any]
FRAMES, CHECKED = 60, (256, 448)  # of the video; height and width of a network's window
FAST = "kernels,graph,overlap"


def serve(dry: bool) -> None:
    """Serve rows on standard input and output: a model's stays until another precision or way of it is asked for."""
    kept: dict[tuple[str, ...], Model] = {}

    def build(row: Row) -> Model:
        key = row.model, row.device, row.precision, row.accelerate
        if key not in kept:
            kept.clear()
            gc.collect()
            if row.device.startswith("cuda"):
                torch.cuda.empty_cache()
            kept[key] = subject.build(changed(row, weights="untrained")) if not dry else tiny(row)
        return kept[key]

    torch.backends.cudnn.benchmark = True  # sizes stay the same
    worker.main(build)


def tiny(row: Row) -> Model:
    """Return a network of the same family with few weights but the backbone's, for the dry run."""
    torch.manual_seed(0)
    model = build_model(small(find_model(row.model).config), row.model)
    ways = [way for way in row.accelerate.split(",") if way]
    return model.for_inference(torch.device(row.device), DTYPES[row.precision], ways)


def small(config: FamilyConfig) -> FamilyConfig:
    """Return a configuration with next to nothing behind the backbone."""
    few = {"width": 32, "queries": 6, "pixel_layers": 1, "decoder_layers": 2, "heads": 4, "points": 2}
    return replace(config, **few, pixel_hidden=32, decoder_hidden=32)  # type: ignore[type-var, return-value]


def few(rows: Sequence[Row]) -> list[Row]:
    """Return a row of each kind, small."""
    chosen: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        if row.model == rows[0].model:
            small = changed(row, height=64, width=96, frames=4, words=min(row.words, 80))
            chosen.setdefault((row.task, row.accelerate, row.precision), small)
    return [row for row in chosen.values() if row.accelerate == FAST and row.precision == "bfloat16"]


def check(name: str, device: str, dry: bool) -> Iterator[Found]:
    """Yield what a comparison finds, one after another."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    where = torch.device(device)
    how: dict[str, Callable[..., Iterator[Found]]] = {"kernels": kernels, "video": video, "decoding": decoding}
    yield from how.get(name, lambda where, dry: network(name, where, dry))(where, dry)


def _found(name: str, start: float, good: bool, told: str) -> Found:
    return {"name": name, "good": good, "told": told, "seconds": time.perf_counter() - start}


def kernels(device: torch.device, dry: bool) -> Iterator[Found]:
    """Compare the kernel with PyTorch's way, in each precision."""
    if device.type != "cuda":
        yield _found("kernel", time.perf_counter(), True, f"not on {device.type}: the tests run it by an interpreter")
        return
    from ovvis.models.layers.deformable_kernel import sample

    for name, dtype in DTYPES.items():
        start = time.perf_counter()
        apart = difference(sample, 8, 3, 4, 32, device, dtype)
        yield _found(f"kernel, {name}", start, not apart, apart or "within rounding")


def network(name: str, device: torch.device, dry: bool) -> Iterator[Found]:
    """Compare a model's network, made of random weights, with the CPU's; then precisions, then accelerations."""
    frames = min(find_model(name).config.window or 1, 5) if hasattr(find_model(name).config, "window") else 1
    height, width = (64, 96) if dry else CHECKED
    pixels = torch.randn(1, frames, 3, height, width, generator=torch.Generator().manual_seed(0))
    row = Row(model=name)
    fresh = build_model(small(find_model(name).config), name) if dry else untrained(row)
    start = time.perf_counter()
    wanted, views = _seen(copy.deepcopy(fresh).for_inference(torch.device("cpu"), torch.float32), pixels, None)
    for precision, dtype in DTYPES.items():
        plain, _ = _seen(copy.deepcopy(fresh).for_inference(device, dtype), pixels, views)
        apart = differ(_tensors(plain.float()), _tensors(wanted))
        # Half precision differs by its rounding, which masked attention may make more of: only what is no number is
        # wrong then.
        good = not apart if precision == "float32" else "nan" not in apart
        yield _found(f"{name}, {precision}, against the CPU in float32", start, good, apart or "within rounding")
        if device.type != "cuda" or precision == "float32":
            start = time.perf_counter()
            continue
        for way in (FAST, *FAST.split(",")):
            start = time.perf_counter()
            model = copy.deepcopy(fresh).for_inference(device, dtype, way.split(","))
            faster = [_seen(model, x, views)[0] for x in (pixels, pixels.flip(-1), pixels)][-1]
            apart = differ(_tensors(faster), _tensors(plain))
            lines = [*model.notes, *(model._faster.notes if model._faster else [])]
            told = "; ".join([apart or "within rounding", *lines])
            good = not apart and not lines
            yield _found(f"{name}, {precision}, {way}, against the plain way", start, good, told)
            if good:
                break  # else each by itself, to know which it is
        start = time.perf_counter()


def _seen(model: Model, pixels: torch.Tensor, views: torch.Tensor | None) -> tuple[Prediction, torch.Tensor | None]:
    """Return what a network says of pixels, on the CPU, and the views that it was given."""
    if views is None and model.view_side is not None:
        draw = torch.Generator().manual_seed(1)
        side = model.view_side
        views = torch.randint(0, 256, (*pixels.shape[:2], 3, side, side), generator=draw, dtype=torch.uint8)
    with torch.no_grad():
        found = model.see(
            pixels.to(model.device), None if views is None else views.to(model.device), random_words(1, model)
        )
    return found._map(lambda x: x.cpu()), views


def _tensors(prediction: Prediction) -> tuple[torch.Tensor, ...]:
    values = (getattr(prediction, part.name) for part in fields(prediction))
    return tuple(value for value in values if value is not None)


def video(device: torch.device, dry: bool) -> Iterator[Found]:
    """Compare what is found in 60 frames of the packaged video with the CPU's, plainly and accelerated."""
    with load_tracks(STORED) as stored:
        words = list(stored.labels)
    count = 3 if dry else FRAMES

    def result(where: str, precision: str = "float32", accelerate: str = "") -> VideoResult:
        model = load_model(SMALL_MODEL, device=where, precision=precision, accelerate=accelerate)  # type: ignore[arg-type]
        return VideoSegmenter(model, words, cache=False)(DEMO_VIDEO, max_frames=count)

    with result("cpu") as wanted:
        best = replace(wanted, tracks=wanted.best_tracks(0.3))
        cases = [("float32", ""), ("float32", "overlap")]
        if device.type == "cuda":
            cases += [("float32", way) for way in (FAST, f"{FAST},batch")]
            cases += [("bfloat16", FAST), ("float16", FAST), ("bfloat16", "")]
        for precision, way in dict.fromkeys(cases):
            start = time.perf_counter()
            with result(str(device), precision, way) as found:
                bounds = BOUNDS[precision]
                difference = compare(best, found, bounds.score)
            name = f"{count} frames, {precision}{', ' if way else ''}{way}, against the CPU in float32"
            yield _found(name, start, difference.within(bounds), str(difference))


def decoding(device: torch.device, dry: bool) -> Iterator[Found]:
    """Compare the packaged video's frames from the GPU's decoder with PyAV's."""
    start, name = time.perf_counter(), "decoding by the GPU"
    if device.type != "cuda":
        yield _found(name, start, True, f"not on {device.type}: the tests take a stand-in")
        return
    there = open_source(DEMO_VIDEO, decode=str(device))
    if isinstance(there, FileSource):
        yield _found(name, start, "torchcodec is not installed" in there.notes[-1], there.notes[-1])
        return
    apart, count = 0.0, 0
    for one, other in zip(there, open_source(DEMO_VIDEO), strict=True):
        assert (one.index, one.time) == (other.index, other.time)
        apart, count = max(apart, float(np.abs(one.image.astype(np.int16) - other.image).mean())), count + 1
    lost = [line for line in there.notes if "on it is decoded on the CPU" in line]
    yield _found(
        name, start, apart <= MEAN and not lost, "; ".join([f"{count} frames, {apart:.2f} of 255 apart", *lost])
    )
