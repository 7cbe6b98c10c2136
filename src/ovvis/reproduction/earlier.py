"""Figures that lie in a folder already: whether new ones hold all that they say."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ovvis.errors import InputError

PASSING = ("command", "date", "torch")  # what figures say of themselves that does not decide them

Plan = Mapping[tuple[str, str], tuple[Collection[int], int]]  # (table, split) -> seeds, videos of each


def refuse_others(files: Collection[Path], about: Mapping[str, Any], plan: Plan) -> None:
    """Refuse to write over tables of which the new ones do not hold each.

    Args:
        files: that would be written; the last holds the figures as JSON.
        about: everything that decides the new ones.
        plan: what they are of.

    Raises:
        InputError: a file is there, and is not of the same network and settings, or of a table, seeds or videos
            that would be lost.
    """
    there = [path for path in files if path.exists()]
    if there and not _held(list(files)[-1], about, plan):
        raise InputError(
            f"{there[0]} is of another run, whose tables would be lost: choose another --output, or replace them with "
            "--overwrite (what is measured of each video stays)"
        )


def _held(path: Path, about: Mapping[str, Any], plan: Plan) -> bool:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        same = json.loads(json.dumps(dict(about), default=str))
        if any(found.get(name) != value for name, value in same.items() if name not in PASSING):
            return False
        for table in found["tables"]:
            seeds, videos = plan.get((table["table"], table["split"]), ((), 0))
            if not set(table["seeds"]) <= set(seeds) or table["videos"] > videos:
                return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    return True
