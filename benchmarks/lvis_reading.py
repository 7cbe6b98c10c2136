"""Measure how long LVIS' training annotations take to read: a made-up file of their number and size (1 GB).

    python benchmarks/lvis_reading.py FOLDER

Writes FOLDER/lvis/lvis_v1_train.json if it is not there: 100,170 images, 1,203 categories, 1,270,141 polygons.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from pathlib import Path

IMAGES, CATEGORIES, ANNOTATIONS = 100_170, 1_203, 1_270_141


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder that the datasets lie in")
    folder: Path = parser.parse_args().folder
    path = folder / "lvis" / "lvis_v1_train.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        generate(path)
    from ovvis.datasets.open import open_dataset

    start, processor = time.perf_counter(), time.process_time()
    dataset = open_dataset("lvis_v1_train_norare", root=folder)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{len(dataset.truths)} of {ANNOTATIONS} annotations, {path.stat().st_size / 1e6:.0f} MB of JSON")
    print(f"{seconds:.2f} s, {processor:.2f} s of processor time, peak {peak:.0f} MB with the file's mapped pages")


def generate(path: Path) -> None:
    """Write a file in LVIS' form."""
    rng = random.Random(0)
    corners = [rng.choice([4, 8, 20, 60, 150]) for _ in range(500)]
    polygons = [json.dumps([[round(rng.uniform(0, 480), 2) for _ in range(2 * n)]]) for n in corners]
    categories = [{"id": i, "name": f"c{i}", "frequency": "fcr"[i % 3]} for i in range(1, CATEGORIES + 1)]
    size = '"height":480,"width":640,"neg_category_ids":[1,2,3,4,5,6],"not_exhaustive_category_ids":[7]'
    with path.open("w") as file:
        file.write(f'{{"info":{{}},"licenses":[],"categories":{json.dumps(categories)},"images":[')
        for i in range(1, IMAGES + 1):
            url = f"http://images.cocodataset.org/train2017/{i:012}.jpg"
            file.write(("," if i > 1 else "") + f'{{"id":{i},{size},"coco_url":"{url}"}}')
        file.write('],"annotations":[')
        for i in range(1, ANNOTATIONS + 1):
            image, category = 1 + (i - 1) * IMAGES // ANNOTATIONS, 1 + i % CATEGORIES
            ids = f'"id":{i},"image_id":{image},"category_id":{category}'
            box = '"bbox":[1.5,2.5,100.25,200.5],"area":1234.5'
            file.write(("," if i > 1 else "") + f'{{{ids},{box},"segmentation":{polygons[i % 500]}}}')
        file.write("]}")


if __name__ == "__main__":
    main()
