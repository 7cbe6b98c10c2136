"""Measure the evaluator on a set of LV-VIS's size: seconds to read and to score, and peak memory.

    python benchmarks/evaluation.py                 200 videos, about 110 MB of results
    python benchmarks/evaluation.py --videos 837    as many as LV-VIS has for validation
    python benchmarks/evaluation.py --tubes 50      no two results share their masks
    python benchmarks/evaluation.py --write FOLDER  keep the two files, for another evaluator to read
    python benchmarks/evaluation.py --also hota     what HOTA takes, or what `--explain` does

The set is made up, the same one each time: 1,196 categories, 24 frames of 360 x 640 a video, 2 to 8 truths and 50
results a video. As from the released models, the results are tubes under several labels: 20 tubes a video. Two in
five results name a category that the video holds.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

CATEGORIES, FRAMES, HEIGHT, WIDTH, RESULTS = 1196, 24, 360, 640, 50

Blob = dict[str, NDArray[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=200, help="number of videos")
    parser.add_argument("--tubes", type=int, default=20, help="different tubes among the 50 results of a video")
    parser.add_argument("--write", type=Path, help="folder in which to keep truths.json and results.json")
    parser.add_argument("--also", choices=("hota", "explain"), help="another evaluator instead of AP's")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.write, options.also)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.write or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        generate(folder, options.videos, options.tubes)
        # Another process, so that the peak of memory is not the generator's.
        command = [sys.executable, __file__, "--measure", "--write", str(folder)]
        command += ["--also", options.also] if options.also else []
        figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        size = sum(path.stat().st_size for path in folder.glob("*.json")) / 1e6
    print(f"{options.videos} videos, {size:.0f} MB of JSON")
    for name, value in figures.items():
        print(f"{name:<18}{value:10.3f}")


def measure(folder: Path, also: str | None = None) -> dict[str, float]:
    """Read and score the files of a folder as `ovvis evaluate` does; seconds, MB and the AP (or the HOTA)."""
    from ovvis.datasets.open import open_dataset
    from ovvis.evaluation.evaluator import Evaluator
    from ovvis.evaluation.explain import Explainer
    from ovvis.evaluation.hota import HotaEvaluator
    from ovvis.evaluation.rules import LVVIS
    from ovvis.predictions.result_files import ResultFiles

    before = _peak()
    start, scoring = time.perf_counter(), 0.0
    truth = open_dataset(folder / "truths.json")
    evaluator: Evaluator | Explainer | HotaEvaluator
    if also == "hota":
        evaluator = HotaEvaluator(truth.categories, truth.truths)
    else:
        kind = Explainer if also else Evaluator
        evaluator = kind(truth.categories, truth.truths, LVVIS, {video.id for video in truth.videos})
    for tracks in ResultFiles(folder / "results.json", truth):
        begin = time.perf_counter()
        evaluator.update(tracks)
        scoring += time.perf_counter() - begin
    begin = time.perf_counter()
    figures = evaluator.metrics() if isinstance(evaluator, HotaEvaluator) else evaluator.report().metrics
    if isinstance(evaluator, Explainer):
        evaluator.explain()
    end = time.perf_counter()
    scoring += end - begin
    return {
        "read s": end - start - scoring,
        "score s": scoring,
        "peak MB": _peak(),
        "of it imports MB": before,
    } | {name: value for name, value in figures["all"].items() if name in ("AP", "AR100", "HOTA")}


def _peak() -> float:
    """Return the process's peak memory in MB (Linux counts in kB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def generate(folder: Path, videos: int, tubes: int = 20) -> None:
    """Write truths.json and results.json."""
    rng = np.random.default_rng(0)
    truths: list[dict[str, Any]] = []
    with (folder / "results.json").open("w") as file:
        for video in range(1, videos + 1):
            results = one_video(video, tubes, truths, rng)
            file.write(("[" if video == 1 else ", ") + json.dumps(results)[1:-1])
        file.write("]")
    names = [f"{frame:05}.jpg" for frame in range(FRAMES)]
    size = {"height": HEIGHT, "width": WIDTH, "length": FRAMES}
    content = {
        "info": {},
        "videos": [{"id": v, **size, "file_names": names} for v in range(1, videos + 1)],
        "categories": [{"id": c, "name": f"class_{c:04}", "partition": c % 4} for c in range(1, CATEGORIES + 1)],
        "annotations": truths,
    }
    (folder / "truths.json").write_text(json.dumps(content))


