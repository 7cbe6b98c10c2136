import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from ovvis.errors import InputError
from ovvis.evaluation.evaluator import Evaluator
from ovvis.evaluation.explain import Explainer
from ovvis.evaluation.hota import HOTA_RULES, HotaEvaluator
from ovvis.evaluation.records import Category, ResultTrack, TruthTrack
from ovvis.evaluation.report import METRICS
from ovvis.evaluation.rules import BURST, COCO, LVVIS, YOUTUBE_VIS
from ovvis.masks import encode

CATEGORIES = [Category(5, "dog", ("novel",)), Category(9, "cat", ("base",)), Category(2, "cow")]


def square(side: int, left: int = 0):
    mask = np.zeros((20, 40), dtype=bool)
    mask[:side, left : left + side] = True
    return encode(mask)


HERE, THERE = [square(10)] * 3, [square(10, 20)] * 3
EMPTY = encode(np.zeros((20, 40), dtype=bool))
SMALL = encode(np.ones((4, 4), dtype=bool))
TURNED = square(10) | {"size": [40, 20]}


def truth(masks=HERE, category=5, number=1, video=1, **more):
    return TruthTrack(number, video, category, masks, **more)


def result(masks=HERE, category=5, score=0.5, video=1):
    return ResultTrack(video, category, score, masks)


def metrics(truths, results, rules=LVVIS, group="all"):
    evaluator = Evaluator(CATEGORIES, truths, rules)
    evaluator.update(results)
    return evaluator.report().metrics[group]


@pytest.mark.parametrize("rules", [LVVIS, BURST, YOUTUBE_VIS, COCO])
def test_the_truth_itself_is_perfect(rules):
    figures = metrics([truth(), truth(THERE, 9, 2)], [result(), result(THERE, 9)], rules)
    assert {k: figures[k] for k in ("AP", "AP50", "AP75", "AR1", "APs", "ARs")} == dict.fromkeys(
        ("AP", "AP50", "AP75", "AR1", "APs", "ARs"), pytest.approx(1.0)
    )
    assert figures["APl"] == figures["ARl"] == -1


@pytest.mark.parametrize(
    ("truths", "results", "expected"),
    [
        ([], [], -1),
        ([], [result()], -1),
        ([truth()], [], 0),
        ([truth()], [result([None] * 3)], 0),
        ([truth()], [result([EMPTY] * 3)], 0),
        ([truth()], [result([])], 0),
        ([truth()], [result(category=9)], 0),  # "cat" has no truth: it is left out of the mean
        ([truth()], [result(video=2)], 0),
        ([truth([None] * 3)], [result([None] * 3)], 0),
        ([truth()], [result([*HERE, None])], 1),
        ([truth()], [result([*HERE, square(20)])], 1),  # frames that the truth does not have are not counted
        ([truth()], [result(HERE[:2])], 1),
        ([truth()], [result([*HERE[:2], None])], 0.4),  # overlap 2/3: four of ten thresholds
        ([truth()], [result(), result()], 1),
        ([truth()], [result(THERE, score=0.9), result()], 0.5),
        ([truth()], [result(THERE), result()], 0.5),  # equal scores: the first to come leads
        ([truth()], [result(), result(THERE)], 1),
        ([truth(), truth(video=2, number=2)], [result(THERE, video=2), result()], 51 / 101),  # then the first video
    ],
)
def test_ap_of_small_cases(truths, results, expected):
    assert metrics(truths, results)["AP"] == pytest.approx(expected)


def test_only_a_hundred_results_count():
    noise = [result(THERE, score=0.9)] * 100
    assert metrics([truth()], [*noise[:99], result()])["AR100"] == 1
    assert metrics([truth()], [*noise, result()])["AR100"] == 0
    assert metrics([truth()], [*noise, result(video=2)], group="novel")["AR100"] == 0
    assert metrics([truth()], [*noise[:9], result()])["AR10"] == 1
    assert metrics([truth()], [*noise[:10], result()])["AR10"] == 0


def test_the_hundred_are_of_a_video_and_a_category():
    noise = [result(THERE, 9, 0.9)] * 100 + [result(THERE, score=0.9, video=2)] * 100
    assert metrics([truth()], [*noise, result()])["AR100"] == 1


