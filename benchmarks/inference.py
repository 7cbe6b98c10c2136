"""Seconds a frame and peak memory of a model, by stage.

Each row runs in a process of its own, on the same frames, with untrained weights (the time does not depend on
them) and random text embeddings (no text work is part of a video). `--plain` adds a row for the way that the
authors' code takes through the same network: `grid_sample` in the deformable attention, masks of full size after
each decoder layer, BatchNorm not folded, memory not channels-last.

`--tracker adjacent online offline` gives a model that has them a row for each of its trackers (OV-DVIS++: frame by
frame, online, offline). `--memory 8 32` adds, for each row, the peak on so many frames: what grows with a video.

Usage: python benchmarks/inference.py --model clip-vis-r50 --size 480x853 --labels 1196 --precision float32 --plain
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import nn

import ovvis
from ovvis.cli.process import keep_freed_memory
from ovvis.inference.stopwatch import Stopwatch
from ovvis.models.devices import DTYPES, pick_device
from ovvis.models.families import build_model
from ovvis.models.layers import deformable_attention
from ovvis.models.model import Model
from ovvis.models.query_decoder import QueryDecoder
from ovvis.models.settings import TRACKERS, with_tracker
from ovvis.models.zoo import find_model
from ovvis.structures import TextEmbeddings

PARTS = ("backbone", "pixel_decoder", "query_decoder")


def main() -> None:
    """Measure each asked-for row and print the table."""
    options = parse()
    if options.worker:
        print(json.dumps(measure(json.loads(options.worker))))
        return
    rows = [
        {"model": model, "precision": precision, "plain": plain, "tracker": tracker}
        for model in options.model
        for tracker in options.tracker or [None]
        for precision in options.precision
        for plain in ((False, True) if options.plain else (False,))
    ]
    shared = {
        "size": options.size,
        "labels": options.labels,
        "frames": options.frames,
        "device": options.device,
        "batch": options.batch,
    }
    results = []
    for row in rows:
        Console(stderr=True).print(f"measuring {row} ...")
        results.append(row | call(row | shared))
        peaks = {frames: call(row | shared | {"frames": frames}) for frames in options.memory}
        results[-1]["peaks"] = {frames: peak["gpu_mib"] or peak["peak_mib"] for frames, peak in peaks.items()}
    show(results, options)
    if options.json:
        print(json.dumps(results))


def call(row: dict[str, Any]) -> dict[str, Any]:
    """Run a row in a process of its own."""
    run = subprocess.run([sys.executable, __file__, "--worker", json.dumps(row)], stdout=subprocess.PIPE, check=True)
    numbers: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return numbers


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--model", nargs="+", default=["clip-vis-r50"])
    parser.add_argument("--tracker", nargs="+", choices=[*TRACKERS], help="the model's own if not given")
    parser.add_argument("--memory", nargs="+", type=int, default=[], help="numbers of frames whose peak is told too")
    parser.add_argument("--precision", nargs="+", default=["float32"], choices=[*DTYPES])
    parser.add_argument("--size", default="480x853", help="height x width of the frames, which are not resized")
    parser.add_argument("--labels", type=int, default=1196)
    parser.add_argument("--frames", type=int, default=8, help="frames measured, after two that are not")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--plain", action="store_true", help="measure the authors' way too")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON at the end")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(row: dict[str, Any]) -> dict[str, Any]:
    """Run one row in this process and return its numbers."""
    height, width = map(int, row["size"].split("x"))
    device = pick_device(row["device"])
    entry = find_model(row["model"])
    torch.manual_seed(0)  # the same weights, so the same masks, in every row
    model = build_model(entry.config, entry.name)
    with torch.no_grad():
        # Fresh layers predict almost the same mask everywhere: spread them, so that masks and samples differ.
        for layer in model.network.pixel_decoder.layers:
            layer.attention.offsets.weight.normal_(std=0.05)
    if row["plain"]:
        slow_down(model)
        model = model.eval().requires_grad_(False).to(device)
        model.network.to(DTYPES[row["precision"]])
        for part in (model.clip.visual, model.tracker, model.refiner):
            if part is not None:
                part.to(DTYPES[row["precision"]])
    else:
        keep_freed_memory()  # as the command does
        model = model.for_inference(device, DTYPES[row["precision"]])
    watch = watch_parts(model, device)
    settings = with_tracker(model.video, row["tracker"]) if row["tracker"] else model.video
    segmenter = ovvis.VideoSegmenter(
        model, ["thing"], prompts=["{}"], cache=False, short_edge=0, batch=row["batch"], settings=settings
    )
    vectors = F.normalize(torch.randn(row["labels"], model.clip.width), dim=-1).to(device)
    names = tuple(f"label {k}" for k in range(row["labels"]))
    segmenter.text = TextEmbeddings(vectors, torch.arange(row["labels"]), names)
    frames = picture_frames(row["frames"] + 2 * row["batch"], height, width)
    segmenter(frames[: 2 * row["batch"]]).close()
    watch.seconds.clear()
    loaded = peak_memory()
    ticks: list[float] = []
    with segmenter(frames[2 * row["batch"] :], on_frame=lambda _: ticks.append(time.perf_counter())) as result:
        total = sum(result.seconds.values())
        stages = {stage: seconds / row["frames"] for stage, seconds in result.seconds.items()}
    refined = settings.learnt == "offline"  # whose frames come all at once, at the end
    gaps = [] if refined else [b - a for a, b in pairwise(ticks)]
    network = stages.pop("network")
    parts = {part: watch.seconds[part] / row["frames"] for part in PARTS}
    return {
        "seconds": total / row["frames"],
        "spread": [min(gaps), statistics.median(gaps), max(gaps)] if gaps else [],
        "stages": {**parts, "other network": max(network - sum(parts.values()), 0.0), **stages},
        "loaded_mib": loaded,
        "peak_mib": peak_memory(),
        "gpu_mib": torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else None,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else str(device),
    }


def slow_down(model: Model) -> None:
    """Make a model take the authors' way."""
    deformable_attention.BagSampler = deformable_attention.GridSampler  # type: ignore[assignment, misc]

    def allowed(self: QueryDecoder, state: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        size = features.shape[-2:]
        masks = self.masks(state, full[0]).flatten(0, 1)
        small = F.interpolate(masks.float(), size=size, mode="bilinear", align_corners=False)
        inside = small.unflatten(0, state.shape[:2]).flatten(2).sigmoid() >= 0.5
        return inside | ~inside.any(-1, keepdim=True)

    full: list[torch.Tensor] = []

    def remember(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        full[:] = [arguments[1]]

    QueryDecoder._allowed = allowed  # type: ignore[method-assign]
    model.network.query_decoder.register_forward_pre_hook(remember)


def watch_parts(model: Model, device: torch.device) -> Stopwatch:
    """Return a stopwatch that adds up the time of the network's parts."""
    watch = Stopwatch(device)
    for name in PARTS:
        running: list[Any] = []

        def begin(module: nn.Module, arguments: Any, name: str = name, running: list[Any] = running) -> None:
            running.append(watch(name))
            running[-1].__enter__()

        def end(module: nn.Module, arguments: Any, output: Any, running: list[Any] = running) -> None:
            running.pop().__exit__(None, None, None)

        part = getattr(model.network, name)
        part.register_forward_pre_hook(begin)
        part.register_forward_hook(end)
    return watch


def picture_frames(count: int, height: int, width: int) -> list[np.ndarray]:
    """Return frames with structure at several sizes that move a little."""
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.standard_normal((1, 3, height // 16 + 9, width // 16 + 9))).float()
    image = F.interpolate(noise, size=(height + 64, width + 64), mode="bicubic")[0].permute(1, 2, 0)
    image = (image * 60 + 128).clamp(0, 255).byte().numpy()
    return [np.ascontiguousarray(image[2 * i % 64 :][:height, 3 * i % 64 :][:, :width]) for i in range(count)]


def peak_memory() -> float:
    """Return this process's largest resident memory so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def show(results: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Print the table."""
    stages = list(dict.fromkeys(stage for row in results for stage in row["stages"]))
    table = Table(title=f"{options.size}, {options.labels} labels, {options.frames} frames, batch {options.batch}")
    for column in ("model", "precision", "way", "s/frame", "min - max", *stages, "peak MiB"):
        table.add_column(
            column.replace("_", " "), justify="left" if column in ("model", "precision", "way") else "right"
        )
    for row in results:
        table.add_row(
            row["model"] + (f", {row['tracker']}" if row["tracker"] else ""),
            row["precision"],
            "plain" if row["plain"] else "ovvis",
            f"{row['seconds']:.3f}",
            f"{row['spread'][0]:.2f} - {row['spread'][2]:.2f}" if row["spread"] else "",
            *(f"{row['stages'].get(stage, 0):.3f}" for stage in stages),
            f"{row['gpu_mib'] or row['peak_mib']:.0f}",
        )
    console = Console(width=200)
    console.print(table)
    for row in results:
        if row["peaks"]:
            peaks = ", ".join(f"{frames} frames {peak:.0f} MiB" for frames, peak in row["peaks"].items())
            console.print(f"{row['model']}, {row['tracker'] or 'its own tracker'}, {row['precision']}: {peaks}")
    cores = torch.get_num_threads()
    console.print(
        f"{results[0]['device']}, {platform.machine()}, {cores} threads, torch {torch.__version__}, "
        f"{torch.backends.cpu.get_cpu_capability()}, {time.strftime('%Y-%m-%d')}"
    )


if __name__ == "__main__":
    main()
