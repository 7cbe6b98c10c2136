"""Figures of the papers' rows as they were made, a small file for each model and dataset, and servers' answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ovvis.errors import InputError
from ovvis.files.output import whole_file
from ovvis.reproduction.answers import Key
from ovvis.reproduction.plan import COSTS, Work

FIGURES, ANSWERS = "figures", "answers.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of a model over a dataset."""

    about: Mapping[str, Any] = field(default_factory=dict)  # everything that decides the figures
    rows: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # "TABLE: ROW" -> figures, percent
    told: Mapping[str, Any] = field(default_factory=dict)  # when, by what, how long

    @classmethod
    def read(cls, output: Path, work: Work) -> Kept:
        """Return what is kept of a piece of work; nothing where none is.

        Raises:
            InputError: the file is damaged.
        """
        found = _read(_path(output, work))
        return cls(found.get("about", {}), found.get("rows", {}), found.get("told", {}))

    def write(self, output: Path, work: Work) -> None:
        """Keep it; rows that were made of the same before stay."""
        earlier = Kept.read(output, work)
        rows = {**(earlier.rows if earlier.about == self.about else {}), **self.rows}
        _write(_path(output, work), {"about": self.about, "rows": rows, "told": self.told})

    @staticmethod
    def costs(output: Path) -> dict[str, dict[str, float]]:
        """Return the costs of the parts of a network, where they were counted."""
        return _read(output / FIGURES / f"{COSTS}.json")

    @staticmethod
    def write_costs(output: Path, costs: Mapping[str, Mapping[str, float]]) -> None:
        """Keep the costs of the parts of a network."""
        _write(output / FIGURES / f"{COSTS}.json", costs)


def kept_answers(output: Path) -> dict[Key, dict[str, float]]:
    """Return what servers answered so far."""
    found = _read(output / FIGURES / ANSWERS)
    return {(dataset, model): of for dataset, models in found.items() for model, of in models.items()}


def keep_answers(output: Path, answers: Mapping[Key, Mapping[str, float]]) -> None:
    """Keep what servers answered, in place of what they answered before."""
    known: dict[Key, dict[str, float]] = kept_answers(output)
    for key, figures in answers.items():
        known[key] = {**known.get(key, {}), **figures}
    by_dataset: dict[str, dict[str, Mapping[str, float]]] = {}
    for (dataset, model), figures in known.items():
        by_dataset.setdefault(dataset, {})[model] = figures
    _write(output / FIGURES / ANSWERS, by_dataset)


def _path(output: Path, work: Work) -> Path:
    return output / FIGURES / f"{work.dataset}.{work.model}.json"


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: remove it, and the same command makes it again") from error
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
