"""What a step was computed from, written down when it went wrong."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ovvis.errors import InputError
from ovvis.training.checkpoint import UNSOUND, write_tensors
from ovvis.training.task import Batch


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
    processes: int = 1  # that shared the step


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


def read_dump(path: Path) -> tuple[Dump, list[Any]]:
    """Return what `write_dump` wrote, the batches as plain values; executes nothing in it.

    Raises:
        InputError: the file is not there, damaged, or no dump.
    """
    if not path.is_file():
        raise InputError(f"dump {str(path)!r} does not exist; give a not-finite-step-N-process-P.pt of a run")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (EOFError, OSError, pickle.UnpicklingError, *UNSOUND) as error:
        raise InputError(f"dump {str(path)!r} is damaged or no dump; give a not-finite-step-N-process-P.pt") from error
    if not isinstance(content, dict) or content.keys() != {"parts", *(field.name for field in fields(Dump))}:
        raise InputError(f"dump {str(path)!r} is none of this version of ovvis; give a not-finite-step-N-process-P.pt")
    parts = content.pop("parts")
    return Dump(**{**content, "names": tuple(content["names"])}), parts


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


def first_not_finite(objective: nn.Module, batch: Batch) -> str | None:
    """Return the name of the first module whose output is not finite, or None if all are, up to where it fails."""
    found: list[str] = []

    def watch(name: str) -> Any:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            del module, inputs
            if isinstance(output, Tensor) and not output.isfinite().all():
                found.append(name)

        return look

    handles = [module.register_forward_hook(watch(name)) for name, module in objective.named_modules() if name]
    try:
        with torch.no_grad():
            objective(batch)
    except (RuntimeError, ValueError):
        pass
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
