"""Peak resident memory on short and long videos, and that a spilled run gives the tracks of an in-memory one.

Each length runs in a process of its own on a generated 720p video. The network's size does not matter to what
grows with the video, so that `--short-edge` may be small to save time.

Usage: python benchmarks/memory.py --frames 300 3000 --short-edge 128 --labels 1196
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import ovvis
from ovvis.inference.spill import DEFAULT_LIMIT
from ovvis.outputs.render import VideoWriter
from ovvis.structures import TextEmbeddings

SIZE = (720, 1280)


def main() -> None:
    """Measure each length and print what grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--frames", type=int, nargs="+", default=[300, 3000])
    parser.add_argument("--short-edge", type=int, default=128)
    parser.add_argument("--labels", type=int, default=1196)
    parser.add_argument("--model", default="clip-vis-r50")
    parser.add_argument("--weights", default="untrained")
    parser.add_argument("--compare", action="store_true", help="run each length in memory too and compare the tracks")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(json.loads(options.worker))))
        return
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for frames in options.frames:
            video = Path(folder) / f"{frames}.mp4"
            write_video(video, frames)
            row = {**vars(options), "video": str(video), "limit": DEFAULT_LIMIT}
            spilled = call(row)
            peaks.append(spilled["peak_mib"])
            line = f"{frames} frames: peak {spilled['peak_mib']:.0f} MiB, {spilled['seconds'] / frames:.3f} s a frame"
            if options.compare:
                memory = call(row | {"limit": 2**40})
                same = memory["tracks"] == spilled["tracks"]
                line += f"; in memory: peak {memory['peak_mib']:.0f} MiB, tracks {'equal' if same else 'DIFFER'}"
            print(line, flush=True)
    print(f"growth from {options.frames[0]} to {options.frames[-1]} frames: {peaks[-1] - peaks[0]:.0f} MiB")


def call(row: dict[str, Any]) -> dict[str, Any]:
    """Run a row in a process of its own."""
    run = subprocess.run([sys.executable, __file__, "--worker", json.dumps(row)], stdout=subprocess.PIPE, check=True)
    numbers: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return numbers


def measure(row: dict[str, Any]) -> dict[str, Any]:
    """Segment the video, write its tracks, and return peak memory and a hash of the tracks."""
    model = ovvis.load_model(row["model"], row["weights"])
    segmenter = ovvis.VideoSegmenter(
        model, ["thing"], prompts=["{}"], cache=False, short_edge=row["short_edge"], memory_limit=row["limit"]
    )
    torch.manual_seed(0)
    vectors = F.normalize(torch.randn(row["labels"], model.clip.width), dim=-1)
    segmenter.text = TextEmbeddings(
        vectors, torch.arange(row["labels"]), tuple(f"label {k}" for k in range(row["labels"]))
    )
    start = time.perf_counter()
    digest = hashlib.sha256()
    with segmenter(row["video"]) as result:
        for track in result.tracks:
            digest.update(f"{track.id} {track.label} {track.score!r}".encode())
            for mask in track.masks:
                digest.update(b"-" if mask is None else mask["counts"])
    return {
        "tracks": digest.hexdigest(),
        "seconds": time.perf_counter() - start,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }


def write_video(path: Path, frames: int) -> None:
    """Write a 720p video of soft shapes that move."""
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.standard_normal((1, 3, 16, 24))).float()
    image = F.interpolate(noise, size=(SIZE[0] + 128, SIZE[1] + 128), mode="bicubic")[0].permute(1, 2, 0)
    image = (image * 60 + 128).clamp(0, 255).byte().numpy()
    with VideoWriter(path, 30.0, SIZE) as video:
        for i in range(frames):
            y, x = int(64 + 60 * np.sin(i / 40)), int(64 + 60 * np.cos(i / 31))
            video.write(np.ascontiguousarray(image[y : y + SIZE[0], x : x + SIZE[1]]))


if __name__ == "__main__":
    main()
