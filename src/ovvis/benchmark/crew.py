"""The processes of all rows, and whose turn it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

import msgspec

from ovvis.benchmark.plan import YARDSTICK, Row
from ovvis.benchmark.records import Cost, Result
from ovvis.benchmark.worker import Answer, Task
from ovvis.hardware import available_memory

WORKER = (sys.executable, "-m", "ovvis.benchmark.worker")
KEPT = {"MALLOC_TRIM_THRESHOLD_": "2147483647", "MALLOC_MMAP_THRESHOLD_": "2147483647"}
"""Has glibc keep freed memory, as `ovvis segment` has it."""


class Member:
    """One process.

    Args:
        task: what it is for.
        command: what starts it.
    """

    def __init__(self, task: Task, command: Sequence[str]) -> None:
        self._told = tempfile.TemporaryFile()  # noqa: SIM115  closed in `close`
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._told,
            env=os.environ | KEPT,
            start_new_session=True,  # a Ctrl-C of the terminal is for the one who keeps what was measured
        )
        self._send(msgspec.json.encode(task))

    def answer(self) -> Answer:
        """Return the next answer; one with a problem where the process is gone."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            return Answer(problem=self._end())
        return msgspec.json.decode(line, type=Answer)

    def run(self) -> Answer:
        """Have it run once."""
        self._send(b"run")
        return self.answer()

    def take(self, row: Row) -> Answer:
        """Have it get ready for another row in place of its own."""
        self._send(msgspec.json.encode(Task(row=row)))
        return self.answer()

    def stop(self) -> None:
        """End what it does; from any thread: whoever waits for an answer is told so."""
        self._process.kill()

    def resident_mib(self) -> float:
        """Return the memory that it holds now; 0 where the system does not say."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1]
            return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20
        except (OSError, ValueError, IndexError):
            return 0.0

    def close(self) -> None:
        """End it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process.kill()
        self._process.wait()
        self._told.close()

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it is gone: the missing answer says so
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()

    def _end(self) -> str:
        """Return why there is no answer."""
        code = self._process.wait()
        self._told.seek(0)
        lines = self._told.read()[-4000:].decode("utf-8", "replace").strip().splitlines()
        if -code == getattr(signal, "SIGKILL", 9):
            return "the system ended the process, mostly for want of memory: measure less at once, or smaller frames"
        return f"the process ended with {code}: {lines[-1][:200] if lines else 'it said nothing'}"


class Crew:
    """All processes; those that wait are ended where memory gets short, and started again for their turn."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = command or WORKER
        self._members: dict[Row, Member] = {}
        self.ready: dict[Row, Answer] = {}  # what each said when it was loaded

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:
            for member in self._members.values():
                stack.callback(member.close)

    def run(self, row: Row) -> Answer:
        """Run a row once."""
        member = self._members.get(row)
        if member is None:
            self._make_room()
            member = self._members[row] = Member(Task(row=row), self._command)
            ready = member.answer()
            if ready.problem:
                return self._lost(row, ready)
            self.ready[row] = ready
        answer = member.run()
        return self._lost(row, answer) if answer.problem else answer

    def costs(self, model: str, sizes: Sequence[tuple[int, int]]) -> list[Cost]:
        """Return what a model holds and computes: see `costs.costs`; nothing where it cannot be counted."""
        member = Member(Task(costs_of=model, sizes=list(sizes)), self._command)
        try:
            return member.answer().costs
        finally:
            member.close()

    def _lost(self, row: Row, answer: Answer) -> Answer:
        self._members.pop(row).close()
        return answer

    def _make_room(self) -> None:
        """End processes that wait until there is room for two more as large as the largest."""
        while self._members:
            free, most = available_memory(), max(member.resident_mib() for member in self._members.values())
            if free is None or free / 2**20 > 2 * most + 1024:
                return
            self._members.pop(next(iter(self._members))).close()


Told = Callable[[int, int, str], None]  # runs done, runs in all, what runs now


def measure(
    rows: Sequence[Row], repeats: int, crew: Crew, tell: Told | None = None
) -> Iterator[tuple[list[Result], list[float]]]:
    """Run every row once in each turn, there and back; yield what is known, and the yardstick's seconds, after each.

    Each run of a turn meets what else the machine does in that minute, and a row that is first in one turn is last in
    the next: so what drifts, drifts for all.
    """
    results, yardstick = [Result(row=row, samples=[]) for row in rows], list[float]()
    yield results, yardstick
    done = 0
    for turn in range(repeats):
        length = crew.run(YARDSTICK)
        if length.sample is not None:
            yardstick.append(length.sample.seconds)
        for result in results if turn % 2 == 0 else reversed(results):
            done += 1
            if result.problem:
                continue
            if tell is not None:
                tell(done - 1, len(rows) * repeats, result.row.model)
            answer = crew.run(result.row)
            result.problem = answer.problem
            if (ready := crew.ready.get(result.row)) is not None:
                result.loaded_mib, result.stage_mib = ready.loaded_mib, ready.stage_mib
            if answer.sample is not None:
                result.samples.append(answer.sample)
            yield results, yardstick
            if tell is not None:
                tell(done, len(rows) * repeats, result.row.model)
