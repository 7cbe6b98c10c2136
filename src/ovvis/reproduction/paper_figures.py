"""What the papers' figures show, from what was measured and what is published: numbers first, then their pictures."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ovvis.plain import cell
from ovvis.reproduction.drawing import Bars, draw_bars, draw_windows
from ovvis.reproduction.figures import Spread
from ovvis.reproduction.measured import Measured
from ovvis.reproduction.paper_pages import DATASET_NAMES
from ovvis.reproduction.papers import BASE, NOVEL, Column, published_tables

PUBLISHED = {"ovformer-1": "lvvis_val", "ovformer-2": "ytvis_2019_val"}  # of OVFormer's Figs. 1 and 4
BACKBONE = "R50"
OURS = ("systems", "families")  # the ablations' tables that have base and novel of several systems; the first known
WINDOWS, VAL = "families", "val"
ON_DATA = {"ovformer-fig-5": "lvvis_val"}
_LENGTH = re.compile(r"(?:OVFormer, windows of |T )([0-9]+)")
NAMES = ("AP", "base", "novel")


def bars_of(measured: Sequence[Measured]) -> list[Bars]:
    """Return the bars: published ones of LV-VIS and YouTube-VIS 2019, and ours beside where something is measured."""
    groups = []
    for table, dataset in PUBLISHED.items():
        rows = []
        ours = {one.row: one for one in measured if (one.table, one.split) == (table, dataset)}
        for row in published_tables()[table].rows:
            base, novel = (row.number(Column(dataset, figure)) for figure in (BASE, NOVEL))
            if base is None or novel is None or row.backbone != BACKBONE:
                continue
            method = row.method.removesuffix("(Ours)")
            rows.append((method, Spread(base.value, None), Spread(novel.value, None)))
            if row.name in ours:
                rows.append((f"{method}, here", ours[row.name].base, ours[row.name].novel))
        groups.append(Bars(f"{DATASET_NAMES[dataset]}, published (R50)", rows))
    for table in OURS:
        known = [one for one in measured if (one.table, one.split) == (table, VAL)]
        if known:
            groups.append(Bars("the packaged world, here", [(one.row, one.base, one.novel) for one in known]))
            break
    return groups


def windows_of(measured: Sequence[Measured]) -> tuple[str, dict[str, Measured]] | None:
    """Return where AP against window length was measured, and the rows by window; None if it was not.

    Real data come before the packaged world.
    """
    for table, split in (*ON_DATA.items(), (WINDOWS, VAL)):
        found: dict[str, Measured] = {}
        for one in measured:
            if (one.table, one.split) == (table, split) and (length := _window(one)):
                found[length] = one
        if len(found) > 1:
            ordered = sorted(found, key=lambda length: int(length) if length.isdigit() else math.inf)
            where = DATASET_NAMES.get(split, "the packaged world")
            return where, {length: found[length] for length in ordered}
    return None


def _window(one: Measured) -> str:
    if one.row == "OVFormer, online":
        return "1"
    if one.row == "OVFormer, offline":
        return f"all {one.frames}" if one.frames else "all"
    found = _LENGTH.fullmatch(one.row)
    return found[1] if found else ""


def write_bars(groups: Sequence[Bars], pictures: Sequence[Path], table: Path) -> None:
    """Draw the bars and write their numbers."""
    draw_bars(groups, pictures)
    rows = [
        (group.title, name, *_numbers(base), *_numbers(novel)) for group in groups for name, base, novel in group.rows
    ]
    write_csv(table, ("group", "row", "base", "base deviation", "novel", "novel deviation"), rows)


def write_windows(where: str, rows: Mapping[str, Measured], pictures: Sequence[Path], table: Path) -> None:
    """Draw AP against window length and write the numbers."""
    lines = {name: [getattr(one, name) for one in rows.values()] for name in NAMES}
    draw_windows(list(rows), lines, f"OVFormer by window length, {where}", pictures)
    head = ("window", *(part for name in NAMES for part in (name, f"{name} deviation")))
    write_csv(
        table,
        head,
        ((length, *(n for name in NAMES for n in _numbers(getattr(one, name)))) for length, one in rows.items()),
    )


def _numbers(spread: Spread) -> tuple[float | str, float | str]:
    mean = "" if math.isnan(spread.mean) else spread.mean
    return mean, "" if spread.deviation is None else spread.deviation


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        for row in rows:
            writer.writerow(map(cell, row))
