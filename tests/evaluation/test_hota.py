"""HOTA: every figure that TrackEval 1.3.0 computes for a small case of rectangles, and tiny hand-checked ones.

`test_hota_parity.py` has the irregular masks, which can tell masks from boxes.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from ovvis.errors import InputError
from ovvis.evaluation.hota import FIGURES, MOST_MASKS, HotaEvaluator, count
from ovvis.evaluation.records import Category, ResultTrack, TruthTrack
from ovvis.masks import encode

CASE = json.loads((Path(__file__).parents[1] / "parity" / "hota_small.json").read_text())


def masks(codes):
    return [None if c is None else {"size": c["size"], "counts": c["counts"].encode()} for c in codes]


def parity_evaluator(groups):
    truth = CASE["truth"]
    return HotaEvaluator(
        [Category(c["id"], c["name"], groups(c)) for c in truth["categories"]],
        [TruthTrack(a["id"], a["video_id"], a["category_id"], masks(a["segmentations"])) for a in truth["annotations"]],
        {v["id"]: v["neg_category_ids"] for v in truth["videos"]},
        {v["id"]: v["not_exhaustive_category_ids"] for v in truth["videos"]},
    )


def results():
    return [
        ResultTrack(r["video_id"], r["category_id"], r["score"], masks(r["segmentations"])) for r in CASE["results"]
    ]


def test_every_figure_of_every_group():
    evaluator = parity_evaluator(lambda c: (c["split"],))
    evaluator.update(results())
    given = evaluator.metrics()
    for group in ("all", "common", "uncommon"):
        assert given[group] == pytest.approx(CASE["expected"][group], abs=1e-9, rel=0), group


def test_every_figure_of_every_category():
    evaluator = parity_evaluator(lambda c: (c["name"],))
    for video in (3, 1, 5, 2, 4):
        evaluator.update(track for track in results() if track.video_id == video)
    given = evaluator.metrics()
    assert len(CASE["expected"]["by_category"]) >= 4
    for name, figures in CASE["expected"]["by_category"].items():
        assert given[name] == pytest.approx(figures, abs=1e-9, rel=0), name


SQUARE = np.zeros((6, 8), dtype=bool)
SQUARE[1:4, 1:5] = True
HERE, AWAY = encode(SQUARE), encode(np.roll(SQUARE, 4, axis=1))
DOG = [Category(1, "dog"), Category(2, "cat")]


def score(truths, found, **options):
    evaluator = HotaEvaluator(DOG, [TruthTrack(n, 1, 1, t) for n, t in enumerate(truths)], **options)
    evaluator.update(ResultTrack(1, kind, 0.5, m) for kind, m in found)
    return {name: round(value, 6) for name, value in evaluator.metrics()["all"].items()}


def test_the_truth_itself():
    assert score([[HERE, HERE]], [(1, [HERE, HERE])]) == dict.fromkeys(FIGURES, 1.0)


def test_nothing_found():
    assert score([[HERE, HERE]], []) == dict.fromkeys(FIGURES, 0.0) | {"LocA": 1.0}


def test_two_halves_are_detected_but_not_associated():
    figures = score([[HERE, HERE]], [(1, [HERE, None]), (1, [None, HERE])])
    assert (figures["DetA"], figures["AssA"], figures["HOTA"]) == (1, 0.5, round(0.5**0.5, 6))


def test_what_is_not_judged():
    both = [(1, [HERE, HERE]), (1, [None, AWAY])]
    assert score([[HERE, HERE]], both)["DetPr"] == pytest.approx(2 / 3, abs=1e-6)
    assert score([[HERE, HERE]], both, not_exhaustive={1: [1]})["DetPr"] == 1
    # A frame without a truth says nothing, unless the category is known to be absent.
    assert score([[HERE, None]], [(1, [HERE, HERE])])["DetPr"] == 1
    assert score([[HERE, None]], [(1, [HERE, HERE])], absent={1: [1]})["DetPr"] == 0.5
    assert score([[HERE]], [(1, [HERE]), (2, [HERE])])["HOTA"] == 1


RING = np.ones((9, 9), dtype=bool)
RING[3:6, 3:6] = False
NOTHING = encode(np.zeros((6, 8), dtype=bool))


def test_released_compares_boxes():
    # 72 of 81 pixels: right at 0.05 to 0.85, 17 of the 19 levels.
    for rules, figure in (("masks", 17 / 19), ("released", 1)):
        given = score([[encode(RING)]], [(1, [encode(np.ones_like(RING))])], rules=rules)
        assert given["DetA"] == pytest.approx(figure, abs=1e-6), rules


@pytest.mark.parametrize(
    ("truths", "found", "masks", "released"),
    [
        # A frame without any truth: of an absent category, a result in it is wrong, but never counts there.
        ([[HERE, None]], [(1, [HERE, HERE])], 0.5, 1),
        # A code without a pixel is a mask to them: a missed truth, and a wrong result.
        ([[HERE, NOTHING]], [(1, [HERE, None])], 1, 0.5),
        ([[HERE, HERE]], [(1, [HERE, HERE]), (1, [NOTHING, None])], 1, 2 / 3),
    ],
)
def test_released_counts_otherwise(truths, found, masks, released):
    for rules, figure in (("masks", masks), ("released", released)):
        given = score(truths, found, absent={1: [1]}, rules=rules)
        assert given["DetA"] == pytest.approx(figure, abs=1e-6), rules


@pytest.mark.parametrize("nothing", [None, NOTHING])
def test_a_category_without_a_mask_enters_no_mean(nothing):
    truths = [TruthTrack(1, 1, 1, [HERE]), TruthTrack(2, 1, 2, [nothing])]
    found = {}
    for rules in ("masks", "released"):
        evaluator = HotaEvaluator(DOG, truths, rules=rules)
        evaluator.update([ResultTrack(1, 1, 0.5, [HERE])])
        found[rules] = evaluator.metrics()["all"]["HOTA"]
    assert found == {"masks": 1, "released": 1 if nothing is None else 0.5}


def test_unknown_rules_are_refused():
    with pytest.raises(InputError, match="masks, released"):
        HotaEvaluator(DOG, [], rules="boxes")


def test_low_scores_may_be_left_out():
    assert score([[HERE]], [(1, [HERE])], min_score=0.6)["HOTA"] == 0


def test_only_so_many_masks_of_a_frame_count():
    evaluator = HotaEvaluator(DOG, [TruthTrack(1, 1, 1, [HERE])])
    crowd = [ResultTrack(1, 2, 0.9, [HERE])] * MOST_MASKS
    evaluator.update([*crowd, ResultTrack(1, 1, 0.1, [HERE])])
    assert evaluator.metrics()["all"]["HOTA"] == 0


def test_a_video_comes_whole():
    evaluator = HotaEvaluator(DOG, [TruthTrack(1, 1, 1, [HERE])])
    evaluator.update([ResultTrack(1, 1, 0.1, [HERE])])
    with pytest.raises(InputError, match="video 1 has results in two places"):
        evaluator.update([ResultTrack(1, 1, 0.1, [HERE])])


def test_no_frames_at_all():
    counts = count(np.zeros((0, 1, 1)), np.zeros((0, 1), dtype=bool), np.zeros((0, 1), dtype=bool))
    assert counts.figures()["HOTA"] == 0
