"""What AP is lost to, for people, programs and spreadsheets."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from ovvis.evaluation.average_precision import THRESHOLDS, ranks
from ovvis.evaluation.error_list import ResultTable, TrackError
from ovvis.evaluation.error_types import KINDS, MISSED
from ovvis.evaluation.judged import Bools, Floats, Ints, TruthTable
from ovvis.evaluation.repairs import REPAIRS
from ovvis.evaluation.report import Report
from ovvis.plain import cell

ORACLES = {
    "oracle names": "each result has the name of the truth it overlaps most",
    "oracle masks": "each result has the masks of the truth it overlaps most",
    "oracle names and masks": "both",
}
MEASURES = {"AP": slice(None), "AP50": slice(0, 1), "AP75": slice(5, 6)}
COLUMNS = (
    *("video", "video_name", "track", "category", "score", "type", "truth", "truth_category"),
    *("overlap", "space", "time", "frames_on", "frames_lost", "frames_switched", "regains", "thresholds"),
)

Figures = dict[str, dict[str, float]]  # by row, then by `MEASURES`


@dataclass(frozen=True)
class Explanation:
    """The figures of a data set and what they lose. AP lies in [0, 1]; -1 says that there is no truth to be found."""

    report: Report
    results: ResultTable
    truths: TruthTable
    truth_ids: Ints  # G; as the data set numbers them
    precisions: Floats  # K, L; AP
    repaired: Floats  # K, E, L; AP after each of `REPAIRS`; -1 where none of the truths is left
    oracles: Floats  # K, O, L; AP with each of `ORACLES`
    videos: Ints  # V; ids
    video_losses: Floats  # V; AP regained when all errors of the video are repaired
    errors: tuple[TrackError, ...]  # those of results by video and track, then the missed truths
    right: Bools  # L, N; results that are right; one that is neither right nor an error is passed over
    found: Bools  # L, G; truths that a result has
    best_on: Ints  # G; the best-scored result on the truth's mask (overlap of 0.5 or more), -1 where there is none

    def members(self, group: str) -> Bools:
        """Return the categories of a group that hold truths (K,)."""
        inside = np.array([group == "all" or group in c.groups for c in self.report.categories], dtype=np.bool_)
        return inside & (self.precisions[:, 0] >= 0)

    def figures(self, group: str = "all") -> dict[str, float]:
        """Return AP by `MEASURES` without any repair; -1 if no category of the group holds a truth."""
        return _means(self.precisions[self.members(group)])

    def losses(self, group: str = "all") -> Figures:
        """Return what each of `REPAIRS` alone regains, 0 or more."""
        members, before = self.members(group), self.figures(group)
        if not members.any():
            return {name: dict.fromkeys(MEASURES, 0.0) for name in REPAIRS}
        after = {name: _means(self.repaired[members, e]) for e, name in enumerate(REPAIRS)}
        return {name: {m: value - before[m] for m, value in means.items()} for name, means in after.items()}

    def oracle_figures(self, group: str = "all") -> Figures:
        """Return AP with each of `ORACLES`."""
        members = self.members(group)
        return {name: _means(self.oracles[members][:, o]) for o, name in enumerate(ORACLES)}

    def counts(self, group: str = "all", level: int = 0) -> dict[str, int]:
        """Return how many errors of each kind there are at an overlap threshold.

        A result counts in its own category's group, a missed truth in its own.
        """
        inside = [group == "all" or group in c.groups for c in self.report.categories]
        counts: Counter[int] = Counter()
        for error in self.errors:
            if error.levels[level] and inside[self.category_of(error)]:
                counts[error.kind] += 1
        return {name: counts[kind] for kind, name in enumerate(KINDS)}

    def category_of(self, error: TrackError) -> int:
        """Return the index of the category in which an error stands."""
        return int(self.truths.category[error.truth] if error.kind == MISSED else self.results.category[error.entry])

    def worst_videos(self, count: int = 10) -> list[tuple[int, float]]:
        """Return the ids of the videos that AP loses most to, and the AP that each alone takes."""
        order = np.lexsort((self.videos, -self.video_losses))[:count]
        return [(int(self.videos[v]), float(self.video_losses[v])) for v in order if self.video_losses[v] > 0]

    def confusions(self) -> list[tuple[int, int, int]]:
        """Return pairs of names that are mistaken, the most frequent first: true category, said category, truths.

        A truth is mistaken if the best-scored result on its mask says another name.
        """
        seen = np.flatnonzero(self.best_on >= 0)
        said, true = self.results.category[self.best_on[seen]], self.truths.category[seen]
        pairs = Counter(zip(true[said != true].tolist(), said[said != true].tolist(), strict=True))
        return [(a, b, count) for (a, b), count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))]

    def category_losses(self) -> Floats:
        """Return the AP that each category regains by the repair of each kind (K, E'), 0 where it holds no truth.

        A category of which every truth is missed loses all to that.
        """
        repaired = self.repaired[:, : len(KINDS)]
        gains = (np.where(repaired < 0, 1.0, repaired) - self.precisions[:, None]).mean(axis=2)
        return np.where(self.precisions[:, :1] >= 0, gains, 0.0)

    def as_dict(self, names: Mapping[int, str] | None = None) -> dict[str, Any]:
        """Return everything but the single errors as JSON knows it.

        Args:
            names: names of videos by id.
        """
        categories, losses = self.report.categories, self.category_losses()
        counts = np.bincount(self.truths.category, minlength=len(categories))
        return {
            "rules": self.report.rules,
            "thresholds": [round(float(t), 2) for t in THRESHOLDS],
            "kinds": KINDS,
            "groups": {
                group: {
                    **self.figures(group),
                    "losses": self.losses(group),
                    "oracles": self.oracle_figures(group),
                    "errors_at_50": self.counts(group),
                }
                for group in self.report.groups
            },
            "categories": [
                {
                    "id": category.id,
                    "name": category.name,
                    "truths": int(counts[k]),
                    "AP": float(self.precisions[k].mean()),
                    "losses": dict(zip(KINDS, losses[k].tolist(), strict=True)),
                }
                for k, category in enumerate(categories)
                if self.precisions[k, 0] >= 0
            ],
            "confusions": [
                {"true": categories[a].name, "said": categories[b].name, "truths": count}
                for a, b, count in self.confusions()
            ],
            "videos": [
                {"id": video, **({"name": names[video]} if names and video in names else {}), "loss": loss}
                for video, loss in self.worst_videos(len(self.videos))
            ],
        }

    def errors_csv(self, names: Mapping[int, str] | None = None) -> str:
        """Return a header, `COLUMNS`, and a line for each error.

        Args:
            names: names of videos by id.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        numbers = ranks_in(self.results.video)
        categories, kinds, steps = self.report.categories, list(KINDS), [f"{t:.2f}" for t in THRESHOLDS]
        for e in self.errors:
            video = int(self.truths.video[e.truth] if e.kind == MISSED else self.results.video[e.entry])
            track: list[Any] = ["", "", ""]
            if e.kind != MISSED:
                name, score = categories[self.results.category[e.entry]].name, float(self.results.score[e.entry])
                track = [int(numbers[e.entry]), name, score]
            truth: list[Any] = ["", ""]
            if e.truth >= 0:
                truth = [int(self.truth_ids[e.truth]), categories[self.truths.category[e.truth]].name]
            measures = [f"{value:.6f}" for value in (e.overlap, e.space, e.time)]
            thresholds = " ".join(step for step, on in zip(steps, e.levels, strict=True) if on)
            row = [video, (names or {}).get(video, ""), *track, kinds[e.kind], *truth, *measures]
            writer.writerow(
                [*map(cell, row), e.frames_on, e.frames_lost, e.frames_switched, int(e.regains), thresholds]
            )
        return text.getvalue()

    def as_table(self) -> Table:
        """Return the losses for a terminal, in points of AP, a column for each group."""
        table = Table("", title="what AP is lost to, points", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        groups = self.report.groups
        for group in groups:
            table.add_column(group, justify="right")
        table.add_column("errors at 0.5", justify="right")
        figures, counts = [self.figures(group) for group in groups], self.counts()
        losses, oracles = [self.losses(g) for g in groups], [self.oracle_figures(g) for g in groups]
        table.add_row("AP", *(_points(f["AP"]) for f in figures), "", end_section=True)
        for name in REPAIRS[: len(KINDS)]:
            if name != "uncounted" or counts[name]:
                table.add_row(name, *(_points(loss[name]["AP"], "+") for loss in losses), str(counts[name]))
        table.add_section()
        for name in REPAIRS[len(KINDS) : -1]:
            table.add_row(name, *(_points(loss[name]["AP"], "+") for loss in losses), "")
        table.add_section()
        for name in ORACLES:
            table.add_row(f"AP with {name}", *(_points(oracle[name]["AP"]) for oracle in oracles), "")
        return table


def ranks_in(groups: Ints) -> Ints:
    """Return each entry's number within its group (N,), wherever the group's other entries stand.

    >>> ranks_in(np.array([7, 7, 5, 7])).tolist()
    [0, 1, 0, 2]
    """
    order = np.argsort(groups, kind="stable")
    numbers = np.empty(len(groups), dtype=np.int64)
    numbers[order] = ranks(groups[order])
    return numbers


def _points(value: float, sign: str = "") -> str:
    return "-" if value < 0 else f"{100 * value:{sign}.1f}"


def _means(values: Floats) -> dict[str, float]:
    """Return means of AP (K, L) by `MEASURES`, at each threshold over the categories that have truths there.

    Where no category is left there is nothing to be found: AP is 1. Without categories it is -1.
    """
    if not len(values):
        return dict.fromkeys(MEASURES, -1.0)
    held = values >= 0
    means = np.where(held.any(axis=0), np.where(held, values, 0).sum(axis=0) / np.maximum(held.sum(axis=0), 1), 1.0)
    return {name: float(means[levels].mean()) for name, levels in MEASURES.items()}
