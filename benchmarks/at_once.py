"""Begin the same command twice at once, again and again, and look what becomes of both.

    python benchmarks/at_once.py --rounds 14

Nothing may be lost: one of the two is refused in one line (exit code 2), or each has a result of its own, or both make
one together; and each result is that of a run alone.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from kills import CASES, finish, inputs, left, place, prepare, start

SHARDS = [*CASES["reproduce"].words, "--shard"]
PAIRS = {
    "segment": ([CASES["segment"].words] * 2, ([0, 2],)),
    "demo": ([CASES["demo"].words] * 2, ([0, 0],)),
    "predict": ([CASES["predict"].words] * 2, ([0, 2], [0, 0])),  # the second may find all done
    "evaluate": ([CASES["evaluate"].words] * 2, ([0, 2],)),
    "world write": ([CASES["world write"].words] * 2, ([0, 2],)),
    "reproduce": ([[*SHARDS, "1/2"], [*SHARDS, "2/2"]], ([0, 0],)),
    "datasets convert": ([CASES["datasets convert"].words] * 2, ([0, 2],)),
    "convert": ([CASES["convert"].words] * 2, ([0, 2],)),
}


def main() -> None:
    """Run the pairs and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    prepare()
    faults: list[str] = []
    codes: dict[str, Counter[str]] = {verb: Counter() for verb in PAIRS}
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "inputs"
        (source / "tmp").mkdir(parents=True)
        inputs(source)
        for verb, (pair, right) in PAIRS.items():
            home = Path(shutil.copytree(source, Path(scratch) / "home"))
            finish(start(CASES[verb].words, home))
            wanted = CASES[verb].result(place(verb, home))
            shutil.rmtree(home)
            for number in range(options.rounds):
                shutil.copytree(source, home)
                one = start(pair[0], home)
                time.sleep(dice.choice((0.0, 0.0, 0.01, 0.05)))
                got = sorted((finish(start(pair[1], home)), finish(one)))
                said = (home / "err").read_text(errors="replace")
                codes[verb][" and ".join(map(str, got))] += 1
                results = sorted(home.glob("ovvis-demo*")) if verb == "demo" else [home / "out"]
                whole = [CASES[verb].result(path) == wanted for path in results]
                if got not in right or "Traceback" in said or left(home) or not all(whole):
                    faults.append(f"{verb}, round {number}: exit codes {got}, whole {whole}, left {left(home)}: {said}")
                if verb == "demo" and len(whole) != len(pair):
                    faults.append(f"{verb}, round {number}: {len(whole)} results")
                shutil.rmtree(home)
    for fault in faults:
        print(fault)
    print("| verb | exit codes of the two, times |\n| --- | --- |")
    for verb, counts in codes.items():
        print(f"| {verb} | {', '.join(f'{what}: {times}' for what, times in counts.items())} |")
    print(f"{options.rounds * len(PAIRS)} pairs, {len(faults)} faults")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
