"""What a run leaves: the machine, the rows with every sample, the operations by part; and its file."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ovvis.benchmark.plan import Row
from ovvis.errors import InputError
from ovvis.fields import JsonFile
from ovvis.paths import user_path

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Whole = Annotated[int, msgspec.Meta(ge=0)]


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run was made."""

    processor: str
    cores: int  # that the process may use
    threads: int  # of PyTorch
    memory_gib: NotNegative
    accelerator: str = ""  # a GPU's name; empty where none was used
    system: str = ""
    python: str = ""
    torch: str = ""
    instructions: str = ""  # the widest that PyTorch uses
    ovvis: str = ""


class Sample(msgspec.Struct, kw_only=True):
    """One measured run of a row."""

    seconds: Positive  # a frame; of texts and the yardstick in all
    stages: dict[str, NotNegative] = {}  # seconds a frame of each
    peak_mib: NotNegative | None = None  # most that the process has held so far
    gpu_mib: NotNegative | None = None  # most that PyTorch held on the GPU in this run


class Result(msgspec.Struct, kw_only=True):
    """A row with its samples, in the order of the turns."""

    row: Row
    samples: list[Sample]
    loaded_mib: NotNegative | None = None  # held before the first frame, the model in it
    stage_mib: dict[str, NotNegative] = {}  # most that each stage held of a few frames, above what was loaded
    problem: str = ""  # why there are no more samples

    @property
    def seconds(self) -> list[float]:
        """The seconds of all samples."""
        return [sample.seconds for sample in self.samples]

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)

    @property
    def stages(self) -> dict[str, float]:
        """The median seconds of each stage."""
        names = dict.fromkeys(name for sample in self.samples for name in sample.stages)
        return {name: statistics.median(s.stages.get(name, 0.0) for s in self.samples) for name in names}

    @property
    def peak_mib(self) -> float | None:
        """The most memory: of the GPU where one worked, else of the process."""
        for name in ("gpu_mib", "peak_mib"):
            known = [value for sample in self.samples if (value := getattr(sample, name)) is not None]
            if known:
                return float(max(known))
        return None


class Part(msgspec.Struct, kw_only=True):
    """A part of a network."""

    name: str
    parameters: Whole
    operations: Whole  # multiplications and additions of one frame, each by itself


class Cost(msgspec.Struct, kw_only=True):
    """What the parts of a model hold and compute of a frame, in a window of one."""

    model: str
    height: Whole
    width: Whole
    parts: list[Part]


class Record(msgspec.Struct, kw_only=True):
    """A whole run."""

    format: Literal["ovvis-benchmark"] = "ovvis-benchmark"
    version: Literal[1] = 1
    date: str
    command: str
    machine: Machine
    results: list[Result]
    yardstick: list[Positive] = []  # seconds in each turn: see `plan.YARDSTICK`
    costs: list[Cost] = []

    @property
    def measured(self) -> list[Result]:
        """The rows of which there are samples."""
        return [result for result in self.results if result.samples]


def read_record(path: str | Path) -> Record:
    """Return an earlier run.

    Raises:
        InputError: the file cannot be read, or is no such run.
    """
    path = user_path(path)
    file = JsonFile(path, "give the benchmark.json that `ovvis benchmark` wrote")
    record = file.decode(Record)
    rows = [result.row for result in record.results]
    if len(set(rows)) < len(rows):
        raise InputError(f"{path}: a row stands in it twice; give the benchmark.json that `ovvis benchmark` wrote")
    return record


def as_json(record: Record) -> bytes:
    """Return what `read_record` reads."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
