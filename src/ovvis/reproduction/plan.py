"""What of the papers' tables is to be made: which model over which dataset, and in which ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from ovvis.errors import InputError, nearest
from ovvis.models.zoo import ZOO
from ovvis.reproduction.experiments import EXPERIMENTS
from ovvis.reproduction.papers import PublishedRow, PublishedTable
from ovvis.reproduction.rows import IOU_PIXELS, MODEL, OV2SEG, OVFORMER, OVFORMER_IMAGES, Experiment, Row

NETWORKS = {
    MODEL: "clip-vis-r50",
    OVFORMER: "ovformer-r50",
    OV2SEG: "ov2seg-r50",
    OVFORMER_IMAGES: "ovformer-r50-lvis",
    IOU_PIXELS: IOU_PIXELS,  # its weights are not published
}
"""The model of the papers for each network that a row of an ablation wants."""
COSTS = "ovformer-4"  # a table of parameters and operations, which no dataset makes


@dataclass(frozen=True, slots=True)
class Work:
    """A model over a dataset, and the rows of tables that come of it."""

    model: str  # of the zoo, or `IOU_PIXELS`
    dataset: str
    experiment: Experiment  # its rows are called "TABLE: ROW"

    @property
    def places(self) -> tuple[str, ...]:
        """The rows that it makes, as "TABLE: ROW"."""
        return tuple(row.name for row in self.experiment.rows)

    @property
    def own_places(self) -> tuple[str, ...]:
        """Those of the model as it is released, which a server is asked about."""
        return tuple(row.name for row in self.experiment.rows if not row.settings and not row.one_label)


def makers() -> tuple[str, ...]:
    """Return the names of all models that make rows."""
    return (*ZOO, IOU_PIXELS)


def maker(table: PublishedTable, row: PublishedRow) -> Row | None:
    """Return what makes a row, its network named as a model; None where nothing does."""
    if row.model:
        return Row(row.name, network=row.model)
    if row.ours:
        own = _ablation_rows()[table.ablation, row.ours]
        return replace(own, network=NETWORKS[own.network])
    return None


@cache
def _ablation_rows() -> dict[tuple[str, str], Row]:
    return {(experiment.name, row.name): row for experiment in EXPERIMENTS for row in experiment.rows}


def datasets_of(table: PublishedTable, row: PublishedRow) -> tuple[str, ...]:
    """Return the datasets that a row has numbers of; of a figure without printed values all of its columns'."""
    printed = {number.column.dataset for number in row.numbers}
    any_printed = any(other.numbers for other in table.rows)
    return tuple(dataset for dataset in table.datasets if dataset in printed or not any_printed)


def plan(tables: Sequence[PublishedTable], models: Sequence[str] = ()) -> tuple[Work, ...]:
    """Return the work that makes tables: each model sees each dataset once for all of its rows.

    Args:
        tables: which.
        models: leave out rows of others; all if none is named.

    Raises:
        InputError: there is no model of a name, or no row of these tables is theirs.
    """
    for model in models:
        if model not in makers():
            raise InputError(f"model {model!r}: there is none of that name; {nearest(model, makers())}")
    rows: dict[tuple[str, str], list[Row]] = {}
    for table in tables:
        for row in table.rows if table.name != COSTS else ():
            made = maker(table, row)
            if made is None or (models and made.network not in models):
                continue
            for dataset in datasets_of(table, row):
                named = replace(made, name=f"{table.name}: {row.name}")
                rows.setdefault((dataset, made.network), []).append(named)
    if not rows and not any(table.name == COSTS for table in tables):
        asked = ", ".join(table.name for table in tables)
        raise InputError(f"no row of {asked} is made by {', '.join(models) or 'a model'}: choose other tables")
    return tuple(
        Work(model, dataset, Experiment("papers", "The papers' tables", "", (dataset,), tuple(of)))
        for (dataset, model), of in rows.items()
    )
