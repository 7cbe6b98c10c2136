"""What the evaluator found, for people, programs and spreadsheets."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

from ovvis.evaluation.average_precision import AREA_NAMES
from ovvis.evaluation.records import Category
from ovvis.evaluation.rules import LIMITS
from ovvis.plain import cell

Floats = NDArray[np.float64]

# What is averaged for each name: in `precisions` area range and threshold, in `recalls` area range and limit.
_EVERY = slice(None)
_PRECISIONS: dict[str, tuple[int, slice]] = {
    "AP": (0, _EVERY),
    "AP50": (0, slice(0, 1)),
    "AP75": (0, slice(5, 6)),
    **{f"AP{name[0]}": (a, _EVERY) for a, name in enumerate(AREA_NAMES) if a},
}
# Of LVIS: AP of the categories of a group among those that are averaged.
_FREQUENCIES = {"APr": "rare", "APc": "common", "APf": "frequent"}


def _recalls(limits: tuple[int, ...]) -> dict[str, tuple[int, int]]:
    return {
        **{f"AR{limit}": (0, m) for m, limit in enumerate(limits)},
        **{f"AR{name[0]}": (a, len(limits) - 1) for a, name in enumerate(AREA_NAMES) if a},
    }


METRICS = (*_PRECISIONS, *_recalls(LIMITS))
"""The figures by most rules; a report's own are `Report.names`."""


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of a data set. Every one lies in [0, 1]; -1 says that there was no truth to be found."""

    rules: str  # name of the rules by which was counted
    categories: tuple[Category, ...]  # K
    precisions: Floats  # K, A, L; AP by category, area range and overlap threshold
    recalls: Floats  # K, A, L, M; by limit of results too
    limits: tuple[int, ...] = LIMITS  # M; results of a video and category
    by_frequency: bool = False  # whether there are AP of rare, common and frequent categories, as LVIS has them

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the figures, in order."""
        return (*_PRECISIONS, *(_FREQUENCIES if self.by_frequency else ()), *_recalls(self.limits))

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups: "all", then those that the categories name, by the alphabet."""
        return ("all", *sorted({group for category in self.categories for group in category.groups}))

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Figures by group and `names`: means over the group's categories that hold truths."""
        return {
            group: self._figures(np.array([group == "all" or group in c.groups for c in self.categories], dtype=bool))
            for group in self.groups
        }

    @property
    def category_metrics(self) -> list[dict[str, float]]:
        """Figures by `names` of each category."""
        return [self._figures(np.arange(len(self.categories)) == k) for k in range(len(self.categories))]

    @property
    def category_ap(self) -> Floats:
        """AP of each category (K,)."""
        ap: Floats = self.precisions[:, 0].mean(axis=1)
        return ap

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON knows it."""
        return {
            "rules": self.rules,
            "metrics": self.metrics,
            "categories": [
                {"id": category.id, "name": category.name, "groups": list(category.groups), **figures}
                for category, figures in zip(self.categories, self.category_metrics, strict=True)
            ],
        }

    def as_csv(self, by_category: bool = False) -> str:
        """Return a header and a line for each group, or for each category, with every digit."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if by_category:
            writer.writerow(["id", "category", *self.names])
            for category, figures in zip(self.categories, self.category_metrics, strict=True):
                writer.writerow([category.id, cell(category.name), *(figures[name] for name in self.names)])
        else:
            writer.writerow(["group", *self.names])
            for group, figures in self.metrics.items():
                writer.writerow([cell(group), *(figures[name] for name in self.names)])
        return text.getvalue()

    def as_table(self) -> Table:
        """Return a table of the groups for a terminal, in percent."""
        table = Table(title=f"{self.rules}, percent", title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=0)
        table.add_column("", no_wrap=True)
        # Twelve figures must fit into 80 columns; the groups' own rows say what APr, APc and APf say.
        names = [name for name in self.names if name not in _FREQUENCIES]
        for name in names:
            table.add_column(f"{name[:2]}\n{name[2:]}", justify="right", no_wrap=True)
        for group, figures in self.metrics.items():
            table.add_row(group, *("-" if figures[name] < 0 else f"{100 * figures[name]:.1f}" for name in names))
        return table

    def _figures(self, chosen: NDArray[np.bool_]) -> dict[str, float]:
        precisions, recalls = self.precisions[chosen], self.recalls[chosen]
        figures = {name: _mean(precisions[:, a, levels]) for name, (a, levels) in _PRECISIONS.items()}
        if self.by_frequency:
            for name, group in _FREQUENCIES.items():
                of_group = np.array([group in category.groups for category in self.categories], dtype=np.bool_)
                figures[name] = _mean(self.precisions[chosen & of_group][:, 0])
        return figures | {name: _mean(recalls[:, a, :, m]) for name, (a, m) in _recalls(self.limits).items()}


def _mean(values: Floats) -> float:
    """Return the mean of the values that are not -1; -1 if none is left."""
    values = values[values > -1]
    return float(values.mean()) if len(values) else -1.0
