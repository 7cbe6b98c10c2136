import doctest

import numpy as np
import pytest

from ovvis.evaluation import average_precision as module
from ovvis.evaluation import temporal_iou
from ovvis.evaluation.average_precision import (
    RECALL_LEVELS,
    THRESHOLDS,
    average_precision,
    match,
    outside_areas,
    recall,
)


@pytest.mark.parametrize("documented", [module, temporal_iou])
def test_examples(documented):
    assert doctest.testmod(documented).failed == 0


def bools(*rows):
    return np.array(rows, dtype=bool)


def one_match(overlaps, ignored=None, reusable=None, groups=None) -> list[int]:
    """Match at the first threshold; `overlaps` is (D, G), 0 for no pair."""
    overlaps = np.array(overlaps)
    pairs = np.argwhere(overlaps)
    count, truths = overlaps.shape
    given = match(
        np.zeros(count, dtype=np.int64) if groups is None else np.array(groups),
        pairs,
        overlaps[tuple(pairs.T)],
        bools([False] * truths if ignored is None else ignored),
        np.array([False] * truths if reusable is None else reusable, dtype=bool),
    )
    assert given.shape == (1, len(THRESHOLDS), count)
    return given[0, 0].tolist()


@pytest.mark.parametrize(
    ("overlaps", "options", "expected"),
    [
        ([[0.6, 0.7]], {}, [1]),
        ([[0.7, 0.7]], {}, [1]),  # of equals the last
        ([[0.49, 0.0]], {}, [-1]),
        ([[0.5, 0.0]], {}, [0]),
        ([[0.9], [0.95]], {}, [0, -1]),  # the better score chooses first
        ([[0.9], [0.95]], {"reusable": [True]}, [0, 0]),
        ([[0.6, 0.9]], {"ignored": [False, True]}, [0]),  # a truth that counts goes before one that does not
        ([[0.3, 0.9]], {"ignored": [False, True]}, [1]),
        ([[0.6, 0.9], [0.6, 0.9]], {"ignored": [False, True]}, [0, 1]),
        ([[0.9, 0.8], [0.9, 0.8], [0.9, 0.8]], {}, [0, 1, -1]),
        ([[0.9, 0], [0, 0], [0, 0.9], [0, 0.9]], {"groups": [4, 4, 7, 7]}, [0, -1, 1, -1]),
    ],
)
def test_match(overlaps, options, expected):
    assert one_match(overlaps, **options) == expected


def test_match_without_pairs():
    none = match(np.zeros(2, int), np.zeros((0, 2), int), np.zeros(0), np.zeros((4, 0), bool), np.zeros(0, bool))
    assert none.tolist() == np.full((4, 10, 2), -1).tolist()


def test_a_threshold_decides_which_truth_is_left():
    # At 0.75 and above the first result cannot take truth 0, so the second can.
    pairs, overlaps = np.array([[0, 0], [1, 0]]), np.array([0.7, 0.8])
    given = match(np.zeros(2, int), pairs, overlaps, bools([False]), bools(False))
    assert given[0, THRESHOLDS < 0.7].tolist() == [[0, -1]] * 4
    assert given[0, 5].tolist() == [-1, 0]


def plain_ap(right, wrong, positives) -> float:
    """The definition, read slowly."""
    if positives == 0:
        return -1.0
    hits, misses = np.cumsum(right), np.cumsum(wrong)
    total = 0.0
    for level in RECALL_LEVELS:
        reached = [h / (h + m + np.spacing(1)) for h, m in zip(hits, misses, strict=True) if h / positives >= level]
        total += max(reached, default=0.0)
    return total / len(RECALL_LEVELS)


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_equals_its_definition(seed):
    rng = np.random.default_rng(seed)
    length = int(rng.integers(0, 40))
    right = rng.random((6, length)) < 0.4
    wrong = (rng.random((6, length)) < 0.5) & ~right
    positives = rng.integers(0, 30, 6)
    given = average_precision(right, wrong, positives)
    expected = [plain_ap(*row) for row in zip(right, wrong, positives, strict=True)]
    np.testing.assert_allclose(given, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("right", "wrong", "positives", "expected"),
    [
        ([], [], 3, 0.0),
        ([], [], 0, -1.0),
        ([1], [0], 1, 1.0),
        ([0], [1], 1, 0.0),
        ([0], [0], 1, 0.0),
        ([1, 1], [0, 0], 1, 1.0),  # one truth found twice
    ],
)
def test_average_precision_at_the_edges(right, wrong, positives, expected):
    given = average_precision(bools(right), bools(wrong), np.array([positives]))
    assert given == pytest.approx([expected])


def test_recall_counts_the_best_of_each_video():
    right = bools([False] + [True] * 10, [True] * 11)
    given = recall(right, np.arange(11), np.array([20, 0]))
    assert given.tolist() == [[0.0, 9 / 20, 10 / 20], [-1.0, -1.0, -1.0]]


def test_edges_of_areas_belong_to_both_sides():
    outside = outside_areas(np.array([0.0, 1024.0, 9216.0, 2e10]), (1024.0, 9216.0))
    assert (~outside).astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]]
