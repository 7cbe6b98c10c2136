"""Whether a row has changed between two runs, or the machine was only in another mood.

The rule: a change is real where
- both runs have at least five samples of the row,
- the two sets of samples would differ as much by chance in one of a hundred cases at most (the exact rank test of Mann,
  Whitney and Wilcoxon, two-sided): with five samples each, every one of the one lies on the same side of the other's,
- the medians differ by more than 3 %,
- and by more than the yardstick's do: that is work of NumPy's, done in turn with the rows, so what changed in it was
  the machine.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from ovvis.benchmark.plan import Row
from ovvis.benchmark.records import Machine, Record
from ovvis.errors import InputError

FEWEST = 5  # samples
CHANCE = 0.01
LEAST = 0.03  # of the median
MOST_DEALS = 20_000  # ways to deal the ranks that are gone through one by one

Verdict = Literal["slower", "faster", "no change", "too few"]


@dataclass(frozen=True, slots=True)
class Change:
    """A row in two runs."""

    row: Row
    before: float  # median seconds
    after: float
    chance: float  # that samples of the same would differ as much
    verdict: Verdict
    memory: float | None  # the peak's ratio

    @property
    def ratio(self) -> float:
        """Seconds after over seconds before."""
        return self.after / self.before


def same_machine(before: Machine, now: Machine) -> list[str]:
    """Return what else differs between two machines that can be compared, a line each.

    Raises:
        InputError: they cannot be: ratios between two machines say nothing of a change.
    """
    for what in ("processor", "cores", "threads", "accelerator", "instructions"):
        old, new = getattr(before, what), getattr(now, what)
        if old != new:
            raise InputError(
                f"--compare: that run is of another machine ({what} {old or 'none'!r}, here {new or 'none'!r}): "
                "compare with a run made here, in the same way"
            )
    lines = []
    for what in ("torch", "ovvis", "python", "system"):
        old, new = getattr(before, what), getattr(now, what)
        if old != new:
            lines.append(f"{what} was {old} then and is {new} now")
    return lines


def compare(before: Record, after: Record) -> list[Change]:
    """Return the rows that both runs have, in the later one's order.

    Raises:
        InputError: there is none.
    """
    machine = ratio(before.yardstick, after.yardstick)
    earlier = {result.row: result for result in before.measured}
    changes = []
    for result in after.measured:
        old = earlier.get(result.row)
        if old is None:
            continue
        chance = chance_of(old.seconds, result.seconds)
        verdict = judge(old.seconds, result.seconds, chance, machine)
        memory = result.peak_mib / old.peak_mib if result.peak_mib and old.peak_mib else None
        changes.append(Change(result.row, old.median, result.median, chance, verdict, memory))
    if not changes:
        raise InputError("--compare: the two runs have no row in common; leave the models and their lists out")
    return changes


def judge(before: Sequence[float], after: Sequence[float], chance: float, machine: float = 1.0) -> Verdict:
    """Return whether samples have changed: the rule above.

    Args:
        before: seconds.
        after: seconds.
        chance: from `chance_of`.
        machine: the yardstick's ratio.
    """
    if min(len(before), len(after)) < FEWEST:
        return "too few"
    change = abs(math.log(statistics.median(after) / statistics.median(before)))
    if chance > CHANCE or change <= max(math.log1p(LEAST), abs(math.log(machine))):
        return "no change"
    return "slower" if statistics.median(after) > statistics.median(before) else "faster"


def chance_of(before: Sequence[float], after: Sequence[float]) -> float:
    """Return how often two sets of samples of the same would differ in rank as much, in (0, 1].

    >>> round(chance_of([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]), 4)
    0.0079
    """
    from scipy.stats import mannwhitneyu, rankdata

    count, ranks = len(before), rankdata([*before, *after])
    if math.comb(len(ranks), count) > MOST_DEALS:
        return float(mannwhitneyu(before, after, alternative="two-sided").pvalue)
    middle = count * (len(ranks) + 1) / 2
    found = abs(sum(ranks[:count]) - middle)
    deals = [abs(sum(deal) - middle) >= found - 1e-9 for deal in combinations(ranks.tolist(), count)]
    return float(sum(deals) / len(deals))


def ratio(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the ratio of two medians; 1 where one is not known."""
    return statistics.median(after) / statistics.median(before) if before and after else 1.0
