"""Draws the loss of one or several runs of `ovvis train`, one behind the other.

Usage: python tools/loss_curves.py runs/clip-stickers-stills runs/clip-stickers-groups --picture docs/clip_curves.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ovvis.training.logbook import read_metrics


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders, in the order in which one went on from another")
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--mean", type=int, default=5, help="records that a point of a curve is the mean of")
    asked = parser.parse_args()
    draw([[r for r in read_metrics(run) if r["kind"] == "step"] for run in asked.runs], asked)


def draw(runs: list[list[dict[str, Any]]], asked: argparse.Namespace) -> None:
    """Draw the weighted terms over the minutes that the runs took."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    names = list(dict.fromkeys(name for run in runs for name in run[0]["losses"]))
    colours = {name: f"C{i}" for i, name in enumerate(names)}
    start = 0.0
    for run, folder in zip(runs, asked.runs, strict=True):
        gaps = np.diff([0, *(record["step"] for record in run)])
        minutes = start + np.cumsum(gaps * [record["seconds"] for record in run]) / 60
        for name in run[0]["losses"]:
            values = np.array([record["losses"][name] for record in run])
            kernel = np.ones(min(asked.mean, len(values)))
            smooth = np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")
            axes.plot(minutes, smooth, color=colours[name], label=None if start else name)
        axes.axvline(start, color="grey", linewidth=0.8, linestyle=":")
        axes.annotate(folder.name, (start, 1.0), xycoords=("data", "axes fraction"), va="bottom", fontsize=8)
        start = float(minutes[-1])
    axes.set(xlabel="minutes", ylabel="weighted loss", yscale="log")
    axes.legend()
    asked.picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(asked.picture, dpi=110)


if __name__ == "__main__":
    main()
