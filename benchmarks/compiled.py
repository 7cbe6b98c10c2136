"""When `--accelerate compile` pays: seconds a window plainly and compiled, in turn, and what the start costs.

The first start compiles; the second, in a process of its own, takes what was kept. Both networks have the same random
weights, and their windows go through the network alone.

Usage: OMP_NUM_THREADS=1 python benchmarks/compiled.py clip-vis-r50 --size 480x853 --precision bfloat16
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from ovvis.benchmark.machine import this_machine, told
from ovvis.benchmark.plan import Row, parse_sizes
from ovvis.benchmark.subject import NetworkSubject


def main() -> None:
    """Measure in two processes that share a cache."""
    options = parse()
    if options.start is None:
        print(told(this_machine()), flush=True)
        with tempfile.TemporaryDirectory() as folder:
            for start in ("cold", "kept"):
                command = [sys.executable, __file__, *sys.argv[1:], "--start", start]
                subprocess.run(command, env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": folder}, check=True)
        return
    ((height, width),) = parse_sizes(options.size)
    rows = [
        Row(
            model=options.model,
            task="network",
            height=height,
            width=width,
            words=0,
            frames=1,
            precision=options.precision,
            accelerate=way,
            batch=1,
        )
        for way in ("", "compile")
    ]
    plain, fast = (NetworkSubject(row) for row in rows)
    starts = []
    for subject in (plain, fast):
        start, used = time.perf_counter(), time.process_time()
        subject.warm_up()
        starts.append((time.perf_counter() - start, time.process_time() - used))
    took = [f"{wall:.1f} s ({used:.1f} s of processor time)" for wall, used in starts]
    print(f"{options.start}: the first three windows took {took[0]} plainly, {took[1]} compiled", flush=True)
    if fast._model._faster is None or fast._model._faster.notes:
        print("; ".join(fast._model._faster.notes if fast._model._faster else ["nothing was compiled"]))
        return
    samples: list[list[float]] = [[], []]
    for turn in range(options.repeats if options.start == "cold" else 0):
        for kind, subject in enumerate((plain, fast)) if turn % 2 == 0 else ((1, fast), (0, plain)):
            samples[kind].append(subject.sample().seconds)
    if samples[0]:
        medians = [statistics.median(one) for one in samples]
        spans = [f"{m:.3f} ({min(one):.3f} to {max(one):.3f})" for m, one in zip(medians, samples, strict=True)]
        print(f"seconds a window: {spans[0]} plainly, {spans[1]} compiled: {medians[0] / medians[1]:.2f} times as fast")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", default="clip-vis-r50")
    parser.add_argument("--size", default="480x853")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--start", choices=("cold", "kept"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
