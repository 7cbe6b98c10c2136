"""What was measured as tables: for the terminal, for a page of the docs, as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ovvis.errors import InputError
from ovvis.plain import markdown_table
from ovvis.reproduction.figures import NAMES, Figures, Outcome, RowOutcome, Spread

MARKED = re.compile(r"(<!-- table ([a-z0-9-]+) -->\n).*?(<!-- end -->)", re.S)


def header(outcome: Outcome) -> list[str]:
    """Return the names of a table's columns."""
    names = ["", *NAMES]
    if outcome.against:
        names.append(f"against {outcome.against}")
    if outcome.experiment.worst:
        names.append("worst seed")
    if _has_paper(outcome):
        names += ["paper", "agrees"]
    return names + (["frames/s", "GiB"] if outcome.experiment.speed else [])


def cells(outcome: Outcome, row: RowOutcome) -> list[str]:
    """Return a row's cells."""
    out = [row.row.name, *(str(row.spread(name)) for name in NAMES)]
    if outcome.against:
        out.append(_signed(outcome.difference(row)))
    if outcome.experiment.worst:
        worst = outcome.worst(row)
        out.append(_signed(None if worst is None else Spread.of([worst])))
    if _has_paper(outcome):
        paper = outcome.paper(row)
        known = [] if paper is None else [f"{value:.1f}" for value in paper if value is not None]
        out += [", ".join(known) or "-", outcome.verdict(row) or "-"]
    memory = "-" if row.peak is None else f"{row.peak / 2**30:.2f}"
    return out + ([f"{row.rate:.1f}", memory] if outcome.experiment.speed else [])


def caption(outcome: Outcome) -> str:
    """Return what was measured, in a line."""
    seeds = ", ".join(map(str, outcome.seeds))
    spread = "mean ± standard deviation over seeds" if len(outcome.seeds) > 1 else "one seed, no spread"
    kind = "videos" if outcome.videos > 1 else "video"
    return (
        f"{outcome.split}: {outcome.videos} {kind} of {outcome.frames} frames for each of the seeds {seeds}; "
        f"percent, {spread}"
    )


def rich_table(outcome: Outcome) -> Table:
    """Return a table for the terminal."""
    table = Table(
        title=escape(f"{outcome.experiment.title}\n{caption(outcome)}"),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for i, name in enumerate(header(outcome)):
        table.add_column(
            escape(name), justify="right" if i else "left", no_wrap=i > 0 and not name.startswith("against")
        )
    for row in outcome.rows:
        table.add_row(*map(escape, cells(outcome, row)))
    return table


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Return the tables of one experiment as Markdown."""
    parts = []
    for outcome in outcomes:
        table = markdown_table(header(outcome), [cells(outcome, row) for row in outcome.rows])
        parts.append(f"**{caption(outcome)}.**\n\n{table}")
    return "\n\n".join(parts) + "\n"


def page(outcomes: Sequence[Outcome], made_by: str) -> str:
    """Return all tables as one Markdown page, each between marks that `fill` knows."""
    parts = [f"# The papers' ablations on the Stickers world\n\n{made_by}\n"]
    for name, group in _grouped(outcomes).items():
        experiment = group[0].experiment
        parts.append(f"## {experiment.title}\n\n{experiment.says}\n\n<!-- table {name} -->\n<!-- end -->\n")
    return fill("\n".join(parts), outcomes, made_by)[0]


def fill(text: str, outcomes: Sequence[Outcome], made_by: str) -> tuple[str, list[str]]:
    """Put tables into a page of the docs, each in place of what stands between its marks.

    The marks are lines of their own: `<!-- table NAME -->` and `<!-- end -->`.

    Args:
        text: the page.
        outcomes: what was measured.
        made_by: a line below each table.

    Returns:
        The new page, and the experiments that it has no marks for.

    Raises:
        InputError: it has marks for none of them.
    """
    groups = _grouped(outcomes)
    present = {found[2] for found in MARKED.finditer(text)}
    if not present & groups.keys():
        raise InputError(
            f"the page has no place for a table: write the lines <!-- table {next(iter(groups))} --> and <!-- end -->"
        )

    def put(found: re.Match[str]) -> str:
        if found[2] not in groups:
            return found[0]
        return f"{found[1]}\n{markdown(groups[found[2]])}\n{made_by}\n{found[3]}"

    return MARKED.sub(put, text), [name for name in groups if name not in present]


def as_json(outcomes: Sequence[Outcome], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything with every digit."""
    tables = []
    for outcome in outcomes:
        rows = []
        for row in outcome.rows:
            difference = outcome.difference(row)
            rows.append(
                {
                    "name": row.row.name,
                    "network": row.row.loaded,
                    "by_seed": [_plain(figures) for figures in row.by_seed],
                    **{name: _plain(row.spread(name)) for name in NAMES},
                    "difference": None if difference is None else _plain(difference),
                    "paper": outcome.paper(row),
                    "verdict": outcome.verdict(row),
                    "frames_per_second": row.rate,
                    "peak_bytes": row.peak,
                }
            )
        tables.append(
            {
                "table": outcome.experiment.name,
                "title": outcome.experiment.title,
                "split": outcome.split,
                "seeds": list(outcome.seeds),
                "videos": outcome.videos,
                "frames": outcome.frames,
                "reference": outcome.against or None,
                "rows": rows,
            }
        )
    return {**about, "tables": tables}


def _plain(figures: Figures | Spread) -> dict[str, float | None]:
    """Return figures as JSON knows them, which has no nan."""
    return {name: None if value is None or math.isnan(value) else value for name, value in asdict(figures).items()}


def _has_paper(outcome: Outcome) -> bool:
    return any(outcome.paper(row) is not None for row in outcome.rows)


def _signed(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    text = str(spread)
    return text if text.startswith("-") else f"+{text}"


def _grouped(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.experiment.name, []).append(outcome)
    return groups
