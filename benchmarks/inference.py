"""`ovvis benchmark`, and in turn with it the authors' way through the same network.

That way: `grid_sample` in the deformable attention, masks of full size after each decoder layer, BatchNorm not folded,
memory not channels-last; freed memory is kept for both. Everything else is measured by the command itself.

Usage: python benchmarks/inference.py clip-vis-r50 --size 480x853 --words 1196 --precision float32 --json FILE
"""

from __future__ import annotations

import argparse
import shlex
import sys
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from msgspec.structs import replace
from torch import nn

from ovvis.benchmark import crew, subject, worker
from ovvis.benchmark.machine import this_machine
from ovvis.benchmark.plan import Row, grid, parse_counts, parse_names, parse_sizes
from ovvis.benchmark.records import Record, as_json
from ovvis.benchmark.tables import page
from ovvis.cli.console import note, progress
from ovvis.cli.segmenter import device_title
from ovvis.models.devices import DTYPES, pick_device
from ovvis.models.layers import deformable_attention
from ovvis.models.model import Model
from ovvis.models.query_decoder import QueryDecoder

PLAIN = "authors' way"


def main() -> None:
    """Measure each asked-for row both ways and print the page."""
    if sys.argv[1:] == ["--worker"]:
        worker.main(build)
        return
    options = parse()
    axes = {
        "size": parse_sizes(options.size),
        "words": parse_counts(options.words, "words", 1, 1_000_000),
        "frames": (options.frames,),
        "precision": parse_names(options.precision, "precision", [*DTYPES]),
        "device": (str(pick_device(options.device)),),
    }
    ours = [replace(row, weights="untrained") for row in grid(options.model, axes, combine=False, batch=1)]
    rows = [replace(row, way=way) for row in ours for way in ("ovvis", PLAIN)]
    machine = this_machine("" if rows[0].device == "cpu" else device_title(rows[0].device))
    record = Record(date=date.today().isoformat(), command=shlex.join(sys.argv), machine=machine, results=[])
    with crew.Crew([sys.executable, __file__, "--worker"]) as members, progress("measuring", "runs") as bar:
        for record.results, record.yardstick in crew.measure(rows, options.repeats, members, bar):
            pass
    print(page(record))
    if options.json:
        options.json.write_bytes(as_json(record))
        note(f"{options.json}: ovvis benchmark --read {options.json} shows it again")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("model", nargs="*", default=["clip-vis-r50"])
    parser.add_argument("--size", default="480x853")
    parser.add_argument("--words", default="1196")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def build(row: Row) -> Model:
    """Return a row's model, made to take its way."""
    if row.way != PLAIN:
        return subject.build(row)
    model = subject.untrained(row)
    slow_down(model)
    model = model.eval().requires_grad_(False).to(row.device)
    for part in (model.network, model.clip.visual, model.tracker, model.refiner):
        if part is not None:
            part.to(DTYPES[row.precision])
    return model


def slow_down(model: Model) -> None:
    """Make a model take the authors' way."""
    grid = deformable_attention.GridSampler
    deformable_attention.BagSampler = lambda value, shapes, *_: grid(value, shapes)  # type: ignore[assignment, misc]

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


if __name__ == "__main__":
    main()
