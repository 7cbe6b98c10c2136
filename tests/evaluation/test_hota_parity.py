"""HOTA on forty random cases of irregular masks: by masks as TrackEval's metric, by boxes as BURST's authors' program.

The masks are rings, scattered pixels, L shapes and ellipses; there are frames and tracks that hold nothing, codes
without a pixel, categories that are surely absent or not annotated in full, distractors and merged categories.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ovvis.evaluation.hota import FIGURES, HotaEvaluator
from ovvis.evaluation.records import Category, ResultTrack, TruthTrack

FILE = Path(__file__).parents[1] / "parity" / "hota_random.json"


@cache
def cases():
    known = json.loads(FILE.read_text())
    assert known["figures"] == list(FIGURES)
    return known["cases"]


def figures(case, rules):
    """Return what we make of a case: the mean over categories, and each category's own."""
    size = [case["height"], case["width"]]

    def masks(codes):
        return [None if code is None else {"size": size, "counts": code.encode()} for code in codes]

    evaluator = HotaEvaluator(
        [Category(i, name, (name,)) for i, name in enumerate(case["names"], 1)],
        [
            TruthTrack(number, truth["video_id"], truth["category_id"], masks(truth["segmentations"]))
            for number, truth in enumerate(case["truths"])
        ],
        {v["id"]: v["neg_category_ids"] for v in case["videos"]},
        {v["id"]: v["not_exhaustive_category_ids"] for v in case["videos"]},
        rules=rules,
    )
    for video in case["videos"]:
        evaluator.update(
            ResultTrack(r["video_id"], r["category_id"], r["score"], masks(r["segmentations"]))
            for r in case["results"]
            if r["video_id"] == video["id"]
        )
    found = {name: list(values.values()) for name, values in evaluator.metrics().items()}
    return found.pop("all"), {name: values for name, values in found.items() if values[0] >= 0}


@pytest.mark.parametrize("rules", ["masks", "released"])
def test_every_figure_of_every_category(rules):
    categories = 0
    for number, case in enumerate(cases()):
        expected = case["expected"][rules]
        mean, given = figures(case, rules)
        assert set(given) == set(expected), number
        for name, values in expected.items():
            assert given[name] == pytest.approx(values, abs=1e-9, rel=0), (number, name)
        means = np.mean(list(expected.values()), axis=0) if expected else [-1.0] * len(FIGURES)
        assert mean == pytest.approx(list(means), abs=1e-9, rel=0), number
        categories += len(expected)
    assert categories > 80


def test_the_two_ways_differ():
    apart = [abs(figures(case, "masks")[0][0] - figures(case, "released")[0][0]) for case in cases()]
    assert np.mean(np.array(apart) > 0.01) > 0.8
