"""The examination as a program: it prints the table, or JSON, and returns an exit code. The standard library alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

from ovvis.doctor.children import Broken, lines
from ovvis.doctor.computing import TEST, judge
from ovvis.doctor.examination import examine
from ovvis.doctor.importing import DEVICES
from ovvis.doctor.rows import Row, as_json, healthy, markdown

PROGRAM = "ovvis.doctor.computing"
SILENCE = 300.0  # seconds for one device's test: half a minute on two busy cores
WRONG = 3  # exit code: it was told, and something is wrong
USAGE = "usage: ovvis doctor [--json] [--test]"


def run(*, test: bool = False, json_wanted: bool = False) -> int:
    """Print what is true of this machine and return the exit code: 0, or `WRONG` where something is.

    Args:
        test: whether to compute, too, and compare.
        json_wanted: JSON in place of the table.
    """
    rows = examine(_tell)
    if test:
        rows += tests(devices(rows))
    if json_wanted:
        print(json.dumps(as_json(rows), indent=1))
    else:
        print(markdown(rows))
        wrong = [row for row in rows if row.state == "wrong"]
        for row in wrong:
            print(f"WRONG: {row.name}: {row.found}{f' -- {row.remedy}' if row.remedy else ''}")
        if not wrong:
            noted = " A note is of what not everybody needs." if any(row.state == "note" for row in rows) else ""
            hint = "" if test else " `ovvis doctor --test` computes something, too."
            print(f"Nothing is wrong.{noted}{hint}")
    return 0 if healthy(rows) else WRONG


def devices(rows: Iterable[Row]) -> list[str]:
    """Return the devices that rows tell of, the CPU first."""
    names = [row.name for row in rows if row.part == DEVICES and row.state == "ok"]
    return [
        "cpu",
        *(name for name in names if name.startswith("cuda:")),
        *(["mps"] if "precision on mps" in names else []),
    ]


def tests(names: Sequence[str]) -> list[Row]:
    """Return a row for each device and precision: float32, and what `--precision auto` takes where that is another."""
    rows: list[Row] = []
    for device in names:
        seen: set[object] = set()
        for precision in ("float32", "auto"):
            _tell(f"computing on {device} ({precision})")
            try:
                told = next(iter(list(lines(PROGRAM, [device, precision], SILENCE))), None)
                if told is None:
                    raise Broken("it said nothing")
            except (Broken, OSError) as error:
                remedy = "see the rows above; use another --device meanwhile, and report this table"
                rows.append(Row(TEST, f"{device}, {precision}", f"cannot compute: {error}", "wrong", remedy))
                continue
            if told["precision"] not in seen:
                rows.append(judge(device, told))
            seen.add(told["precision"])
    return rows


def main(words: Sequence[str]) -> int:
    """Run without the libraries of the command line, where they cannot be imported.

    Args:
        words: what follows `ovvis doctor`.
    """
    if not set(words) <= {"--json", "--test"}:
        print(USAGE, file=sys.stderr)
        return 2
    return run(test="--test" in words, json_wanted="--json" in words)


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr)