# Two results on one truth; a crowd; sizes; the id 0.
@pytest.mark.parametrize(
    ("rules", "truths", "results", "name", "expected"),
    [
        (LVVIS, [truth()], [result(), result()], "AR100", 1),
        (BURST, [truth()], [result(), result()], "AR100", 2),
        (LVVIS, [truth(is_crowd=True)], [result()], "AP", 1),
        (YOUTUBE_VIS, [truth(is_crowd=True)], [result()], "AP", -1),
        (YOUTUBE_VIS, [truth(is_crowd=True), truth(THERE, number=2)], [result(), result(), result(THERE)], "AP", 1),
        (COCO, [truth([square(20)] * 3, is_crowd=True), truth(THERE, number=2)], [result(), result(THERE)], "AP", 1),
        (LVVIS, [truth(areas=[20000] * 3)], [result()], "APm", 1),
        (LVVIS, [truth(areas=[20000] * 3)], [result()], "APs", -1),
        (BURST, [truth(areas=[20000] * 3)], [result()], "APm", -1),
        (BURST, [truth(areas=[20000] * 3)], [result()], "APs", 1),
        (LVVIS, [truth(areas=[None, 0, 20000])], [result()], "APm", 1),
        (BURST, [truth(number=0)], [result()], "AP", 0),
        (replace(BURST, loses_id_zero=False), [truth(number=0)], [result()], "AP", 1),
    ],
)
def test_rules(rules, truths, results, name, expected):
    assert metrics(truths, results, rules)[name] == pytest.approx(expected)


def test_groups():
    evaluator = Evaluator(CATEGORIES, [truth(), truth(THERE, 9, 2), truth(category=2, number=3)])
    evaluator.update([result(), result(category=2)])
    report = evaluator.report()
    assert {group: figures["AP"] for group, figures in report.metrics.items()} == pytest.approx(
        {"all": 2 / 3, "base": 0, "novel": 1}
    )
    assert report.category_ap.tolist() == pytest.approx([1, 0, 1])


def test_a_part_at_a_time_is_the_same():
    truths = [truth(), truth(THERE, 5, 2)]
    results = [result(score=0.2), result(THERE, score=0.7), result(THERE, 9), result(HERE[:1], score=0.9)]
    evaluator = Evaluator(CATEGORIES, truths)
    assert evaluator.report().metrics["all"]["AP"] == 0
    for item in results:
        evaluator.update([item])
    assert evaluator.report().metrics["all"] == metrics(truths, results)


