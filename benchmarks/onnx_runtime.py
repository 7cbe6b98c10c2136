"""ONNX Runtime beside PyTorch: processor time of a window with its names, in turn, and how far apart they are.

    python benchmarks/onnx_runtime.py clip-vis-stickers --size 256x448 --labels 80 --rounds 15

Both compute in float32 on the processor with the same number of threads. The file is exported first, for any size.
`--video N` compares the tracks of a generated video of N frames, too.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from ovvis.benchmark.subject import moving_frames
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.masks import decode
from ovvis.models.export.exported import ExportedModel
from ovvis.models.export.session import furthest
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
    parser.add_argument("--video", type=int, default=0, help="frames of a video to compare the tracks of")
    asked = parser.parse_args()
    plain = load_model(asked.model, asked.weights, device="cpu")
    assert isinstance(plain, Model)
    with tempfile.TemporaryDirectory() as folder:
        file = asked.file
        if file is None:
            file = Path(folder) / "model.onnx"
            begun, spent = time.perf_counter(), time.process_time()
            written = export_model(plain, file)
            took, worked = time.perf_counter() - begun, time.process_time() - spent
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
            print(f"export: {took:.0f} s, {worked:.0f} s of processor time, {written.bytes / 2**20:.0f} MiB, most held")
            print(f"  {peak:.1f} GiB; differs from PyTorch by {written.difference:.0e} on average", flush=True)
        exported = load_model(str(file), device="cpu")
        assert isinstance(exported, ExportedModel)
        if asked.rounds:
            measure(plain, exported, asked)
        if asked.video:
            compare(plain, exported, asked)


def random_text(model: Model, labels: int) -> TextEmbeddings:
    vectors = torch.nn.functional.normalize(torch.randn(labels, model.clip.width), dim=-1)
    return TextEmbeddings(vectors, torch.arange(labels), tuple(f"word {i}" for i in range(labels)))


def compare(plain: Model, exported: ExportedModel, asked: argparse.Namespace) -> None:
    height, width = (int(edge) for edge in asked.size.split("x"))
    text = random_text(plain, asked.labels)
    found = []
    for model in (plain, exported):
        segmenter = VideoSegmenter(model, list(text.labels), text_embeddings=text, short_edge=0, cache=False)
        found.append(segmenter(moving_frames(asked.video, height, width)))
    one, other = found
    same = sum((a.id, a.label) == (b.id, b.label) for a, b in zip(one.tracks, other.tracks, strict=True))
    apart = pixels = 0
    for a, b in zip(one.tracks, other.tracks, strict=True):
        for first, second in zip(a.masks, b.masks, strict=True):
            empty = np.zeros((height, width), bool)
            masks = [empty if mask is None else decode(mask).astype(bool) for mask in (first, second)]
            apart, pixels = apart + int((masks[0] != masks[1]).sum()), pixels + int(masks[0].sum())
    scores = max((abs(a.score - b.score) for a, b in zip(one.tracks, other.tracks, strict=True)), default=0.0)
    print(f"  {asked.video} frames: {same} of {len(one.tracks)} tracks with the same id and label, in the same order,")
    print(f"  scores at most {scores:.0e} apart, masks apart in {apart:,} pixels of {pixels:,}")


@torch.no_grad()
def measure(plain: Model, exported: ExportedModel, asked: argparse.Namespace) -> None:
    height, width = (int(edge) for edge in asked.size.split("x"))
    frames = plain.video.window or 1
    pixels = torch.randn(1, frames, 3, height, width)
    side = plain.view_side
    views = None if side is None else torch.randint(0, 256, (1, frames, 3, side, side), dtype=torch.uint8)
    text = random_text(plain, asked.labels)
    taken: dict[str, list[float]] = {"PyTorch": [], "ONNX Runtime": []}
    for number in range(asked.rounds + 2):  # the first two are not counted
        for name, model in (("PyTorch", plain), ("ONNX Runtime", exported)):
            begun = time.process_time()  # of all threads: what else runs does not count
            model.classifier(model.see(pixels, views, text), text)
            if number >= 2:
                taken[name].append(time.process_time() - begun)
    print(
        f"{plain.name}, {frames} frame(s) of {height}x{width}, {asked.labels} labels, {torch.get_num_threads()} threads"
    )
    for name, seconds in taken.items():
        low, high = min(seconds), max(seconds)
        print(
            f"  {name:13} {statistics.median(seconds):.3f} s of processor time a window (from {low:.3f} to {high:.3f})"
        )
    ratio = [a / b for a, b in zip(*taken.values(), strict=True)]
    print(f"  PyTorch takes {statistics.median(ratio):.2f} times as long (median of {len(ratio)} pairs)")
    answers = [_outputs(model, exported, pixels, views, text) for model in (exported, plain)]
    name, most = furthest(*answers)
    print(f"  their {name} are {most:.0e} apart on average, the other outputs less")


def _outputs(
    model: Model | ExportedModel,
    exported: ExportedModel,
    pixels: torch.Tensor,
    views: torch.Tensor | None,
    text: TextEmbeddings,
) -> dict[str, torch.Tensor]:
    seen = model.see(pixels, views, text)
    out = {name: getattr(seen, name) for name in exported.header.outputs}
    return out | ({"class_logits": model.classifier(seen, text)} if "class_logits" in out else {})


if __name__ == "__main__":
    main()