def one_video(video: int, tubes: int, truths: list[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Add a video's truths to the list and return its results."""
    results: list[dict[str, Any]] = []
    blobs = [blob(rng) for _ in range(rng.integers(2, 9))]
    labels = [int(c) for c in rng.integers(1, CATEGORIES + 1, len(blobs))]
    for shape, category in zip(blobs, labels, strict=True):
        masks = [rle(shape, frame) for frame in range(FRAMES)]
        areas = [int(coco.area(mask)) for mask in masks]
        truths.append({"id": len(truths) + 1, "video_id": video, "category_id": category, "iscrowd": 0})
        truths[-1] |= {"height": HEIGHT, "width": WIDTH, "length": FRAMES, "segmentations": masks, "areas": areas}
    sources = [int(i) for i in rng.integers(len(blobs), size=tubes)]
    shapes = [perturbed(blobs[i], rng) if rng.random() < 0.8 else blob(rng) for i in sources]
    drawn = [[rle(shape, frame) for frame in range(FRAMES)] for shape in shapes]
    for i in range(RESULTS):
        source, masks = sources[i % tubes], drawn[i % tubes]
        known = rng.random() < 0.4
        category = labels[source if rng.random() < 0.6 else rng.integers(len(blobs))]
        category = category if known else int(rng.integers(1, CATEGORIES + 1))
        score = round(float(rng.beta(4, 2) if known else rng.beta(2, 4)), 6)
        results.append({"video_id": video, "category_id": category, "score": score, "segmentations": masks})
    return results


def blob(rng: np.random.Generator) -> Blob:
    """Draw an outline that wobbles around an ellipse and drifts over the frames."""
    return {
        "centre": rng.uniform((90, 120), (HEIGHT - 90, WIDTH - 120)),
        "radius": rng.uniform((25, 40), (120, 170)),
        "drift": rng.uniform(-2, 2, 2),
        "wave": rng.uniform(0.02, 0.3, 4),
        "phase": rng.uniform(0, 6.28, 4),
    }


def perturbed(shape: Blob, rng: np.random.Generator) -> Blob:
    """Return an outline near another, as a network's mask is near the truth."""
    near = rng.exponential(0.1)
    return {
        "centre": shape["centre"] + rng.normal(0, 40 * near, 2),
        "radius": shape["radius"] * np.exp(rng.normal(0, near, 2)),
        "drift": shape["drift"] + rng.normal(0, near, 2),
        "wave": shape["wave"] * np.exp(rng.normal(0, 2 * near, 4)),
        "phase": shape["phase"],
    }


def rle(shape: Blob, frame: int) -> dict[str, Any]:
    """Return the run-length code of an outline in a frame: one run of ones a column."""
    (y, x), (tall, wide) = shape["centre"] + frame * shape["drift"], shape["radius"]
    columns = np.arange(max(int(x - wide), 0), min(int(x + wide) + 1, WIDTH))
    u = (columns - x) / wide
    half = tall * np.sqrt(np.maximum(1 - u * u, 0))
    turn = u[:, None] * (5, 9, 14, 23) + shape["phase"] + 0.1 * frame
    wobble = np.sin(turn) * shape["wave"]
    top = np.clip(y - half * (1 + wobble[:, :2].sum(1)), 0, HEIGHT).astype(np.int64)
    bottom = np.clip(y + half * (1 + wobble[:, 2:].sum(1)), top, HEIGHT).astype(np.int64)
    seen = bottom > top
    edges = np.stack([columns * HEIGHT + top, columns * HEIGHT + bottom], axis=1)[seen].reshape(-1)
    counts = np.diff(np.concatenate([[0], edges, [HEIGHT * WIDTH]]))
    code = coco.frPyObjects({"size": [HEIGHT, WIDTH], "counts": counts.tolist()}, HEIGHT, WIDTH)
    return {"size": [HEIGHT, WIDTH], "counts": code["counts"].decode("ascii")}


if __name__ == "__main__":
    main()
