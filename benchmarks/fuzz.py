"""Feed every reader bent files, and count what comes out: used, refused in a line, or a fault.

    python benchmarks/fuzz.py --inputs 100000
    python benchmarks/fuzz.py --kind video --number 17      # one input again, with its traceback

A fault is an exception that is no refusal, a refusal of more than a line, a process that died, ten seconds without an
answer, or more than two GiB: each process is limited to what it takes after its imports and that much more. Each kind
runs in a process of its own, which is begun anew behind an input that ended it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

SECONDS, MEMORY = 10.0, 2 * 2**30
ENDED = {signal.SIGKILL: "no answer in 10 s"}


def kinds() -> dict[str, Any]:
    """Return every kind by its name; imports what they need."""
    import fuzz_files
    import fuzz_texts

    return fuzz_texts.KINDS | fuzz_files.KINDS


def one(kind: Any, name: str, number: int, folder: Path) -> str:
    """Make input `number` of a kind, use it, and return "used" or the refusal's line.

    Everything of an input follows from its number, so that one that failed can be made again.

    Raises:
        Exception: whatever a reader raised that is no refusal.
    """
    from fuzz_bend import assert_line
    from ovvis.errors import OvvisError

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    given = kind.bend(random.Random(f"{name} {number}"), folder)
    try:
        kind.use(given)
    except OvvisError as error:
        assert_line(error)
        return str(error)
    return "used"


def work(name: str, first: int, last: int) -> None:
    """Run inputs of a kind, a line of JSON for each: its number before, what came of it after."""
    import warnings

    kind = kinds()[name]
    warnings.simplefilter("ignore")
    status = Path("/proc/self/statm").read_text().split()
    page = resource.getpagesize()
    limit = int(status[0]) * page + MEMORY - int(status[1]) * page
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)  # decoders talk of damaged files
    with tempfile.TemporaryDirectory() as home:
        for number in range(first, last):
            print(json.dumps([number]), file=answers)
            try:
                said = one(kind, name, number, Path(home) / "input")
                outcome = "used" if said == "used" else "refused"
            except BaseException as error:  # a reader may raise anything
                where = traceback.extract_tb(error.__traceback__)[-1]
                said, outcome = f"{type(error).__name__}: {str(error)[:150]} ({where.filename}:{where.lineno})", "fault"
            print(json.dumps([number, outcome, said]), file=answers)


def feed(name: str, inputs: int, begin: int) -> tuple[Counter[str], list[str], float]:
    """Run a kind's inputs; return the outcomes' counts, the faults, and the slowest answer in seconds."""
    counts: Counter[str] = Counter()
    faults: list[str] = []
    slowest, number, end = 0.0, begin, begin + inputs
    while number < end:
        child = subprocess.Popen(
            [sys.executable, __file__, "--work", name, str(number), str(end)], stdout=subprocess.PIPE, bufsize=0
        )
        assert child.stdout is not None
        buffer, asked, patience = b"", time.monotonic(), 120.0  # imports come first
        while True:
            ready = select.select([child.stdout], [], [], max(asked + patience - time.monotonic(), 0))[0]
            data = os.read(child.stdout.fileno(), 1 << 16) if ready else b""
            if not data:
                if not ready:
                    child.kill()
                break
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                answer = json.loads(line)
                patience = SECONDS
                if len(answer) == 1:
                    number, asked = answer[0], time.monotonic()
                    continue
                slowest = max(slowest, time.monotonic() - asked)
                counts[answer[1]] += 1
                if answer[1] == "fault":
                    faults.append(f"{name} {answer[0]}: {answer[2]}")
                number = answer[0] + 1
        child.stdout.close()
        code = child.wait()
        if number < end:
            counts["fault"] += 1
            why = (
                ENDED.get(signal.Signals(-code), f"ended by {signal.Signals(-code).name}")
                if code < 0
                else f"left with {code}"
            )
            faults.append(f"{name} {number}: {why}")
            number += 1
    return counts, faults, slowest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2000, help="in all, shared out among the kinds")
    parser.add_argument("--begin", type=int, default=0, help="number of the first input of each kind")
    parser.add_argument("--kind", action="append", help="only this kind; may be given several times")
    parser.add_argument("--number", type=int, help="run this one input of the kind here, with its traceback")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.work[0], int(asked.work[1]), int(asked.work[2]))
        return
    every = kinds()
    names = asked.kind or list(every)
    if asked.number is not None:
        with tempfile.TemporaryDirectory() as home:
            print(one(every[names[0]], names[0], asked.number, Path(home) / "input"))
        return
    whole = sum(every[name].share for name in names)
    all_faults: list[str] = []
    print("| kind | inputs | used | refused in a line | faults | slowest, s | inputs/s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    total: Counter[str] = Counter()
    for name in names:
        inputs = max(round(asked.inputs * every[name].share / whole), 1)
        started = time.monotonic()
        counts, faults, slowest = feed(name, inputs, asked.begin)
        rate = inputs / (time.monotonic() - started)
        shown = " | ".join(f"{counts[what]:,}" for what in ("used", "refused", "fault"))
        print(f"| {name} | {inputs:,} | {shown} | {slowest:.1f} | {rate:.0f} |", flush=True)
        total += counts
        all_faults += faults
    print(
        f"| all | {sum(total.values()):,} | {' | '.join(f'{total[w]:,}' for w in ('used', 'refused', 'fault'))} | | |"
    )
    for fault in all_faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if all_faults else 0)


if __name__ == "__main__":
    main()
