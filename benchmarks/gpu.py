"""What a GPU gives: is it equal to the CPU, and how fast is every model; in a set time, kept as it goes.

First equality: the kernel, 60 frames of video against the CPU, networks against the CPU, accelerations against
PyTorch's own way. Then times and memory, what matters most first: end to end and the network alone, accelerated and
plainly, in bfloat16 and float16, at 480p and 720p, with 1, 80, 1,196 and 10,000 words, of the three models that have a
goal, then of the others. What does not fit into the time is left out from the end of that list, and named.

Usage: python benchmarks/gpu.py [--minutes 8] [--output gpu-benchmark]
       python benchmarks/gpu.py --device cpu --dry-run   (tiny networks: does the program work?)
       python -m pytest -m parity -k cuda tests/models   (the authors' results on the GPU: minutes more)
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import msgspec

import gpu_checks
from ovvis.benchmark.crew import Member
from ovvis.benchmark.machine import this_machine, told
from ovvis.benchmark.plan import Row
from ovvis.benchmark.records import Record, Result, as_json
from ovvis.benchmark.tables import page, title
from ovvis.benchmark.worker import Answer, Task
from ovvis.cli.console import note, warn
from ovvis.cli.segmenter import device_title
from ovvis.models.devices import pick_device

FIRST = ("clip-vis-r50", "clip-vis-convnext-b", "ovformer-r50")  # with a goal of their own
OTHERS = (
    "ovformer-swin-b",
    "ov2seg-r50",
    "ov2seg-swin-b",
    "fc-clip-r50",
    "fc-clip-convnext-l",
    "ov-dvis-r50",
    "ov-dvis-convnext-l",
    "clip-vis-stickers",
)
SIZES = {480: (480, 853), 720: (720, 1280)}
PLAIN, FAST = "", "kernels,graph,overlap"
ENDING = 10  # seconds at the end in which nothing is begun
FRAMES = 60
LONGEST = 120  # seconds of one check or row, so that one that hangs costs no more; compiling may take longer


class Checked(msgspec.Struct, kw_only=True):
    """What was compared."""

    name: str
    good: bool
    told: str  # how far apart, or what went wrong
    seconds: float = 0.0


class Report(msgspec.Struct, kw_only=True):
    """The whole file: `ovvis benchmark --read` shows what is in `times`, saved by itself."""

    checks: list[Checked]
    left_out: list[str]
    times: Record


@dataclass
class Job:
    """A run: what is asked for, how long there is, and what is known so far."""

    work: list[Row | str]  # rows, and names of checks
    deadline: float
    folder: Path
    worker: list[str]
    report: Report
    repeats: int = 3
    _members: dict[str, Member] = field(default_factory=dict)
    _took: dict[str, float] = field(default_factory=dict)  # seconds of the longest so far, by what was done

    @property
    def left(self) -> float:
        """Seconds in which something may still be begun."""
        return self.deadline - ENDING - time.monotonic()

    def run(self) -> None:
        """Check, then measure, and write after each."""
        with ExitStack() as stack:
            stack.callback(self._end_all)
            for one in self.work:
                if isinstance(one, Row):
                    self._measure(one)
                else:
                    self._check(one)
                self._write()

    def _check(self, name: str) -> None:
        if self._expected("check", 15) > self.left:
            self.report.left_out.append(f"check of {name}")
            return
        with self._taking("check") as left:
            limit = min(left, LONGEST)
            command = [*self.worker, "--check", name]
            try:
                out = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
                lines = [line for line in out.stdout.splitlines() if line.startswith("{")]
                if out.returncode or not lines:
                    last = (out.stderr.strip().splitlines() or [f"it ended with {out.returncode}"])[-1]
                    self.report.checks.append(Checked(name=name, good=False, told=last[:300]))
            except subprocess.TimeoutExpired as stopped:
                lines = [line for line in _text(stopped.stdout).splitlines() if line.startswith("{")]
                self.report.left_out.append(f"check of {name}: stopped after {limit:.0f} s")
        for found in (msgspec.json.decode(line, type=Checked) for line in lines):
            self.report.checks.append(found)
            (note if found.good else warn)(f"{'same' if found.good else 'DIFFERS'}: {found.name}: {found.told}")

    def _measure(self, row: Row) -> None:
        new = row.model not in self._members
        expected = self._expected("load", 20) * new + self._expected(f"row {row.precision}{row.height}", 6)
        if expected > self.left:
            self.report.left_out.append(_name(row))
            return
        result = Result(row=row, samples=[])
        with self._taking("load" if new else f"row {row.precision}{row.height}") as limit:
            answer = self._ready(row, limit)
            result.loaded_mib = answer.loaded_mib
            while not answer.problem and len(result.samples) < self.repeats:
                answer = self._in_time(row, Member.run, limit)
                if answer.sample is not None:
                    result.samples.append(answer.sample)
            result.problem = answer.problem
        if answer.problem:
            self._members.pop(row.model).close()
            warn(f"{_name(row)}: {answer.problem}")
            if "out of memory" in answer.problem and self._members:
                self._end_all()
                self._measure(row)
                return
        self.report.times.results.append(result)
        if result.samples:
            note(f"{_name(row)}: {1 / result.median:.1f} frames/s, {result.peak_mib or 0:.0f} MiB")

    def _ready(self, row: Row, limit: float) -> Answer:
        if row.model in self._members:
            return self._in_time(row, lambda member: member.take(row), limit)
        self._members[row.model] = Member(Task(row=row), self.worker)
        return self._in_time(row, Member.answer, limit)

    def _in_time(self, row: Row, ask: Callable[[Member], Answer], limit: float) -> Answer:
        """Ask, and end the process where the answer takes too long."""
        member = self._members[row.model]
        timer = threading.Timer(limit if "compile" in row.accelerate else min(limit, LONGEST), member.stop)
        timer.start()
        try:
            return ask(member)
        finally:
            timer.cancel()

    def _end_all(self) -> None:
        while self._members:
            self._members.popitem()[1].close()

    def _expected(self, what: str, guess: float) -> float:
        return self._took.get(what, guess)

    @contextmanager
    def _taking(self, what: str) -> Iterator[float]:
        """Give how many seconds something may take, and note how many it took."""
        start = time.monotonic()
        yield max(self.deadline - start, 1.0)
        self._took[what] = max(self._took.get(what, 0.0), time.monotonic() - start)

    def _write(self) -> None:
        for name, content in (
            ("gpu.json", msgspec.json.format(msgspec.json.encode(self.report), indent=1)),
            ("benchmark.json", as_json(self.report.times)),
            ("gpu.md", as_page(self.report).encode()),
        ):
            part = self.folder / f".{name}.part"
            part.write_bytes(content)
            part.replace(self.folder / name)  # what is cut off now leaves the file before


def as_page(report: Report) -> str:
    """Return everything as Markdown."""
    lines = ["| compared | same | how far apart | seconds |", "| --- | --- | --- | ---: |"]
    for one in report.checks:
        lines.append(f"| {one.name} | {'yes' if one.good else 'NO'} | {one.told} | {one.seconds:.1f} |")
    blocks = ["**Equality**", "\n".join(lines), page(report.times).strip()]
    if report.left_out:
        blocks.append("Left out for want of time: " + "; ".join(report.left_out) + ".")
    return "\n\n".join(blocks) + "\n"


def _text(stdout: bytes | str | None) -> str:
    return stdout.decode("utf-8", "replace") if isinstance(stdout, bytes) else stdout or ""


def _name(row: Row) -> str:
    return f"{title(row)}{', network alone' if row.task == 'network' else ''}"


def rows(device: str, models: Sequence[str], first: Sequence[str], sizes: dict[int, tuple[int, int]]) -> list[Row]:
    """Return what is measured, what matters most first."""

    def some(
        names: Sequence[str],
        edge: int = 480,
        precision: str = "bfloat16",
        words: Sequence[int] = (1196,),
        ways: Sequence[str] = (FAST, PLAIN),
        tasks: Sequence[str] = ("video", "network"),
        batch: int = 1,
    ) -> list[Row]:
        height, width = sizes[edge]
        shared = {"height": height, "width": width, "precision": precision, "device": device, "frames": FRAMES}
        shared["batch"] = batch
        found = []
        for name in names:
            for task in tasks:
                for count in words if task == "video" else (0,):
                    for way in ways:
                        found.append(Row(model=name, task=task, words=count, accelerate=way, **shared))  # type: ignore[arg-type]
        return found

    every = [*first, *(name for name in models if name not in first)]
    blocks = [
        some(first),
        some(first, ways=(FAST,), batch=8),
        some(first, ways=(f"{FAST},batch",), tasks=("video",), batch=0),
        some(first, precision="float16", ways=(FAST,)),
        some(first, edge=720, ways=(FAST,)),
        some(first, words=(80, 10_000, 1), ways=(FAST,), tasks=("video",)),
        some(first, ways=("kernels", "graph"), tasks=("network",)),  # which of them it is
        some(every),
        some(every, edge=720, ways=(FAST,)),
        some(every, precision="float16", ways=(FAST,)),
        some(every, words=(80, 10_000, 1), ways=(FAST,), tasks=("video",)),
        some(every, precision="float16", edge=720, ways=(FAST,)),
        some(every, edge=720, words=(80, 10_000, 1), ways=(FAST,), tasks=("video",)),
        some(every, precision="float16", words=(80, 10_000, 1), ways=(FAST,), tasks=("video",)),
        some(every, precision="float16", edge=720, words=(80, 10_000, 1), ways=(FAST,), tasks=("video",)),
        some(first[:1], ways=("kernels,compile,graph,overlap",)),  # takes minutes
    ]
    return list(dict.fromkeys(row for block in blocks for row in block))


def main() -> None:
    """Check and measure."""
    options = parse()
    if options.check:
        for found in gpu_checks.check(options.check, options.device, options.dry_run):
            print(msgspec.json.encode(Checked(**found)).decode(), flush=True)
        return
    if options.worker:
        gpu_checks.serve(options.dry_run)
        return
    start = time.monotonic()
    device = str(pick_device(options.device))
    machine = this_machine("" if device == "cpu" else device_title(device))
    note(told(machine))
    times = Record(date=date.today().isoformat(), command=shlex.join(sys.argv), machine=machine, results=[])
    worker = [sys.executable, __file__, "--worker", "--device", device, *(["--dry-run"] if options.dry_run else [])]
    options.output.mkdir(parents=True, exist_ok=True)
    models = (*FIRST, *OTHERS)
    asked = rows(device, models, FIRST, SIZES)
    work: list[Row | str] = ["kernels", "video", "decoding", *FIRST, *asked, *OTHERS]
    if options.dry_run:
        work = ["kernels", "video", "decoding", FIRST[0], *gpu_checks.few(asked)]
    report = Report(checks=[], left_out=[], times=times)
    job = Job(work, start + 60 * options.minutes, options.output, worker, report, 1 if options.dry_run else 3)
    try:
        job.run()
    except KeyboardInterrupt:
        warn("stopped; what was measured until then is kept")
    print(as_page(report))
    note(f"{options.output}: gpu.json, benchmark.json (for ovvis benchmark --read), gpu.md")
    if not all(one.good for one in report.checks):
        sys.exit(3)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=8, help="what does not fit is left out")
    parser.add_argument("--output", type=Path, default=Path("gpu-benchmark"))
    parser.add_argument("--dry-run", action="store_true", help="tiny networks and few rows")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--check", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
