"""Do the Stickers recipes give the same losses on this machine? Train a few steps, and compare with what is recorded.

The data, the initial weights and the points of the loss are drawn from seeds, so the first losses tell whether a
recipe does here what it did where it was recorded. Rounding differs between processors: a difference is relative, and
above --within (1e-3) the program ends with code 1. Recipes that go on from other weights begin untrained here, or with
packaged ones (`BEGIN`).

    ovvis world build
    python benchmarks/first_losses.py
    python benchmarks/first_losses.py clip-vis-stickers --record      # after a change of recipe, data or loss
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from ovvis.cli.train import train
from ovvis.training.logbook import read_metrics
from ovvis.training.recipes import load_config

RECORD = Path(__file__).with_name("first_losses.json")
RECIPES = (
    "clip-stickers-stills",
    "clip-stickers-groups",
    "clip-stickers",
    "clip-stickers-gpu",
    "clip-vis-stickers-half",
    "clip-vis-stickers-whole",
    "clip-vis-stickers",
    "clip-vis-stickers-gpu",
    "ovformer-stickers",
    "ov2seg-stickers",
    "ovformer-stickers-images-short",
    "ovformer-stickers-video-short",
)
BEGIN = {"ovformer-stickers-video-short": "ovformer-stickers-images-short"}
"""Recipes that go on from another's run, and begin here with what that one begins with; all of it is packaged."""


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    worst = 0.0
    table = Table(title=f"First losses on {platform.processor() or platform.machine()}, torch {torch.__version__}")
    for title in ("recipe", "step", "recorded", "here", "relative difference"):
        table.add_column(title, justify="left" if title == "recipe" else "right")
    for recipe in options.recipes:
        losses = first_losses(recipe, options.steps)
        if options.record:
            known[recipe] = losses
            RECORD.write_text(json.dumps(known, indent=1) + "\n")
        if recipe not in known:
            sys.exit(f"{RECORD.name} has nothing of {recipe}: record it with --record")
        for step, (here, there) in enumerate(zip(losses, known[recipe], strict=False), start=1):
            difference = abs(here / there - 1)
            worst = max(worst, difference)
            table.add_row(recipe if step == 1 else "", str(step), f"{there:.4f}", f"{here:.4f}", f"{difference:.1e}")
    Console(width=100).print(table)
    if not worst <= options.within:
        sys.exit(f"the largest difference is {worst:.1e}, above {options.within:g}")


def first_losses(recipe: str, steps: int) -> list[float]:
    """Return the losses of a recipe's first steps, as `ovvis train` logs them."""
    with tempfile.TemporaryDirectory() as folder:
        train(
            recipe,
            [f"run.steps={steps}", "run.log_every=1", "run.workers=0", *_beginning(recipe)],
            output=Path(folder) / "run",
            data=None,
            frames=None,
            data_root=None,
            device="cpu",
            dry=False,
            listed=False,
            exported=None,
        )
        return [line["loss"] for line in read_metrics(Path(folder) / "run") if line["kind"] == "step"]


def _beginning(recipe: str) -> list[str]:
    if recipe not in BEGIN:
        return []
    model = load_config(BEGIN[recipe]).model
    return [f"model.weights={model.weights}", f"model.decoders={model.decoders}", f"model.taken={list(model.taken)}"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=RECIPES, help="which recipes; all of the Stickers world's")
    parser.add_argument("--steps", type=int, default=5, help="steps of each")
    parser.add_argument("--within", type=float, default=1e-3, help="largest relative difference allowed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--record", action="store_true", help=f"write what is measured here into {RECORD.name}")
    return parser.parse_args()


if __name__ == "__main__":
    main()
