"""LVIS' rules give what the package lvis 0.5.3 gives, on thirty random cases of irregular masks.

Categories that are surely absent, not annotated in full, or of which nothing is said; more than 300 results of an
image; stated areas beside the borders and below 0; a truth of id 0; results without a pixel; crowds, which it ignores.
"""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ovvis.errors import InputError
from ovvis.evaluation.evaluator import Evaluator
from ovvis.evaluation.explain import Explainer
from ovvis.evaluation.records import Category, ResultTrack, TruthTrack
from ovvis.evaluation.rules import COCO, LVIS
from ovvis.masks import encode

FILE = Path(__file__).parents[1] / "parity" / "lvis_random.json"
GROUPS = {"r": "rare", "c": "common", "f": "frequent"}
NAMES = {"AR@300": "AR300", "ARs@300": "ARs", "ARm@300": "ARm", "ARl@300": "ARl"}


@cache
def known():
    return json.loads(FILE.read_text())


def scored(case, rules=LVIS, kind=Evaluator):
    def masks(counts):
        return [{"size": [known()["side"]] * 2, "counts": counts.encode()}]

    judge = kind(
        [Category(id, str(id), (GROUPS[frequency],)) for id, frequency in case["categories"]],
        [
            TruthTrack(id, image, category, masks(counts), bool(crowd), [area])
            for id, image, category, counts, area, crowd in case["annotations"]
        ],
        rules,
        {image for image, _, _ in case["images"]},
        {image: absent for image, absent, _ in case["images"]},
        {image: partial for image, _, partial in case["images"]},
    )
    judge.update(
        ResultTrack(image, category, score, masks(counts)) for image, category, score, counts in case["results"]
    )
    return judge


def test_every_figure():
    cases = known()["cases"]
    assert len(cases) == 30 and max(len(case["results"]) for case in cases) > 600
    for number, case in enumerate(cases):
        expected = {NAMES.get(name, name): value for name, value in case["expected"].items()}
        report = scored(case).report()
        given = report.metrics
        assert tuple(given["all"]) == report.names == tuple(expected)
        assert given["all"] == pytest.approx(expected, abs=1e-9, rel=0), number
        for name, group in (("APr", "rare"), ("APc", "common"), ("APf", "frequent")):
            if group in given:
                assert given[group]["AP"] == given["all"][name]


CHANGES = {
    "is_federated": False,
    "limits": (100,),
    "limit_is_shared": False,
    "knows_crowds": True,
    "empty_is_none": False,
    "loses_id_zero": False,
    "area_is_cut": True,
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_cases_tell_each_rule(name):
    rules = replace(LVIS, **{name: CHANGES[name]})
    for case in known()["cases"][::-1]:
        given = scored(case, rules).report().metrics["all"]
        if any(abs(given[name] - case["expected"][name]) > 1e-3 for name in ("AP", "APs", "APm", "APl")):
            return
    pytest.fail("no case tells")


def test_coco_is_stricter():
    lower = [c["expected"]["AP"] - scored(c, COCO).report().metrics["all"]["AP"] for c in known()["cases"]]
    assert np.mean(lower) > 0.02


def test_explaining_counts_alike():
    for case in known()["cases"][:8]:
        explanation = scored(case, kind=Explainer).explain()
        assert explanation.figures()["AP"] == pytest.approx(case["expected"]["AP"], abs=1e-9)
        assert explanation.losses()["everything"]["AP"] == pytest.approx(1 - case["expected"]["AP"], abs=1e-9)


def test_what_is_annotated_must_be_known():
    with pytest.raises(InputError, match="absent"):
        Evaluator([Category(1, "cup")], [], LVIS)


@pytest.mark.parametrize(
    ("absent", "partial", "figure"),
    [([], [], 1), ([2], [], 0.5), ([2], [2], 1)],
)
def test_a_result_counts_where_its_category_is_known(absent, partial, figure):
    mask = [encode(np.ones((4, 4), dtype=bool))]
    truths = [TruthTrack(1, 1, 1, mask, areas=[16]), TruthTrack(2, 2, 2, mask, areas=[16])]
    evaluator = Evaluator([Category(1, "cup"), Category(2, "bed")], truths, LVIS, [1, 2], {1: absent}, {1: partial})
    # A bed in the image of the cup comes before the one that is right.
    evaluator.update([ResultTrack(1, 1, 0.5, mask), ResultTrack(1, 2, 0.9, mask), ResultTrack(2, 2, 0.5, mask)])
    assert evaluator.report().category_ap == pytest.approx([1, figure])
