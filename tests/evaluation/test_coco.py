"""On videos of one frame, the rules of COCO give what pycocotools gives."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO as CocoFile
from pycocotools.cocoeval import COCOeval

from ovvis.evaluation.evaluator import Evaluator
from ovvis.evaluation.records import Category, ResultTrack, TruthTrack
from ovvis.evaluation.report import METRICS
from ovvis.evaluation.rules import COCO
from ovvis.masks import area, box, encode

SIDE, KINDS, IMAGES = 160, (2, 3, 7, 11), range(1, 9)
COCO_ORDER = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def rectangle(rng, near=None):
    if near is None:
        middle, half = rng.uniform(0, SIDE, 2), rng.choice([8, 16, 30, 48, 70]) * rng.uniform(0.4, 1.1, 2)
    else:
        middle, half = near[0] + rng.normal(0, 4, 2), near[1] * rng.uniform(0.85, 1.2, 2)
    low, high = np.clip((middle - half, middle + half), 0, SIDE).astype(int)
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[low[0] : high[0], low[1] : high[1]] = True
    return (middle, half), encode(mask)


def random_case(seed):
    rng = np.random.default_rng(seed)
    truths, results = [], []
    for image in IMAGES:
        shapes = [rectangle(rng) for _ in range(rng.integers(0, 9))]
        for _, mask in shapes:
            kind = int(rng.choice(KINDS[:3]))  # the last category has no truth
            truths.append(TruthTrack(len(truths) + seed % 2, image, kind, [mask], bool(rng.random() < 0.15)))
        for _ in range(rng.integers(0, 40)):
            near = shapes[rng.integers(len(shapes))][0] if shapes and rng.random() < 0.8 else None
            score = round(float(rng.random()), 1)  # many are equal
            results.append(ResultTrack(image, int(rng.choice(KINDS)), score, [rectangle(rng, near)[1]]))
        # more than a hundred of one category
        crowded = [ResultTrack(image, 2, float(rng.random()), [rectangle(rng)[1]]) for _ in range(120)]
        results += crowded if image == 3 else []
    return truths, results


def by_pycocotools(truths, results) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        file = CocoFile()
        file.dataset = {
            "images": [{"id": image, "width": SIDE, "height": SIDE} for image in IMAGES],
            "categories": [{"id": kind, "name": str(kind)} for kind in KINDS],
            "annotations": [
                {
                    "id": t.id,
                    "image_id": t.video_id,
                    "category_id": t.category_id,
                    "segmentation": t.masks[0],
                    "area": t.areas[0] if t.areas else area(t.masks[0]),
                    "bbox": box(t.masks[0]),
                    "iscrowd": int(t.is_crowd),
                }
                for t in truths
            ],
        }
        file.createIndex()
        found = file.loadRes(
            [
                {"image_id": r.video_id, "category_id": r.category_id, "score": r.score, "segmentation": r.masks[0]}
                for r in results
            ]
        )
        judge = COCOeval(file, found, "segm")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return dict(zip(COCO_ORDER, judge.stats, strict=True))


@pytest.mark.parametrize("stated", [1023.6, 1024.0, 1024.4, 9215.9, 9216.0, 9216.1])
def test_stated_areas_keep_their_fractions(stated):
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[:60, :50] = True
    truths, results = [TruthTrack(1, 1, 2, [encode(mask)], areas=[stated])], [ResultTrack(1, 2, 0.5, [encode(mask)])]
    evaluator = Evaluator([Category(kind, str(kind)) for kind in KINDS], truths, COCO)
    evaluator.update(results)
    assert evaluator.report().metrics["all"] == pytest.approx(by_pycocotools(truths, results), abs=1e-9, rel=0)


@pytest.mark.parametrize("seed", range(12))
def test_one_frame_equals_pycocotools(seed):
    truths, results = random_case(seed)
    evaluator = Evaluator([Category(kind, str(kind)) for kind in KINDS], truths, COCO)
    evaluator.update(results)
    given = evaluator.report().metrics["all"]
    assert tuple(given) == METRICS == COCO_ORDER
    assert given == pytest.approx(by_pycocotools(truths, results), abs=1e-9, rel=0)
    assert 0 < given["AP"] < 1