def test_report_in_three_forms():
    evaluator = Evaluator(CATEGORIES, [truth()])
    evaluator.update([result([*HERE[:2], None])])
    report = evaluator.report()
    content = json.loads(json.dumps(report.as_dict()))
    assert content["metrics"] == report.metrics
    assert [c["AP"] for c in content["categories"]] == pytest.approx([0.4, -1, -1])
    assert next((c["id"], c["name"], c["groups"]) for c in content["categories"]) == (5, "dog", ["novel"])

    lines = report.as_csv().splitlines()
    assert lines[0].split(",") == ["group", *METRICS]
    assert [line.split(",")[0] for line in lines[1:]] == ["all", "base", "novel"]
    assert float(lines[1].split(",")[1]) == report.metrics["all"]["AP"]
    by_category = report.as_csv(by_category=True).splitlines()
    assert [line.split(",")[:2] for line in by_category[1:]] == [["5", "dog"], ["9", "cat"], ["2", "cow"]]

    formula = replace(report, categories=tuple(replace(c, name=f"={c.name}") for c in report.categories))
    assert [line.split(",")[1] for line in formula.as_csv(by_category=True).splitlines()[1:]] == [
        "'=dog",
        "'=cat",
        "'=cow",
    ]

    console = Console(width=160, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        console.print(report.as_table())
    shown = capture.get()
    assert "LV-VIS, percent" in shown
    assert "40.0" in shown and " - " in shown


@pytest.mark.parametrize(
    ("truths", "results", "message"),
    [
        ([], [result(category=6)], "category id 6 of a result is not one of the 3"),
        ([truth(category=6)], [], "category id 6 of a truth is not one of the 3"),
        ([], [result(video=8)], "video 8 of a result is not in the data set"),
        ([], [result(score=float("nan"))], "score nan is not finite"),
        ([truth()], [result([SMALL])], r"video 1: .* 4 x 4 .* 20 x 40"),
        ([truth()], [result([SMALL], category=9)], r"video 1: .* 4 x 4 .* 20 x 40"),  # a category without a truth
        # The same code of another size, after a right one: as many pixels, in as many runs.
        ([truth()], [result(), result([TURNED] * 5)], r"video 1: .* 20 x 40 .* 40 x 20"),
        ([truth()], [result(), result([None, TURNED], category=2)], r"video 1: .* 20 x 40 .* 40 x 20"),
        ([truth()], [result(score=0.9)] * 101 + [result([SMALL], score=0.1)], r"video 1: .* 4 x 4 .* 20 x 40"),
    ],
)
@pytest.mark.parametrize("kind", [Evaluator, Explainer])
def test_errors(kind, truths, results, message):
    with pytest.raises(InputError, match=message):
        kind(CATEGORIES, truths, videos=[1]).update(results)


@pytest.mark.parametrize("masks", [[SMALL], [TURNED] * 5, [None, TURNED]])
@pytest.mark.parametrize("category", [5, 9])
@pytest.mark.parametrize("rules", HOTA_RULES)
def test_hota_refuses_masks_of_another_size(masks, category, rules):
    with pytest.raises(InputError, match=r"video 1: masks of .* are in one video"):
        HotaEvaluator(CATEGORIES, [truth()], rules=rules).update([result(), result(masks, category=category)])


def test_categories_that_share_an_id():
    with pytest.raises(InputError, match="share an id"):
        Evaluator([Category(1, "a"), Category(1, "b")], [])


@pytest.mark.parametrize(("rules", "size"), [(LVVIS, ("APs", "APm")), (YOUTUBE_VIS, ("APm",)), (COCO, ("APl",))])
def test_fractions_of_stated_areas(rules, size):
    """128 squared and a half is on LV-VIS' edge, which cuts the half, and beyond YouTube-VIS'."""
    figures = metrics([truth(areas=[128.0**2 + 0.5] * 3)], [result()], rules)
    assert tuple(name for name in ("APs", "APm", "APl") if figures[name] >= 0) == size


@pytest.mark.parametrize("counts", [b"", b"1", b"o", b"77", b"1oo"])
def test_a_damaged_code_from_python_is_refused(counts):
    """COCO's tools would read on behind its end."""
    damaged = {"size": [20, 40], "counts": counts}
    with pytest.raises(InputError, match="video 1: frame 1 of a track: the run-length code is not that of 20 x 40"):
        metrics([truth()], [result([HERE[0], damaged, None])])


def test_a_track_of_two_sizes_is_refused():
    with pytest.raises(InputError, match="video 1: a track has masks of 20 x 40 and of 2 x 2; resize them"):
        metrics([truth()], [result([HERE[0], encode(np.ones((2, 2), dtype=bool))])])


def test_more_results_than_count_are_not_compared():
    """Those beyond the hundred best of a video and category change nothing, whatever the order they come in."""
    many = [result(HERE, score=0.9)] + [result(THERE, score=i / 1000) for i in range(300)]
    expected = metrics([truth(), truth(THERE, 5, 2)], [many[0], *sorted(many[1:], key=lambda r: -r.score)[:99]])
    assert (
        metrics([truth(), truth(THERE, 5, 2)], many) == expected == metrics([truth(), truth(THERE, 5, 2)], many[::-1])
    )


def test_results_can_be_compared_in_one_program_and_counted_in_another():
    truths = [truth(), truth(THERE, 9, 2)]
    batches = [[result(), result(THERE, 9, 0.7)], [], [result(THERE, 5, 0.9), result(category=9)]]
    here, there = Evaluator(CATEGORIES, truths), Evaluator(CATEGORIES, truths)
    for batch in batches:
        there.take(Evaluator(CATEGORIES, truths).compare(batch))
        here.update(batch)
    assert there.report().metrics == here.report().metrics
    assert there.report().metrics["all"]["AP"] > 0
