"""What a step of a recipe costs on a device: time, memory, and how many operations it is.

Batches are made before and lie in memory, so that no step waits for data. Operations are PyTorch's own, counted by its
profiler in one more step, views and allocations left out: on a GPU that small networks do not fill, a step takes as
long as they take to be asked for. `--way` says how many windows the loss computes at once: as `ovvis train` does there
(ours), one (apart), or the whole batch (together).

Usage: python benchmarks/recipe_step.py clip-vis-stickers --batch 16 32 64 --device cuda
       python benchmarks/recipe_step.py clip-vis-stickers --batch 8 --way apart together --set run.compile=false
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from ovvis.freed_memory import keep_freed_memory
from ovvis.structures import LayeredPrediction
from ovvis.training.build import build_task
from ovvis.training.devices import make_fabric, memory_held
from ovvis.training.live import Live
from ovvis.training.loss import criterion, matcher
from ovvis.training.meter import Meter
from ovvis.training.recipes import load_config
from ovvis.training.start import starting_model

_WARM = 3  # steps before the first that counts
_NOTHING = (  # which compute nothing
    "view,as_strided,slice,select,expand,reshape,transpose,permute,unsqueeze,squeeze,t,detach,detach_,_unsafe_view,"
    "empty,empty_like,empty_strided,split,split_with_sizes,unbind,flatten,unflatten,to,result_type,narrow,alias,item,"
    "resize_,linear,matmul,einsum,contiguous,conv2d,_convolution,convolution,layer_norm,zeros,ones,chunk,movedim,"
    "view_as,expand_as,lift_fresh,is_nonzero,pad,grid_sampler,zeros_like,ones_like,full_like,new_zeros,new_empty,"
    "_reshape_alias,resolve_conj,resolve_neg,dropout,batch_norm,type_as"
)
_VIEWS = {f"aten::{name}" for name in _NOTHING.split(",")}


def main() -> None:
    options = parse()
    keep_freed_memory()
    threads = torch.get_num_threads()
    table = Table(title=f"{options.recipe}, {options.device}, {threads} threads, {options.steps} steps")
    for column in ("batch", "loss", "ms a step", "least", "most", "windows/s", "operations", "MiB"):
        table.add_column(column, justify="left" if column == "loss" else "right")
    for batch in options.batch:
        for way in options.way:
            table.add_row(str(batch), way, *measure(options, batch, way))
    Console(width=100).print(table)


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("recipe")
    parser.add_argument("--batch", type=int, nargs="+", default=[8])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--way", nargs="+", choices=("ours", "apart", "together"), default=["ours"])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    return parser.parse_args()


def measure(options: argparse.Namespace, batch: int, way: str) -> list[str]:
    """Run steps of the recipe and return the row's cells."""
    config = load_config(options.recipe, [f"run.batch={batch}", *options.settings])
    fabric = make_fabric(config.run.precision, options.device)
    task = build_task(config, starting_model(config), fabric).task
    for module in (matcher, criterion):
        module.groups = GROUPS[way]  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        live = Live(task, config, fabric, Path(folder))
        drawn = task.batches(0)
        batches = itertools.cycle([next(drawn) for _ in range(3)])
        meter = Meter(options.steps, batch)

        def step(number: int) -> None:
            live.set_rates(number)
            losses = live.forward_backward(batches, meter)
            live.agree(losses, live.clip(), False)
            live.update()

        def wait() -> float:
            if fabric.device.type == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter()

        for number in range(_WARM):
            step(number)
        seconds = []
        for number in range(options.steps):
            began = wait()
            step(_WARM + number)
            seconds.append(wait() - began)
        with profile(activities=[ProfilerActivity.CPU]) as counted:
            step(_WARM + options.steps)
    events = [e for e in counted.key_averages() if e.key.startswith("aten::") and e.key not in _VIEWS]
    middle = statistics.median(seconds)
    return [
        *(f"{1000 * value:.1f}" for value in (middle, min(seconds), max(seconds))),
        f"{batch / middle:.1f}",
        f"{sum(e.count for e in events):,}",
        f"{memory_held(fabric.device) / 2**20:.0f}",
    ]


def apart(windows: int, size: int, prediction: LayeredPrediction) -> list[slice]:
    """Stand in for `matcher.groups`: each window by itself."""
    return [slice(i, i + 1) for i in range(windows)]


def together(windows: int, size: int, prediction: LayeredPrediction) -> list[slice]:
    """Stand in for `matcher.groups`: all windows at once."""
    return [slice(0, windows)]


GROUPS = {"ours": matcher.groups, "apart": apart, "together": together}


if __name__ == "__main__":
    main()
