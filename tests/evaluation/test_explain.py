import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from ovvis.errors import InputError
from ovvis.evaluation.average_precision import THRESHOLDS
from ovvis.evaluation.error_types import KINDS
from ovvis.evaluation.evaluator import Evaluator
from ovvis.evaluation.explain import Explainer
from ovvis.evaluation.explanation import ORACLES
from ovvis.evaluation.records import Category, ResultTrack, TruthTrack
from ovvis.evaluation.repairs import REPAIRS
from ovvis.evaluation.rules import BURST, COCO, LVIS, LVVIS, YOUTUBE_VIS
from ovvis.masks import encode

CATEGORIES = [Category(5, "dog", ("novel",)), Category(9, "cat", ("base",)), Category(2, "cow", ("base",))]
DOG, CAT, COW = 5, 9, 2
FRAMES = 10


def bar(left, width=10):
    mask = np.zeros((10, 60), dtype=bool)
    mask[:, left : left + width] = True
    return encode(mask)


A, B = [bar(0)] * FRAMES, [bar(20)] * FRAMES
NOWHERE = [bar(40)] * FRAMES
WIDE = [bar(0, 16)] * FRAMES  # overlap 10/16 with A
HALF = [bar(5)] * FRAMES  # overlap 1/3 with A


def cut(masks, *frames):
    return [mask if i in frames else None for i, mask in enumerate(masks)]


def spliced(first, second, at):
    return [*first[:at], *second[at:]]


def truth(masks=A, category=DOG, number=1, video=1, **more):
    return TruthTrack(number, video, category, masks, **more)


def result(masks=A, category=DOG, score=0.5, video=1):
    return ResultTrack(video, category, score, masks)


def explain(truths, results, rules=LVVIS):
    explainer = Explainer(CATEGORIES, truths, rules)
    explainer.update(results)
    return explainer.explain()


def gains(explanation, group="all", measure="AP50"):
    return {name: figures[measure] for name, figures in explanation.losses(group).items() if figures[measure] > 1e-9}


ONE, TWO = [truth()], [truth(), truth(B, CAT, 2)]
PIECES = ((0, 1, 2, 3), (4, 5, 6), (7, 8, 9))
PAIR = [truth(), truth(B, DOG, 2)]

