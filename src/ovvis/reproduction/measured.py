"""What was measured, read back for figures: from the ablations' JSON, the docs' tables, the papers' CSV."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovvis.errors import InputError
from ovvis.reproduction.figures import Spread
from ovvis.reproduction.tables import MARKED

FIGURES_JSON, PAPERS_CSV = "figures.json", "papers.csv"
REMEDY = "make it again with ovvis reproduce"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one row of a table reaches; percent."""

    table: str
    split: str  # of the packaged world, or a dataset
    row: str
    AP: Spread
    base: Spread
    novel: Spread
    frames: int | None = None  # of each video, where all have as many


def read_measured(path: Path) -> list[Measured]:
    """Read what was measured.

    Args:
        path: `figures.json` of `ovvis reproduce stickers`, a Markdown page with its tables, `papers.csv` of `ovvis
            reproduce papers`, or a folder that holds one of them.

    Raises:
        InputError: there is none of these, or it is damaged.
    """
    file = path
    if path.is_dir():
        file = next((path / name for name in (FIGURES_JSON, PAPERS_CSV) if (path / name).is_file()), path)
    if not file.is_file():
        raise InputError(
            f"{path} holds no {FIGURES_JSON} and no {PAPERS_CSV}: ovvis reproduce stickers, or papers, makes one"
        )
    read = {".json": _of_json, ".csv": _of_csv, ".md": _of_page}.get(file.suffix.lower())
    if read is None:
        raise InputError(f"{file}: give {FIGURES_JSON}, {PAPERS_CSV} or a Markdown page with the tables")
    try:
        found = list(read(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is damaged ({type(error).__name__}: {error}): {REMEDY}") from error
    if not found:
        raise InputError(f"{file} holds no figures: {REMEDY}")
    return found


def _of_json(text: str) -> Iterator[Measured]:
    for table in json.loads(text)["tables"]:
        for row in table["rows"]:
            AP, base, novel = (_spread(row[name]) for name in ("AP", "base", "novel"))  # noqa: N806  as printed
            yield Measured(table["table"], table["split"], row["name"], AP, base, novel, table["frames"])


def _spread(value: Mapping[str, Any]) -> Spread:
    mean = value["mean"]
    return Spread(math.nan if mean is None else float(mean), value["deviation"])


def _of_page(text: str) -> Iterator[Measured]:
    """Yield the rows of a page's tables, as `tables.markdown` writes them."""
    for marked in MARKED.finditer(text):
        split, frames, columns = "", 0, list[str]()
        for line in marked[0].splitlines():
            if caption := re.match(r"\*\*([a-z-]+): .* of ([0-9]+) frames", line):
                split, frames, columns = caption[1], int(caption[2]), []
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not split or len(cells) < 2:
                continue
            if not columns:
                columns = cells
            elif not cells[0].startswith("---"):
                known = dict(zip(columns, cells, strict=True))
                AP, base, novel = (_printed(known[name]) for name in ("AP", "base", "novel"))  # noqa: N806
                yield Measured(marked[2], split, cells[0].replace("\\|", "|"), AP, base, novel, frames)


def _printed(text: str) -> Spread:
    mean, _, deviation = text.partition("±")
    return Spread(math.nan if mean == "-" else float(mean), float(deviation) if deviation else None)


def _of_csv(text: str) -> Iterator[Measured]:
    rows: dict[tuple[str, str, str], dict[str, float]] = {}
    for line in csv.DictReader(text.splitlines()):
        if line["ours"]:
            rows.setdefault((line["table"], line["dataset"], line["row"]), {})[line["figure"]] = float(line["ours"])
    for place, known in rows.items():
        AP, base, novel = (Spread(known.get(name, math.nan), None) for name in ("AP", "base", "novel"))  # noqa: N806
        yield Measured(*place, AP, base, novel)
