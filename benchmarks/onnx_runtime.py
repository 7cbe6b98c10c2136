"""ONNX Runtime beside PyTorch: seconds of a window with its names, in turn in one run, and how far the answers are.

    python benchmarks/onnx_runtime.py clip-vis-stickers --size 256x448 --labels 80 --rounds 15

Both compute in float32 on the processor with the same number of threads. The file is exported first, for any size.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from ovvis.models.export.exported import ExportedModel
from ovvis.models.export.write import export_model
from ovvis.models.load import load_model
from ovvis.models.model import Model
from ovvis.structures import TextEmbeddings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--file", type=Path, help="an export that is there already")
    parser.add_argument("--weights", help="a checkpoint, or 'untrained'")
    parser.add_argument("--size", default="256x448")
    parser.add_argument("--labels", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    plain = load_model(asked.model, asked.weights, device="cpu")
    assert isinstance(plain, Model)
    with tempfile.TemporaryDirectory() as folder:
        file = asked.file
        if file is None:
            file = Path(folder) / "model.onnx"
            begun = time.perf_counter()
            written = export_model(plain, file)
            print(f"export: {time.perf_counter() - begun:.0f} s, {written.bytes / 2**20:.0f} MiB")
        exported = load_model(str(file), device="cpu")
        assert isinstance(exported, ExportedModel)
        measure(plain, exported, asked)


@torch.no_grad()
def measure(plain: Model, exported: ExportedModel, asked: argparse.Namespace) -> None:
    height, width = (int(edge) for edge in asked.size.split("x"))
    frames = plain.video.window or 1
    pixels = torch.randn(1, frames, 3, height, width)
    side = plain.view_side
    views = None if side is None else torch.randint(0, 256, (1, frames, 3, side, side), dtype=torch.uint8)
    vectors = torch.nn.functional.normalize(torch.randn(asked.labels, plain.clip.width), dim=-1)
    names = tuple(f"word {i}" for i in range(asked.labels))
    text = TextEmbeddings(vectors, torch.arange(asked.labels), names)
    taken: dict[str, list[float]] = {"PyTorch": [], "ONNX Runtime": []}
    for number in range(asked.rounds + 2):  # the first two are not counted
        for name, model in (("PyTorch", plain), ("ONNX Runtime", exported)):
            begun = time.perf_counter()
            model.classifier(model.see(pixels, views, text), text)
            if number >= 2:
                taken[name].append(time.perf_counter() - begun)
    print(
        f"{plain.name}, {frames} frame(s) of {height}x{width}, {asked.labels} labels, {torch.get_num_threads()} threads"
    )
    for name, seconds in taken.items():
        low, high = min(seconds), max(seconds)
        print(f"  {name:13} {statistics.median(seconds):.3f} s a window (from {low:.3f} to {high:.3f})")
    ratio = [a / b for a, b in zip(*taken.values(), strict=True)]
    print(f"  PyTorch takes {statistics.median(ratio):.2f} times as long (median of {len(ratio)} pairs)")


if __name__ == "__main__":
    main()
