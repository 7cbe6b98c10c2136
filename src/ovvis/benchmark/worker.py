"""The process of one row: it loads, then runs once for each line that it is sent, and answers in lines of JSON.

Its first line is a task as JSON, and so may later ones be, whose row then takes the place of the one before; it ends
when nobody writes to it any more. Libraries print to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from ovvis.benchmark.plan import Row
from ovvis.benchmark.records import Cost, Sample
from ovvis.errors import OvvisError


class Task(msgspec.Struct, kw_only=True):
    """What a worker is for: a row, or the costs of a model."""

    row: Row | None = None
    costs_of: str = ""
    sizes: list[tuple[int, int]] = []


class Answer(msgspec.Struct, kw_only=True):
    """What it says."""

    problem: str = ""  # why there is no more
    loaded_mib: float | None = None  # the row is ready
    stage_mib: dict[str, float] = {}  # likewise: see `Result`
    sample: Sample | None = None
    costs: list[Cost] = []


def work(asked: BinaryIO, said: BinaryIO, build: Callable[..., object] | None = None) -> None:
    """Serve one task.

    Args:
        asked: where the task, then a line for each run, come from.
        said: where answers go.
        build: makes a row's model in another way than `subject.build`.
    """

    def say(answer: Answer) -> None:
        said.write(msgspec.json.encode(answer) + b"\n")
        said.flush()

    task = msgspec.json.decode(asked.readline(), type=Task)
    try:
        if task.row is None:
            from ovvis.benchmark.costs import costs

            say(Answer(costs=costs(task.costs_of, task.sizes)))
            return
        _serve(task.row, asked, say, build)
    except OvvisError as error:
        say(Answer(problem=str(error)))
    except (MemoryError, RuntimeError) as error:  # PyTorch's word for a GPU that is full is a RuntimeError
        say(Answer(problem=(str(error).strip().splitlines() or [type(error).__name__])[0][:200]))


def _serve(row: Row, asked: BinaryIO, say: Callable[[Answer], None], build: Callable[..., object] | None) -> None:
    from ovvis.benchmark import subject as subjects

    def ready(row: Row) -> subjects.Subject:
        made = subjects.subject(row, build or subjects.build)  # type: ignore[arg-type]
        held = subjects.held_mib()
        made.warm_up()
        say(Answer(loaded_mib=held, stage_mib=made.stage_mib()))
        return made

    made = ready(row)
    while line := asked.readline():
        if line.strip() == b"run":
            say(Answer(sample=made.sample()))
            continue
        task = msgspec.json.decode(line, type=Task)
        assert task.row is not None
        made.close()
        made = ready(task.row)


def main(build: Callable[..., object] | None = None) -> None:
    """Serve standard input and output."""
    said = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    work(sys.stdin.buffer, said, build)


if __name__ == "__main__":
    main()
