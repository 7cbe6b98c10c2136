"""How two sets of tracks differ, by hand: frames of 2 x 6 pixels, an object is some of the six columns."""

import numpy as np
import pytest

from ovvis import masks
from ovvis.comparing.measure import BY, compare_tracks
from ovvis.comparing.moments import choose_moments

SIZE = (2, 6)


def mask(columns):
    """Return the mask of some columns, "0" to "5"; none at all for an empty text."""
    if not columns:
        return None
    found = np.zeros(SIZE, dtype=bool)
    found[:, [int(c) for c in columns]] = True
    return masks.encode(found)


def tracks(*rows):
    """Return tracks of texts such as "01 12 -": the columns in each frame."""
    return [[mask(columns.replace("-", "")) for columns in row.split()] for row in rows]


def differences(first, second, names=None):
    first, second = tracks(*first), tracks(*second)
    frames = len((first or second)[0])
    same = np.ones((len(first), len(second)), dtype=bool) if names is None else np.array(names)
    return compare_tracks(first, second, same, frames)


CASES = {
    "the same": (["01 23"], ["01 23"], [0, 0]),
    "nothing in both": (["- 0"], ["- 0"], [0, 0]),
    "a half": (["01"], ["0123"], [0.5]),
    "apart": (["01"], ["45"], [1]),
    "one is missing": (["01", "45"], ["01"], [0.5]),
    "all are missing": (["01", "45"], [], [1]),
    "one more, and a third shared": (["01", "45"], ["12"], [1 - 1 / 3 / 2]),
    # 0 and 1 overlap both of the others; one for one, the best sum is 1 + 0, not 1/2 + 1/2.
    "the best sum": (["01", "0123"], ["01", "45"], [1 - 1 / 2]),
    "two of three": (["0", "1", "2"], ["0", "1", "3"], [1 / 3]),
}


@pytest.mark.parametrize(("first", "second", "wanted"), CASES.values(), ids=CASES)
def test_masks(first, second, wanted):
    there, back = differences(first, second), differences(second, first)
    assert there.by("masks") == pytest.approx(wanted)
    assert back.by("masks") == pytest.approx(wanted)  # symmetric
    for what in BY:
        assert ((there.by(what) >= 0) & (there.by(what) <= 1)).all()


def test_names_count_apart():
    found = differences(["01 01", "45 45"], ["01 01", "45 4"], [[False, False], [False, True]])
    assert found.by("masks").tolist() == [0, 0.25]
    assert found.by("names").tolist() == [0.5, 0.5]
    assert found.by("identities").tolist() == [0, 0]
    assert found.by("all") == pytest.approx([0.5, 0.75])


def test_a_swap_of_identities():
    # The first follows both; the second changes them over in the last of three frames.
    found = differences(["0 0 0", "5 5 5"], ["0 0 5", "5 5 0"])
    assert found.partners == {0: 0, 1: 1}
    assert found.by("masks").tolist() == [0, 0, 0]
    assert found.by("identities").tolist() == found.by("all").tolist() == [0, 0, 1]
    pairs = {(pair.first, pair.second): pair.same_object for pair in found.frames[2].pairs}
    assert pairs == {(0, 1): False, (1, 0): False}


def test_a_broken_track_is_another_identity():
    found = differences(["0 0 0"], ["0 0 -", "- - 0"])
    assert found.partners == {0: 0} and found.by("identities").tolist() == [0, 0, 1]


def test_what_hardly_touches_is_not_one_object():
    # A half shared in one frame of four, 2 of 22 columns in all: below a tenth, and in a quarter of its frames.
    found = differences(["01 01 01 01"], ["1 5 5 5"])
    assert found.partners == {} and found.by("identities").tolist() == [1, 0, 0, 0]
    # As little in all, but the short track is on the long one wherever it is seen.
    found = differences([" ".join(["0"] * 20)], [" ".join(["0"] + ["-"] * 19)])
    assert found.partners == {0: 0} and found.by("identities").tolist() == [0] * 20


def test_of_masks_that_are_the_same_the_partner_is_taken():
    # Both tracks of the second have the same mask in the last frame.
    found = differences(["0 0", "5 0"], ["5 0", "0 0"])
    assert found.partners == {0: 1, 1: 0} and found.by("all").tolist() == [0, 0]


def test_names_and_identities_count_only_where_objects_lie_on_each_other():
    # A third shared: too little to say that the one is the other.
    found = differences(["01"], ["12"], [[False]])
    (pair,) = found.frames[0].pairs
    assert pair.overlap == pytest.approx(1 / 3) and not pair.followed
    assert (found.by("names").item(), found.by("masks").item()) == (0, pytest.approx(2 / 3))


def test_what_only_one_has():
    frame = differences(["0", "1", "5"], ["5", "3"]).frames[0]
    assert (frame.only_first, frame.only_second, frame.objects) == ((0, 1), (1,), 3)


def test_it_is_a_metric():
    """The triangle inequality holds on random sets: what OSPA's authors prove."""
    rng = np.random.default_rng(0)

    def some():
        rows = ("".join(map(str, np.flatnonzero(rng.random(6) < 0.5))) or "0" for _ in range(rng.integers(0, 4)))
        return list(rows) or ["-"]

    for _ in range(40):
        a, b, c = some(), some(), some()
        ab, bc, ac = (differences(*pair).by("masks").item() for pair in ((a, b), (b, c), (a, c)))
        assert ac <= ab + bc + 1e-9


@pytest.mark.parametrize(
    ("values", "count", "wanted"),
    [
        ([0, 0, 0], 3, []),
        ([0.5] * 9, 3, [0, 4, 8]),  # equal ones lie evenly
        ([0, 0.9, 0.95, 0.9, 0, 0, 0, 0.1], 2, [2, 7]),  # not its neighbours
        ([0.1, 0, 0.9], 9, [0, 2]),
        ([1], 6, [0]),
        ([0.2, 0.3, 0.1, 0.25], 1, [1]),
    ],
)
def test_moments(values, count, wanted):
    assert choose_moments(values, count) == wanted


def test_moments_are_spread():
    found = choose_moments([1 - i / 1000 for i in range(100)], 6)
    assert len(found) == 6 and min(np.diff(found)) >= 9
