"""Every figure that the released evaluators of LV-VIS and BURST print for the parity case."""

import json
from functools import lru_cache
from pathlib import Path

import pytest

from ovvis.evaluation.evaluator import Evaluator
from ovvis.evaluation.records import Category, ResultTrack, TruthTrack
from ovvis.evaluation.report import METRICS, Report
from ovvis.evaluation.rules import BURST, LVVIS

PARITY = Path(__file__).parents[1] / "parity"
GROUPS = {
    "lvvis": lambda c: ("base",) if c["partition"] in (0, 1) else ("novel",),
    "burst": lambda c: ("novel" if c["frequency"] == "r" else "base", c["split"]),
}
RULES = {"lvvis": LVVIS, "burst": BURST}
LETTERS = {"": "all", "b": "base", "n": "novel", "c": "common", "u": "uncommon"}


def case(name):
    return json.loads((PARITY / f"eval_small_{name}.json").read_text())


def masks(codes):
    return [None if c is None else {"size": c["size"], "counts": c["counts"].encode()} for c in codes]


def truths():
    return [
        TruthTrack(a["id"], a["video_id"], a["category_id"], masks(a["segmentations"]), bool(a["iscrowd"]), a["areas"])
        for a in case("gt")["annotations"]
    ]


def results():
    return [
        ResultTrack(r["video_id"], r["category_id"], r["score"], masks(r["segmentations"])) for r in case("results")
    ]


def categories(kind):
    return [Category(c["id"], c["name"], GROUPS[kind](c)) for c in case("gt")["categories"]]


@lru_cache(maxsize=2)
def report(kind) -> Report:
    evaluator = Evaluator(categories(kind), truths(), RULES[kind], {v["id"] for v in case("gt")["videos"]})
    evaluator.update(results())
    return evaluator.report()


@pytest.mark.parametrize("kind", ["lvvis", "burst"])
def test_every_figure(kind):
    expected = case("expected")[kind]["metrics"]
    given = report(kind).metrics
    assert set(given) == set(expected)
    for group, figures in expected.items():
        shown = {name: given[group][name] for name in figures}
        assert shown == pytest.approx(figures, abs=1e-9, rel=0), group


@pytest.mark.parametrize("kind", ["lvvis", "burst"])
def test_every_printed_line(kind):
    given, lines = report(kind).metrics, case("expected")[kind]["printed"]
    assert len(lines) == len(METRICS) * len(given)
    for line in lines:
        title, rest = line.split("@[")
        letter = title.split()[2][2:]
        kept, iou = int(rest.split("maxDets=")[1].split("]")[0]), rest.split("IoU=")[1].split()[0]
        area = rest.split("area=")[1].split("|")[0].strip()
        ending = area[0] if area != "all" else str(kept) if "AR" in title else iou[2:] if ":" not in iou else ""
        name = title.split()[2][:2] + ending
        assert f"{given[LETTERS[letter]][name]:.3f}" == line.split("= ")[-1], line


@pytest.mark.parametrize("kind", ["lvvis", "burst"])
def test_results_may_come_video_by_video(kind):
    evaluator = Evaluator(categories(kind), truths(), RULES[kind])
    for video in range(10, 0, -1):
        evaluator.update(r for r in results() if r.video_id == video)
    assert evaluator.report().metrics == report(kind).metrics
