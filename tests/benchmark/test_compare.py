"""What counts as a change, on samples made by hand."""

import pytest
from msgspec.structs import replace

from benchmark_made_up import MACHINE, record, result
from ovvis.benchmark.compare import chance_of, compare, judge, same_machine
from ovvis.errors import InputError

QUIET = [1.00, 1.01, 1.02, 1.00, 1.01]


def times(factor):
    return [factor * one for one in QUIET]


@pytest.mark.parametrize(
    ("before", "after", "machine", "verdict"),
    [
        (QUIET, times(1.10), 1.0, "slower"),
        (QUIET, times(0.90), 1.0, "faster"),
        (QUIET, QUIET, 1.0, "no change"),
        (QUIET, times(1.025), 1.0, "no change"),  # apart, but by less than 3 %
        (QUIET, [1.0, 1.3, 1.0, 1.4, 1.2], 1.0, "no change"),  # 20 % more in the middle, but the sets overlap
        (QUIET, [1.5, 1.6, 1.7, 1.8, 1.015], 1.0, "no change"),  # one lies among the others: 1.6 % by chance
        (QUIET, times(1.10), 1.12, "no change"),  # the machine itself was slower
        (QUIET, times(1.10), 1.02, "slower"),
        (QUIET, times(1.10), 0.85, "no change"),  # the machine was that different, in whichever direction
        (QUIET[:4], times(2.0), 1.0, "too few"),
        (QUIET, times(2.0)[:4], 1.0, "too few"),
    ],
)
def test_the_rule(before, after, machine, verdict):
    assert judge(before, after, chance_of(before, after), machine) == verdict


def test_chance_by_hand():
    """Of the 252 ways to deal ten ranks to two sets of five, two set them wholly apart."""
    assert chance_of([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) == pytest.approx(2 / 252)
    assert chance_of([1, 2, 3, 4, 6], [5, 7, 8, 9, 10]) == pytest.approx(4 / 252)


def test_chance_is_what_it_says():
    """Samples of the same are called changed in about one case of a hundred."""
    import random

    dice = random.Random(0)
    draws = [[dice.gauss(1, 0.2) for _ in range(10)] for _ in range(1000)]
    wrong = sum(judge(d[:5], d[5:], chance_of(d[:5], d[5:])) != "no change" for d in draws)
    assert 2 <= wrong <= 18


def test_rows_are_matched_by_what_they_are():
    before = record(result(QUIET), result(QUIET, words=9, peak=100), result(QUIET, words=11))
    after = record(result(times(2), words=9, peak=150), result(QUIET, words=13), result(times(1.1)))
    found = [(c.row.words, c.verdict, round(c.ratio, 2), c.memory) for c in compare(before, after)]
    assert found == [(9, "slower", 2.0, 1.5), (5, "slower", 1.1, 1.0)]


def test_the_yardstick_counts():
    after = record(result(times(1.1)), yardstick=[1.2, 1.2])
    assert compare(record(result(QUIET)), after)[0].verdict == "no change"


def test_nothing_in_common():
    with pytest.raises(InputError, match="no row in common"):
        compare(record(result(QUIET)), record(result(QUIET, words=9)))


@pytest.mark.parametrize("what", ["processor", "cores", "threads", "accelerator", "instructions"])
def test_another_machine_is_refused(what):
    other = replace(MACHINE, **{what: "other" if isinstance(getattr(MACHINE, what), str) else 64})
    with pytest.raises(InputError, match=f"another machine .{what}"):
        same_machine(MACHINE, other)


def test_other_software_is_told():
    assert same_machine(MACHINE, MACHINE) == []
    assert same_machine(MACHINE, replace(MACHINE, torch="2.16")) == ["torch was 2.15 then and is 2.16 now"]
