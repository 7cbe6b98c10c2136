import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovvis.errors import InputError
from ovvis.evaluation.temporal_iou import temporal_iou, volume
from ovvis.masks import encode

HEIGHT, WIDTH = 6, 7


def random_track(rng: np.random.Generator, frames: int) -> list[np.ndarray | None]:
    """Rectangles that often overlap, sometimes an empty mask, sometimes none."""
    track: list[np.ndarray | None] = []
    for _ in range(frames):
        mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
        top, left = rng.integers(0, 4, 2)
        mask[top : top + rng.integers(0, 5), left : left + rng.integers(0, 5)] = True
        mask ^= rng.random(mask.shape) < 0.1
        track.append(None if rng.random() < 0.2 else mask)
    return track


def measured(*sides):
    return [[volume([None if m is None else encode(m) for m in track]) for track in side] for side in sides]


def counted(result, truth, over_result: bool) -> float:
    empty = np.zeros((HEIGHT, WIDTH), dtype=bool)
    shared = joint = own = 0
    for first, second in zip(result, truth, strict=False):
        first, second = empty if first is None else first, empty if second is None else second
        shared, joint, own = shared + (first & second).sum(), joint + (first | second).sum(), own + first.sum()
    below = own if over_result else joint
    return shared / below if below else 0.0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_equals_counting_pixels(seed, at_least):
    rng = np.random.default_rng(seed)
    results = [random_track(rng, rng.integers(0, 5)) for _ in range(3)]
    truths = [random_track(rng, rng.integers(0, 5)) for _ in range(4)] + [results[0]]
    crowds = [bool(c) for c in rng.random(5) < 0.4]
    given = temporal_iou(*measured(results, truths), over_result=crowds, at_least=at_least)
    for i, result in enumerate(results):
        for j, truth in enumerate(truths):
            expected = counted(result, truth, crowds[j])
            assert given[i, j] == expected or (given[i, j] == 0 and expected < at_least)


def test_an_overlap_just_at_the_mark_is_kept():
    mask, half = np.ones((2, 2), dtype=bool), np.array([[True, True], [False, False]])
    assert temporal_iou(*measured([[half]], [[mask]]), at_least=0.5) == 0.5


EMPTY = np.zeros((2, 2), dtype=bool)


@pytest.mark.parametrize(("result", "truth"), [([], []), ([None], [None]), ([None, None], [EMPTY, None])])
def test_nothing_overlaps_nothing(result, truth):
    assert temporal_iou(*measured([result], [truth])).tolist() == [[0.0]]


def test_no_tracks():
    assert temporal_iou(*measured([], [[None]])).shape == (0, 1)
    assert temporal_iou(*measured([[None]], [])).shape == (1, 0)


def test_large_masks_are_counted_exactly():
    first, second = np.zeros((2, 2160, 3840), dtype=bool)
    first[:, :3000], second[:, 1000:] = True, True
    given = temporal_iou(*measured([[first] * 3], [[second] * 3]))
    assert given == (2000 * 2160 * 3) / (3840 * 2160 * 3)


def test_masks_of_another_size():
    with pytest.raises(InputError, match="result mask is 2 x 2 where the truth is 3 x 2; resize it"):
        temporal_iou(*measured([[np.ones((2, 2), dtype=bool)]], [[np.ones((3, 2), dtype=bool)]]))


def test_text_is_read_as_bytes_are():
    mask = encode(np.tri(30, 40, 3, dtype=bool))
    text = {"size": mask["size"], "counts": mask["counts"].decode()}
    assert temporal_iou([volume([text])], [volume([mask])]) == 1


def test_areas():
    track = volume([None, encode(np.eye(3, dtype=bool)), encode(np.ones((3, 3), dtype=bool)), None])
    assert track.areas.tolist() == [0, 3, 9, 0]
    assert track.mean_area == 6
    assert volume([None]).mean_area == volume([]).mean_area == 0
