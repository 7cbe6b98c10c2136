"""What a step was computed from, written down when it went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ovvis.training.checkpoint import write_tensors


@dataclass(frozen=True, slots=True)
class Dump:
    """All but the batch."""

    step: int  # counted from 1
    names: tuple[str, ...]  # of the windows
    losses: dict[str, float]  # weighted parts
    random: dict[str, Any]  # the random state before the step
    weights: dict[str, Tensor]  # before the step; without CLIP's
    config: dict[str, Any]  # resolved
    versions: dict[str, str]


def write_dump(dump: Dump, parts: Sequence[Any], folder: Path, process: int) -> Path:
    """Write a step that went wrong, as plain values and tensors; return the file.

    Args:
        dump: all but the batch.
        parts: the step's batches; dataclasses of tensors.
        folder: the run's.
        process: the number of the one that saw it.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"not-finite-step-{dump.step:08d}-process-{process}.pt"
    write_tensors(path, {**plain_values(dump), "parts": [plain_values(part) for part in parts]})
    return path


def plain_values(value: Any) -> Any:
    """Return dataclasses as dicts, sequences as lists, tensors on the CPU; the rest as it is, or as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_values(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: plain_values(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_values(inner) for inner in value]
    if isinstance(value, Tensor):
        return value.detach().cpu()
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
