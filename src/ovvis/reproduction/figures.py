"""From what was measured to the figures of a table: means and spreads over seeds, and whether the paper agrees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from ovvis.evaluation.report import Report
from ovvis.reproduction.rows import Experiment, Row

Verdict = Literal["yes", "no", "unclear", ""]
NAMES = ("AP", "AP50", "base", "novel")
CLOSE = 0.25  # points of AP; the paper's own differences below it say nothing


@dataclass(frozen=True, slots=True)
class Figures:
    """What one row reaches on the videos of one seed; percent, nan where there is no truth of a kind."""

    AP: float
    AP50: float
    base: float  # AP of base categories
    novel: float
    uncommon: float = math.nan  # AP of BURST's uncommon classes


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over seeds and how far the seeds lie from each other."""

    mean: float
    deviation: float | None  # standard deviation of a sample (n - 1); None for a single seed

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of values, one for each seed; nan if one is."""
        if any(map(math.isnan, values)):
            return cls(math.nan, None)
        return cls(fmean(values), stdev(values) if len(values) > 1 else None)

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "-"
        return f"{self.mean:.1f}" + ("" if self.deviation is None else f"±{self.deviation:.1f}")


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """What one row reaches."""

    row: Row
    by_seed: tuple[Figures, ...]
    rate: float  # frames a second of the network's pass: reading, network and names
    peak: int | None = None  # bytes; the most memory held, with the records of all rows of the pass

    def spread(self, name: str) -> Spread:
        """Return the spread of one of `NAMES`."""
        return Spread.of([getattr(figures, name) for figures in self.by_seed])


@dataclass(frozen=True, slots=True)
class Outcome:
    """An experiment on one split."""

    experiment: Experiment
    split: str
    seeds: tuple[int, ...]
    videos: int  # of each seed
    frames: int  # of each video
    rows: tuple[RowOutcome, ...]

    @property
    def reference(self) -> RowOutcome | None:
        """The row that differences are taken to."""
        return next((row for row in self.rows if row.row.name == self.experiment.reference), None)

    @property
    def against(self) -> str:
        """What differences are taken to; "" where none are."""
        if self.reference is not None:
            return self.experiment.reference
        return self.experiment.against if any(self._reference_of(row) for row in self.rows) else ""

    def _reference_of(self, row: RowOutcome) -> RowOutcome | None:
        if not row.row.against:
            return self.reference
        return next((other for other in self.rows if other.row.name == row.row.against), None)

    def _differences(self, row: RowOutcome) -> list[float] | None:
        reference = self._reference_of(row)
        if reference is None or row is reference:
            return None
        return [a.AP - b.AP for a, b in zip(row.by_seed, reference.by_seed, strict=True)]

    def difference(self, row: RowOutcome) -> Spread | None:
        """Return a row's AP less its reference's, seed by seed on the same videos; None where there is none."""
        found = self._differences(row)
        return None if found is None else Spread.of(found)

    def worst(self, row: RowOutcome) -> float | None:
        """Return the difference of the seed that differs most; None where there is none."""
        found = self._differences(row)
        return None if found is None else max(found, key=abs)

    def paper(self, row: RowOutcome) -> tuple[float, float | None] | None:
        """Return the paper's AP and novel AP beside a row; None where it has none."""
        return self.experiment.paper(row.row.name, self.split)

    def verdict(self, row: RowOutcome) -> Verdict:
        """Return whether the paper sees the row on the same side of the reference.

        A difference is taken for one if it is larger than its standard deviation over seeds.
        """
        ours, reference = self.difference(row), self.reference
        if ours is None or reference is None:
            return ""
        paper = [found[0] for found in map(self.paper, (row, reference)) if found is not None]
        if len(paper) < 2 or abs(paper[0] - paper[1]) < CLOSE:
            return ""
        if ours.deviation is None or abs(ours.mean) <= ours.deviation:
            return "unclear"
        return "yes" if (ours.mean > 0) == (paper[0] > paper[1]) else "no"


def figures_of(report: Report) -> Figures:
    """Return a report's figures in percent."""
    metrics = report.metrics

    def percent(group: str, name: str) -> float:
        value = metrics.get(group, {}).get(name, -1.0)
        return math.nan if value < 0 else 100 * value

    ap = {group: percent(group, "AP") for group in ("all", "base", "novel", "uncommon")}
    return Figures(ap["all"], percent("all", "AP50"), ap["base"], ap["novel"], ap["uncommon"])
