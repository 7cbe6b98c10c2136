"""Does the training learn? A tiny CLIP-VIS overfits eight windows of a folder of videos, through `ovvis train`.

The network is CLIP-VIS with a small CLIP ResNet of untrained weights, frozen as ever, and a hidden width of 64. Eight
frames are taken evenly from a folder of frames and PNG id masks, such as DAVIS (what `ovvis datasets convert` takes).
Mask AP50 is measured on the same eight frames, every instance an "object": untrained CLIP features name nothing.
Prints a table, and with --picture draws the curve.

    python benchmarks/overfit.py davis --picture docs/overfit.png
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from rich.console import Console
from rich.table import Table

from ovvis.cli.train import train
from ovvis.datasets.mask_folder import MaskFolder, convert_masks
from ovvis.training.logbook import METRICS, read_metrics

CLIP = "overfit-resnet"
CLIP_CONFIG = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 224, "layers": [1, 1, 1, 1], "width": 32, "patch_size": None},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    home = Path(tempfile.mkdtemp())
    (home / f"{CLIP}.json").write_text(json.dumps(CLIP_CONFIG))
    open_clip.add_model_config(home)
    annotations = make_dataset(options.videos, home, options.windows)
    recipe = home / "overfit.yaml"
    recipe.write_text(RECIPE)
    output = options.output or home / "run"
    began = time.perf_counter()
    train(
        str(recipe),
        [
            f"run.steps={options.steps}",
            f"validation.dataset={annotations}",
            f"validation.frames={home / 'windows' / 'JPEGImages'}",
            *(options.set or []),
        ],
        output=output,
        data=str(annotations),
        frames=home / "windows" / "JPEGImages",
        data_root=None,
        device="cpu",
        dry=options.dry_run,
        listed=False,
        exported=None,
    )
    if options.dry_run:
        return
    seconds = time.perf_counter() - began
    lines = read_metrics(output)
    _print(lines, seconds)
    if options.picture:
        draw(lines, options.picture, options.windows)
    print(f"{output / METRICS}")


RECIPE = f"""
model:
  weights: untrained
  network: {{clip: {CLIP}, width: 64, queries: 20, pixel_layers: 2, decoder_layers: 3, heads: 8,
            pixel_hidden: 256, decoder_hidden: 256}}
data:
  augment: {{resize: short_edge, short_edges: [160], long_edge: 285, flip: 0.0}}
loss: {{points: 3136}}
optimizer: {{rate: 1.0e-3, warmup_steps: 20, warmup_from: 0.1, decay_at: [0.8, 0.95]}}
run: {{batch: 8, workers: 1, log_every: 10, save_every: 60, clip_gradients: 1.0}}
validation: {{every: 20, agnostic: true, short_edge: 160, long_edge: 285, pictures: 4}}
"""


def make_dataset(videos: Path, home: Path, windows: int) -> Path:
    """Take frames evenly from a folder, each as a video of its own, and convert them; return the JSON."""
    source = MaskFolder.find(videos)
    pairs = [
        (mask, next((source.frames / sequence).glob(f"{mask.stem}.*")))
        for sequence in source.sequences
        for mask in sorted((source.masks / sequence).glob("*.png"))
    ]
    for number, place in enumerate(np.linspace(0, len(pairs) - 1, windows).round().astype(int)):
        for path, kind in zip(pairs[place], ("Annotations", "JPEGImages"), strict=True):
            target = home / "windows" / kind / f"{number}"
            target.mkdir(parents=True)
            shutil.copyfile(path, target / path.name)
    convert_masks(MaskFolder.find(home / "windows"), home / "windows.json")
    return home / "windows.json"


def draw(lines: list[dict[str, Any]], target: Path, windows: int) -> None:
    """Draw loss and AP50 over the steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    steps = [line for line in lines if line["kind"] == "step"]
    checks = [line for line in lines if line["kind"] == "validation"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    for name in steps[0]["losses"]:
        left.plot([s["step"] for s in steps], [s["losses"][name] for s in steps], label=name)
    left.set(xlabel="step", ylabel="weighted loss, all layers", yscale="log", title="Training loss")
    left.legend()
    for name in ("AP", "AP50", "AP75"):
        right.plot([c["step"] for c in checks], [c["figures"][name] for c in checks], marker=".", label=name)
    right.axhline(0.9, color="grey", linewidth=0.8, linestyle="--")
    right.set(xlabel="step", ylim=(0, 1.02), title=f"Mask AP on the {windows} windows")
    right.legend(loc="lower right")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)


def _print(lines: list[dict[str, Any]], seconds: float) -> None:
    table = Table(title=f"Overfitting, {seconds:.0f} s on {torch.get_num_threads()} threads")
    for column in ("step", "AP", "AP50", "AP75"):
        table.add_column(column, justify="right")
    for line in lines:
        if line["kind"] == "validation":
            figures = line["figures"]
            table.add_row(str(line["step"]), *(f"{figures[name]:.3f}" for name in ("AP", "AP50", "AP75")))
    Console().print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, help="a folder of frames and masks, such as DAVIS")
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", action="append", help="as in `ovvis train`")
    parser.add_argument("--dry-run", action="store_true", help="as in `ovvis train`")
    parser.add_argument("--output", type=Path, help="folder of the run; a temporary one if not given")
    parser.add_argument("--picture", type=Path, help="PNG with the curves")
    return parser.parse_args()


if __name__ == "__main__":
    main()
