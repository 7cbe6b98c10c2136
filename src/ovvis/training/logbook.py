"""What a run writes down about itself: lines of JSON, TensorBoard, pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from ovvis.files.output import whole_file
from ovvis.training.task import Picture

METRICS = "metrics.jsonl"
PICTURES = "pictures"


@dataclass(frozen=True, slots=True)
class Record:
    """Some steps of a run, up to and with `step`; means over them."""

    step: int
    steps: int  # of the whole run
    loss: float
    losses: dict[str, float]  # its weighted parts
    rate: float  # learning rate of the first group of weights
    gradient: float  # norm of all gradients before clipping
    seconds: float  # of a step
    waiting: float  # seconds of these in which the step waited for data
    windows: float  # a second
    memory: int  # bytes: most that the device, or on a CPU the process, has held


class Logbook:
    """Writes a run's numbers into its folder, and hands them to whoever shows them.

    After a resume the lines and pictures of steps that are done again are dropped, so that each step stands once.

    Args:
        folder: the run's.
        step: steps done so far.
        show: called with each record.
        write: False in a process that only works along: it writes and shows nothing.
    """

    def __init__(
        self, folder: Path, step: int = 0, show: Callable[[Record], None] | None = None, write: bool = True
    ) -> None:
        self._folder, self._show, self._writes = folder, show, write
        if not write:
            return
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / METRICS
        kept = [line for line in _lines(file) if json.loads(line)["step"] <= step]
        with whole_file(file) as partial:
            partial.write_text("".join(kept), encoding="utf-8")
        for picture in (folder / PICTURES).glob("step-*.png"):
            if picture.name >= _picture(step + 1):
                picture.unlink(missing_ok=True)
        self._file = file.open("a", encoding="utf-8", buffering=1)
        # Also at the first step: a run that was killed before its first checkpoint has left curves.
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def steps(self, record: Record) -> None:
        """Take what happened in the last steps."""
        if not self._writes:
            return
        self._write({"kind": "step", **asdict(record)})
        self._board.add_scalar("loss/all", record.loss, record.step)
        for name, value in record.losses.items():
            self._board.add_scalar(f"loss/{name}", value, record.step)
        for name in ("rate", "gradient", "seconds", "waiting", "windows", "memory"):
            self._board.add_scalar(f"run/{name}", getattr(record, name), record.step)
        if self._show is not None:
            self._show(record)

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Take the figures of a validation."""
        if not self._writes:
            return
        self._write({"kind": "validation", "step": step, "figures": dict(figures)})
        for name, value in figures.items():
            self._board.add_scalar(f"validation/{name}", value, step)

    def validated(self, step: int) -> bool:
        """Return whether the figures of a step's validation stand here."""
        return self._writes and any(
            line["kind"] == "validation" and line["step"] == step for line in read_metrics(self._folder)
        )

    def pictures(self, step: int, make: Callable[[], Iterable[Picture]]) -> None:
        """Take the pictures that a function makes, where they are written at all and not there yet."""
        home = self._folder / PICTURES
        if not self._writes or any(home.glob(f"{_picture(step)}-*.png")):
            return
        for name, image in make():
            path = home / f"{_picture(step)}-{name}.png"
            home.mkdir(exist_ok=True)
            Image.fromarray(image).save(path)
            self._board.add_image(name, image, step, dataformats="HWC")

    def _write(self, line: dict[str, object]) -> None:
        self._file.write(json.dumps(line) + "\n")

    def __enter__(self) -> Logbook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writes:
            self._file.close()
            self._board.close()


def read_metrics(folder: Path) -> list[dict[str, object]]:
    """Return the lines of a run's metrics."""
    return [json.loads(line) for line in _lines(folder / METRICS)]


def _picture(step: int) -> str:
    """Return what the names of a step's pictures begin with."""
    return f"step-{step:08d}"


def _lines(file: Path) -> list[str]:
    """Return the whole lines of a file; a killed run, or a power cut, may have left half of one, or none of it."""
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and _sound(line)]


def _sound(line: str) -> bool:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and isinstance(content.get("step"), int) and "kind" in content
