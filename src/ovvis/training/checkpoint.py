"""A run's checkpoints: everything that going on needs, whole or not there."""

from __future__ import annotations

import pickle
import platform
import random
import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from ovvis.errors import InputError, ResourceError
from ovvis.files.hidden import clear_leftovers
from ovvis.files.output import whole_file
from ovvis.version import __version__

FORMAT = 1  # of the file; one of another number is refused
FOLDER = "checkpoints"
BEST = "best.pt"
_NAME = "step-{:08d}.pt"
_NAMED = re.compile(r"step-\d+\.pt")

UNSOUND = (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What reading, or taking up, values of a wrong kind ends in."""


@dataclass(frozen=True, slots=True)
class RunState:
    """All that a run is between two steps. Plain values and tensors, so that reading it executes nothing."""

    step: int  # optimiser steps done
    position: int  # windows drawn from the sampler, over all processes
    weights: dict[str, Tensor]  # under the model's names; without CLIP unless it was asked for
    optimizer: dict[str, Any]  # the schedule needs nothing: its rates follow from the step
    scaler: dict[str, Any]  # of float16; empty otherwise
    ema: dict[str, Tensor]  # under the model's names; empty without it
    random: list[dict[str, Any]]  # of each process
    config: dict[str, Any]  # resolved
    versions: dict[str, str]  # of what computed it
    data: tuple[str, ...] = ()  # what each dataset was, in a text that differs where it differs
    best: tuple[float, int] | None = None  # the first figure of the best validation so far, and its step


def save(state: RunState, folder: Path, keep: int) -> Path:
    """Write a checkpoint and remove all but the last `keep`.

    It appears under its name only when all its bytes are on the disk.

    Args:
        state: what to write.
        folder: the run's folder.
        keep: how many to keep.

    Raises:
        ResourceError: the disk is full, or refuses; the checkpoints there are as they were.
    """
    target = _write(state, folder, _NAME.format(state.step))
    for old in checkpoints(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return target


def save_best(state: RunState, folder: Path) -> Path:
    """Write the weights that a validation liked best so far: a checkpoint to use, without what going on needs.

    Raises:
        ResourceError: as in `save`.
    """
    return _write(replace(state, optimizer={}, scaler={}, random=[]), folder, BEST)


def _write(state: RunState, folder: Path, name: str) -> Path:
    home = folder / FOLDER
    try:
        home.mkdir(parents=True, exist_ok=True)
        write_tensors(home / name, {"format": FORMAT, **{f.name: getattr(state, f.name) for f in fields(state)}})
    except OSError as error:
        last = latest_step(folder)
        left = f"the last good checkpoint is of step {last}" if last is not None else "there is no earlier one"
        what = "no space left on the disk" if isinstance(error, ResourceError) else (error.strerror or str(error))
        raise ResourceError(
            f"checkpoint of step {state.step} could not be written to {home} ({what.lower()}); {left}; free some space "
            "and give the same command again to go on from there"
        ) from error
    return home / name


def write_tensors(path: Path, content: Any) -> None:
    """Write plain values and tensors into a file that takes its name only when it is whole and on the disk.

    Raises:
        OSError: it cannot be written; a ResourceError where the disk is full.
    """
    with whole_file(path) as partial, partial.open("wb") as raw:
        file = _Honest(raw)
        try:
            torch.save(content, file)  # type: ignore[arg-type]
        except Exception as error:  # PyTorch hides a full disk behind errors of its own
            raise (file.error or error) from error


def latest(folder: Path) -> RunState | None:
    """Return a run's last checkpoint, or None if it has none. What an interrupted save left is removed.

    Raises:
        InputError: the file is damaged or of another version.
    """
    clear_leftovers(folder / FOLDER)
    files = checkpoints(folder)
    return read(files[-1]) if files else None


def checkpoints(folder: Path) -> list[Path]:
    """Return a run's checkpoint files, the earliest first."""
    return sorted(file for file in (folder / FOLDER).glob("step-*.pt") if _NAMED.fullmatch(file.name))


def latest_step(folder: Path) -> int | None:
    """Return the step of the last checkpoint, or None if there is none."""
    files = checkpoints(folder)
    return int(files[-1].stem.removeprefix("step-")) if files else None


def read(path: Path) -> RunState:
    """Read a checkpoint of a run, on the CPU, executing nothing in it.

    Raises:
        InputError: it is damaged, no checkpoint of a run, or of another version.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (EOFError, OSError, pickle.UnpicklingError, *UNSOUND) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        line = (
            "no plain tensors" if isinstance(error, pickle.UnpicklingError) else line
        )  # PyTorch's advice would mislead
        raise InputError(
            f"checkpoint {str(path)!r} is damaged ({line}); remove it to go on from the one before"
        ) from error
    if not isinstance(content, dict) or "format" not in content:
        raise InputError(f"checkpoint {str(path)!r} is no checkpoint of a training run")
    if content.pop("format") != FORMAT or content.keys() != {f.name for f in fields(RunState)}:
        raise InputError(f"checkpoint {str(path)!r} was written by another version of ovvis; go on with that one")
    state = RunState(**content)
    wrong = _wrong_kind(state)
    if wrong is not None:
        raise InputError(
            f"checkpoint {str(path)!r} is damaged: its {wrong!r} is none; remove it to go on from the one before"
        )
    return state


def _wrong_kind(state: RunState) -> str | None:
    """Return the first field that holds another kind of value than it must; None where all are right."""

    def tensors(values: Any) -> bool:
        return isinstance(values, dict) and all(
            isinstance(name, str) and isinstance(value, Tensor) for name, value in values.items()
        )

    def groups(*values: Any) -> bool:
        return all(isinstance(value, dict) for value in values)

    best = state.best
    holds = {
        "step": type(state.step) is int and state.step >= 0,
        "position": type(state.position) is int and state.position >= 0,
        "weights": tensors(state.weights),
        "optimizer": groups(state.optimizer),
        "scaler": groups(state.scaler),
        "ema": tensors(state.ema),
        "random": isinstance(state.random, list) and groups(*state.random),
        "config": groups(state.config),
        "versions": groups(state.versions),
        "data": isinstance(state.data, (tuple, list)) and all(isinstance(text, str) for text in state.data),
        "best": best is None or (isinstance(best, tuple) and [isinstance(x, (int, float)) for x in best] == [True] * 2),
    }
    return next((name for name, right in holds.items() if not right), None)


def random_state() -> dict[str, Any]:
    """Return the states of this process's random generators, as plain values."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    version, internal, gauss = random.getstate()
    return {
        "python": [version, list(internal), gauss],
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Set this process's random generators to what `random_state` gave."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def versions() -> dict[str, str]:
    """Return the versions of what computes a run."""
    return {"ovvis": __version__, "torch": str(torch.__version__), "python": platform.python_version()}


class _Honest:
    """A file that remembers why a write failed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def plain(config: Any) -> dict[str, Any]:
    """Return a configuration as YAML and JSON have it: lists for tuples."""

    def listed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: listed(inner) for key, inner in value.items()}
        return [listed(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    return listed(asdict(config))  # type: ignore[no-any-return]