# What is planted, the only kind of error at a threshold of 0.5, and the AP50 that its repair regains.
PLANTED = [
    ("nothing", TWO, [result(), result(B, CAT)], {}, {}),
    ("name", TWO, [result(A, COW), result(B, CAT)], {"name": 1}, {"name": 0.5}),
    ("name, found already", TWO, [result(), result(B, CAT), result(B, DOG, 0.9)], {"name": 1}, {"name": 0.25}),
    ("two names on one mask", ONE, [result(A, CAT, 0.9), result(A, COW, 0.8)], {"name": 2}, {"name": 1}),
    ("names changed round", TWO, [result(A, CAT), result(B, DOG)], {"name": 2}, {"name": 1}),
    ("mask", ONE, [result(HALF)], {"mask": 1}, {"mask": 1}),
    ("mask, two results", ONE, [result(HALF), result(HALF)], {"mask": 2}, {"mask": 1}),
    ("mask, found already", ONE, [result(HALF, score=0.9), result()], {"mask": 1}, {"mask": 0.5}),
    ("identities change", PAIR, [result(spliced(A, B, 5)), result(spliced(B, A, 5))], {"switch": 2}, {"switch": 1}),
    ("over to another name", TWO, [result(spliced(A, B, 4)), result(B, CAT)], {"switch": 1}, {"switch": 0.5}),
    ("ends early", ONE, [result(cut(A, 0, 1, 2, 3))], {"broken": 1}, {"broken": 1}),
    ("begins late", ONE, [result(cut(A, 6, 7, 8, 9))], {"broken": 1}, {"broken": 1}),
    ("holes", ONE, [result(cut(A, 0, 3, 5, 9))], {"broken": 1}, {"broken": 1}),
    ("drifts away", ONE, [result(spliced(A, NOWHERE, 5))], {"broken": 1}, {"broken": 1}),
    ("three pieces", ONE, [result(cut(A, *p)) for p in PIECES], {"broken": 3}, {"broken": 1}),
    ("a piece of one frame", [truth([bar(0)] * 20)], [result(cut([bar(0)] * 20, 3))], {"broken": 1}, {"broken": 1}),
    ("both", ONE, [result(HALF, CAT)], {"both": 1, "missed": 1}, {"missed": 1}),
    ("both, in time", ONE, [result(cut(A, 1), CAT)], {"both": 1, "missed": 1}, {"missed": 1}),
    ("duplicate", PAIR, [result(), result(), result(B, score=0.1)], {"duplicate": 1}, {"duplicate": 50 / 303}),
    ("background", ONE, [result(NOWHERE, score=0.9), result()], {"background": 1}, {"background": 0.5}),
    ("background, no truth there", ONE, [result(video=2, score=0.9), result()], {"background": 1}, {"background": 0.5}),
    ("missed", TWO, [result()], {"missed": 1}, {"missed": 0.5}),
    ("missed, no result", ONE, [], {"missed": 1}, {"missed": 1}),
    ("id zero", [truth(number=0)], [result()], {"uncounted": 1}, {"uncounted": 1}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("truths", "results", "counts", "regained"), [p[1:] for p in PLANTED], ids=[p[0] for p in PLANTED]
)
def test_one_planted_error(truths, results, counts, regained):
    explanation = explain(truths, results)
    assert {name: count for name, count in explanation.counts().items() if count} == counts
    found = gains(explanation)
    assert found.pop("everything", 0) == pytest.approx(1 - explanation.figures()["AP50"])
    kinds = {name: gain for name, gain in found.items() if name in KINDS}
    assert kinds == pytest.approx(regained)


def test_the_smaller_factor_is_to_blame():
    """Overlap 10/16 in the six first frames of ten: lost in time at first, since that is the smaller factor."""
    part = [*WIDE[:6], *[None] * 4]
    error = explain(ONE, [result(part)]).errors[0]
    assert (error.overlap, error.space, error.time) == pytest.approx((60 / 136, 10 / 16, 96 / 136))
    assert list(KINDS)[error.kind] == "mask"
    error = explain(ONE, [result([*WIDE[:4], *[None] * 6])]).errors[0]
    assert (error.space, error.time) == pytest.approx((10 / 16, 64 / 124))
    assert list(KINDS)[error.kind] == "broken"
    assert (error.frames_on, error.frames_lost, error.frames_switched) == (4, 6, 0)


def test_a_kind_at_each_threshold():
    """Overlap 0.8 with a truth of another name: its name is wrong up to 0.8, above it so is its track."""
    explanation = explain(ONE, [result(cut(A, *range(8)), CAT)])
    kinds = {
        list(KINDS)[e.kind]: [round(float(t), 2) for t, on in zip(THRESHOLDS, e.levels, strict=True) if on]
        for e in explanation.errors
    }
    assert kinds == {
        "name": [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8],
        "both": [0.85, 0.9, 0.95],
        "missed": [0.85, 0.9, 0.95],
    }
    assert explanation.losses()["name"] == {
        "AP": pytest.approx(0.7),
        "AP50": pytest.approx(1),
        "AP75": pytest.approx(1),
    }


def test_a_longer_stay_elsewhere_is_a_switch_a_longer_absence_is_not():
    def kind(frames_on_b):
        track = [*A[:4], *B[4 : 4 + frames_on_b], *[None] * (6 - frames_on_b)]
        return list(KINDS)[explain(TWO, [result(track), result(B, CAT)]).errors[0].kind]

    assert [kind(n) for n in (0, 2, 3, 6)] == ["broken", "broken", "switch", "switch"]


def test_what_is_missed_is_taken_away():
    """As in TIDE: found 1 of 2, behind a wrong one; without the other the recall is 1 at a precision of 1/2."""
    explanation = explain(PAIR, [result(NOWHERE, score=0.9), result()])
    assert explanation.figures()["AP50"] == pytest.approx(51 / 101 / 2)
    assert gains(explanation)["missed"] == gains(explanation)["no truth missed"] == pytest.approx(1 / 2 - 51 / 101 / 2)
    # A category that is left without a truth leaves the mean.
    explanation = explain([truth(), truth(B, CAT, 2)], [result(NOWHERE, score=0.9), result()])
    assert gains(explanation) == pytest.approx(
        {"missed": 0.25, "no truth missed": 0.25, "background": 0.25, "no wrong result": 0.25, "everything": 0.75}
    )


def test_groups():
    explanation = explain(TWO, [result(A, COW), result(HALF, CAT), result(B, CAT, 0.1)])
    assert gains(explanation, "novel") == pytest.approx({"name": 1, "no truth missed": 1, "everything": 1})
    assert gains(explanation, "base") == pytest.approx({"both": 0.5, "no wrong result": 0.5, "everything": 0.5})
    assert explanation.counts("novel")["name"] == 0 and explanation.counts("base")["name"] == 1
    assert explanation.figures("nobody") == {"AP": -1, "AP50": -1, "AP75": -1}


@pytest.mark.parametrize(
    ("truths", "results", "expected"),
    [
        (TWO, [result(A, CAT), result(B, COW)], (1, 0, 1)),
        (TWO, [result(HALF), result(B, CAT)], (0.5, 1, 1)),
        (TWO, [result(HALF, COW), result(B, CAT)], (0.5, 0.5, 1)),
        (ONE, [result(A, CAT, 0.9), result(A, COW), result(A, DOG, 0.2)], (1, 1, 1)),  # one tube, three labels
        (ONE, [result(HALF, score=0.9), result()], (0.5, 1, 1)),
        (ONE, [result(NOWHERE, score=0.9), result()], (0.5, 0.5, 0.5)),
        (TWO, [result()], (0.5, 0.5, 0.5)),
    ],
)
def test_oracles(truths, results, expected):
    figures = explain(truths, results).oracle_figures()
    assert tuple(figures[name]["AP50"] for name in ORACLES) == pytest.approx(expected)


def test_crowds_need_not_be_found_and_excuse_results():
    crowd = truth(B, number=2, is_crowd=True)
    explanation = explain([truth(), crowd], [result(), result(B)], YOUTUBE_VIS)
    assert explanation.errors == () and gains(explanation) == {}
    assert explanation.oracle_figures()["oracle masks"]["AP"] == pytest.approx(1)
    assert explain([truth(), crowd], [result()], YOUTUBE_VIS).errors == ()
    assert [list(KINDS)[e.kind] for e in explain([truth(), crowd], [result(), result(B, CAT)], YOUTUBE_VIS).errors] == [
        "background"
    ]


def test_a_truth_may_be_found_twice_in_burst():
    assert explain(ONE, [result(), result()], BURST).errors == ()


def noisy(seed):
    """Truths and results of several videos with every kind of error."""
    rng = np.random.default_rng(seed)
    truths, results = [], []
    for video in range(1, 9):
        left = [int(x) for x in rng.integers(0, 45, 4)]
        for x in left[: rng.integers(0, 4)]:
            kind = int(rng.choice([DOG, CAT]))
            shown = [bar(x) if rng.random() < 0.9 else None for _ in range(FRAMES)]
            truths.append(truth(shown, kind, len(truths), video, is_crowd=bool(rng.random() < 0.1)))
        for _ in range(rng.integers(0, 12)):
            x, y = int(rng.choice(left)), int(rng.choice(left))
            track = spliced([bar(x + int(rng.integers(0, 5)))] * FRAMES, [bar(y)] * FRAMES, int(rng.integers(2, 18)))
            track = track if rng.random() < 0.7 else cut(track, *rng.integers(0, FRAMES, 6))
            for _ in range(rng.integers(1, 3)):
                results.append(result(track, int(rng.choice([DOG, CAT, COW])), round(float(rng.random()), 1), video))
    return truths, results


def strange_areas(truths, seed):
    """Return truths of which some state an area that no track has."""
    rng = np.random.default_rng(seed)
    choices = [None, None, [-5.0] * FRAMES, [2e10] * FRAMES, [0] * FRAMES, [900.5] * FRAMES]
    return [replace(t, areas=choices[rng.integers(len(choices))]) for t in truths]


@pytest.mark.parametrize("rules", [LVVIS, BURST, YOUTUBE_VIS, COCO, LVIS], ids=lambda rules: rules.name)
@pytest.mark.parametrize("seed", range(5))
def test_the_ap_is_the_evaluators_and_no_repair_lowers_it(rules, seed):
    truths, results = noisy(seed)
    truths = strange_areas(truths, seed)
    said = {video: [DOG, CAT, COW][: video % 4] for video in range(1, 9)}, {video: [CAT] for video in (2, 3)}
    explainer, evaluator = (kind(CATEGORIES, truths, rules, None, *said) for kind in (Explainer, Evaluator))
    for start in range(0, len(results), 7):
        explainer.update(results[start : start + 7])
    evaluator.update(results)
    explanation, report = explainer.explain(), evaluator.report()
    assert explanation.precisions.tolist() == report.precisions[:, 0].tolist()
    assert explanation.report.metrics == report.metrics
    named = explanation.precisions[:, 0] >= 0
    left = explanation.repaired[named] >= 0
    assert (explanation.repaired[named] >= explanation.precisions[named][:, None] - 1e-12)[left].all()
    assert left[:, [i for i, name in enumerate(REPAIRS) if "missed" not in name]].all()
    assert all(gain["AP"] >= -1e-12 for group in report.groups for gain in explanation.losses(group).values())
    assert explanation.repaired[named, -1] == pytest.approx(1)
    assert explanation.losses()["everything"]["AP"] == pytest.approx(1 - explanation.figures()["AP"])
    assert (explanation.video_losses >= -1e-12).all()
    # Each wrong result has one kind at each threshold, each truth is found, regained or missed.
    verdicts = {}
    for error in explanation.errors:
        for level in np.flatnonzero(error.levels).tolist():
            key = level, error.entry, error.truth if error.entry < 0 else None
            assert key not in verdicts
            verdicts[key] = error.kind


@pytest.mark.parametrize("area", [-1.0, 2e10])
def test_a_truth_of_an_impossible_stated_area_explains_nothing(area):
    """The evaluator passes over it, and over what is found on it."""
    truths = [truth(areas=[area] * FRAMES), truth(B, CAT, 2)]
    explanation = explain(truths, [result(), result(A, CAT, 0.9), result(B, CAT)])
    assert explanation.precisions.tolist() == explanation.report.precisions[:, 0].tolist()
    assert {name: n for name, n in explanation.counts().items() if n} == {"background": 1}
    assert explanation.figures()["AP50"] == pytest.approx(0.5)


def test_the_worst_videos():
    truths = [truth(video=v, number=v) for v in (1, 2, 3)]
    explanation = explain(
        truths, [result(video=1), result(HALF, video=2), result(NOWHERE, score=0.9, video=3), result(video=3)]
    )
    worst = explanation.worst_videos()
    assert [video for video, _ in worst] == [2, 3]
    assert worst[0][1] == pytest.approx(explanation.losses()["mask"]["AP"])
    assert worst[1][1] == pytest.approx(explanation.losses()["background"]["AP"])


def test_confusions_count_the_best_result_on_each_truth():
    truths = [truth(video=v, number=v) for v in (1, 2, 3)]
    results = [result(A, CAT, 0.9), result(), result(A, CAT, 0.2, 2), result(A, DOG, 0.9, 2), result(A, CAT, 0.9, 3)]
    assert explain(truths, results).confusions() == [(0, 1, 2)]


def test_three_forms():
    explanation = explain(TWO, [result(A, COW), result(HALF, CAT), result(B, CAT, 0.1)])
    content = json.loads(json.dumps(explanation.as_dict({1: "park"})))
    assert content["groups"]["novel"]["losses"]["name"]["AP"] == pytest.approx(1)
    assert content["groups"]["all"]["errors_at_50"]["background"] == 0
    assert content["videos"][0]["name"] == "park"
    lines = list(csv.DictReader(io.StringIO(explanation.errors_csv({1: "park"}))))
    assert [(line["track"], line["type"], line["truth"], line["truth_category"]) for line in lines] == [
        ("0", "name", "1", "dog"), ("1", "both", "1", "dog"),
    ]  # fmt: skip
    assert lines[1]["overlap"] == "0.333333" and lines[1]["video_name"] == "park"
    assert ",'@park," in explanation.errors_csv({1: "@park"})  # no formula to a spreadsheet
    console = Console(width=120)
    with console.capture() as capture:
        console.print(explanation.as_table())
    assert "+50.0" in capture.get() and "uncounted" not in capture.get()


def test_a_video_with_very_many_results():
    results = [result(HALF, score=i / 1000) for i in range(700)]
    assert explain(ONE, results).counts()["mask"] == 100  # no more count


def test_masks_of_two_sizes():
    small = [encode(np.ones((4, 4), dtype=bool))] * FRAMES
    with pytest.raises(InputError, match=r"video 1: .*4 x 4"):
        explain(ONE, [result(small, CAT)])


def test_id_zero_counts_where_the_rules_say_so():
    assert explain([truth(number=0)], [result()], replace(BURST, loses_id_zero=False)).errors == ()
