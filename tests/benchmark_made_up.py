"""Runs made by hand, and a worker that measures nothing."""

import json
import sys

from ovvis.benchmark.plan import Row
from ovvis.benchmark.records import Cost, Machine, Part, Record, Result, Sample

MACHINE = Machine(processor="a", cores=2, threads=2, memory_gib=8.0, torch="2.15", ovvis="0.5", instructions="AVX2")


def row(**changes):
    return Row(**{"model": "clip-vis-stickers", "height": 64, "width": 96, "words": 5, "frames": 2, **changes})


def result(seconds, peak=100.0, **changes):
    stages = {"backbone": 0.5, "masks": 0.25}
    samples = [Sample(seconds=s, peak_mib=peak, stages={k: share * s for k, share in stages.items()}) for s in seconds]
    return Result(row=row(**changes), samples=samples, loaded_mib=50.0)


def record(*results, yardstick=(1.0,), **changes):
    part = Part(name="backbone", parameters=23_454_912, operations=175_000_000_000)
    cost = Cost(model="ovformer-r50", height=800, width=1333, parts=[part])
    made = {"date": "2026-01-01", "command": "ovvis benchmark", "machine": MACHINE, "costs": [cost]}
    return Record(**{**made, "results": list(results), "yardstick": list(yardstick), **changes})


def worker() -> None:
    """Answer as a worker does: a row's frames are its seconds, its first run more; 13 frames are one too many."""
    task = json.loads(sys.stdin.readline())
    if task["row"] is None:
        answer = {"costs": [{"model": task["costs_of"], "height": 1, "width": 1, "parts": []}]}
        print(json.dumps(answer), flush=True)
        return
    print(json.dumps({"loaded_mib": 10}), flush=True)
    frames = task["row"]["frames"] or 1
    for number, _ in enumerate(sys.stdin):
        if frames == 13 and number:
            print("it fell over", file=sys.stderr)
            sys.exit(7)
        sample = {"seconds": frames + (number == 0), "stages": {"backbone": 1}, "peak_mib": 20 * frames}
        print(json.dumps({"sample": sample}), flush=True)


if __name__ == "__main__":
    worker()
