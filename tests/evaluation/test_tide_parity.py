"""On images the errors are TIDE's: what tidecv 1.0.1 gives for the same masks at an overlap of 0.5, in percent."""

from dataclasses import replace

import numpy as np
import pytest

from ovvis.evaluation.explain import Explainer
from ovvis.evaluation.records import Category, ResultTrack, TruthTrack
from ovvis.evaluation.rules import LVVIS
from ovvis.masks import encode

CATEGORIES = [Category(i, str(i)) for i in range(1, 5)]
NAMES = {
    "Cls": "name", "Loc": "mask", "Both": "both", "Dupe": "duplicate", "Bkg": "background", "Miss": "missed",
    "FalsePos": "no wrong result", "FalseNeg": "no truth missed",
}  # fmt: skip
COUNTS = {
    0: {"Cls": 36, "Loc": 68, "Both": 26, "Dupe": 32, "Bkg": 15, "Miss": 35},
    1: {"Cls": 48, "Loc": 48, "Both": 19, "Dupe": 35, "Bkg": 17, "Miss": 39},
    2: {"Cls": 27, "Loc": 52, "Both": 16, "Dupe": 24, "Bkg": 21, "Miss": 37},
}
# "Cls" and "Loc" are left out: tidecv repairs one result for each truth among both kinds, we one among each.
GAINS = {
    0: {
        "AP50": 31.091977196705397,
        "Both": 3.142398813209656,
        "Dupe": 1.0972133844769125,
        "Bkg": 1.3634753016794683,
        "Miss": 9.376361766739553,
        "FalsePos": 29.05653765477975,
        "FalseNeg": 20.510233463740978,
    },
    1: {
        "AP50": 27.235223433316577,
        "Both": 0.9938256627132844,
        "Dupe": 1.7126336391021297,
        "Bkg": 1.619334627620887,
        "Miss": 9.099239073517055,
        "FalsePos": 21.527152804307185,
        "FalseNeg": 27.54973760411061,
    },
    2: {
        "AP50": 28.628288956407495,
        "Both": 2.4788059305094947,
        "Dupe": 0.8311636252457504,
        "Bkg": 1.6148594398518412,
        "Miss": 10.20085214957625,
        "FalsePos": 25.579631835671712,
        "FalseNeg": 23.70003842255199,
    },
}


def bar(left, width=30):
    mask = np.zeros((40, 200), dtype=bool)
    mask[5:35, max(left, 0) : left + width] = True
    return encode(mask)


def images(seed):
    """Four objects side by side at most; results on them, aside of them, under other names, and on nothing."""
    rng = np.random.default_rng(seed)
    truths, results, used = [], [], set()
    for image in range(1, 60):
        for left in [0, 50, 100, 150][: rng.integers(1, 5)]:
            category = int(rng.integers(1, 5))
            truths.append(TruthTrack(len(truths) + 1, image, category, [bar(left)]))
            for _ in range(rng.integers(0, 4)):
                aside = {12: 13}.get(offset := int(rng.choice([0, 0, 0, 4, 12, 15])), offset)
                said = category if rng.random() < 0.7 else int(rng.integers(1, 5))
                while (score := float(rng.random())) in used:
                    pass
                used.add(score)
                results.append(ResultTrack(image, said, score, [bar(left + aside)]))
        if rng.random() < 0.3:
            results.append(ResultTrack(image, 1, float(rng.random()), [bar(190, 8)]))
    return truths, results


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_errors_of_images_are_tides(seed):
    truths, results = images(seed)
    explainer = Explainer(CATEGORIES, truths, replace(LVVIS, loses_id_zero=False))
    explainer.update(results)
    explanation = explainer.explain()
    expected = {NAMES[name]: count for name, count in COUNTS[seed].items()}
    assert {name: count for name, count in explanation.counts().items() if count} == expected
    losses = {name: 100 * figures["AP50"] for name, figures in explanation.losses().items()}
    assert 100 * explanation.figures()["AP50"] == pytest.approx(GAINS[seed]["AP50"], abs=1e-9)
    for name, gain in GAINS[seed].items():
        if name != "AP50":
            assert losses[NAMES[name]] == pytest.approx(gain, abs=1e-9), name


# What tidecv 1.0.1 says of each at an overlap of 0.5: the errors, and AP50.
DIFFER = {
    # On its own truth, which another has, and as much on one of another name: tidecv looks for the name first.
    "two": ([(1, 0), (2, 5)], [(1, 0.9, 0), (1, 0.8, 3)], {"Cls": 1}, 50, {"duplicate": 1, "missed": 1}, 50),
    # Near its own truth, which another has, and on one of another name: tidecv looks for the mask first.
    "near": ([(1, 0), (2, 20)], [(1, 0.9, 0), (1, 0.8, 18)], {"Loc": 1, "Miss": 1}, 50, {"name": 1}, 50),
    # A category of results alone: tidecv averages it as AP 0.
    "alone": ([(1, 0)], [(1, 0.9, 0), (3, 0.8, 100)], {"Bkg": 1}, 50, {"background": 1}, 100),
    # An overlap of exactly the threshold with a truth that another has.
    "edge": ([(1, 0)], [(1, 0.9, 0), (1, 0.8, -15)], {"Loc": 1}, 100, {"duplicate": 1}, 100),
}


@pytest.mark.parametrize("case", DIFFER)
def test_where_we_differ_from_tide(case):
    truths, results, theirs, their_ap, ours, our_ap = DIFFER[case]
    explainer = Explainer(
        CATEGORIES,
        [TruthTrack(n, 1, kind, [bar(left)]) for n, (kind, left) in enumerate(truths, 1)],
        replace(LVVIS, loses_id_zero=False),
    )
    explainer.update(ResultTrack(1, kind, score, [bar(left)]) for kind, score, left in results)
    explanation = explainer.explain()
    given = {name: count for name, count in explanation.counts().items() if count}
    assert given == ours
    assert 100 * explanation.figures()["AP50"] == pytest.approx(our_ap)
    assert ({NAMES[name]: count for name, count in theirs.items()}, their_ap) != (ours, our_ap)
