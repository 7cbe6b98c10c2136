"""Checkpoint files: the authors' pickles and our safetensors, read and written with nothing executed."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ovvis.errors import InputError
from ovvis.io.output import whole_file
from ovvis.models.convert import TensorDict, class_matrix, convert_state, is_authors
from ovvis.paths import user_path

METADATA_KEY = "ovvis"
CLASSES = "classes"  # name of the tensor that is no weight: see `Checkpoint.classes`


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in our names."""

    path: Path
    state: TensorDict
    family: str | None  # from the metadata; None in the authors' files
    config: dict[str, Any] | None  # likewise
    classes: Tensor | None = None  # K, E; embeddings of the labels that an OVFormer of its authors was trained with


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read an authors' `.pth` or our `.safetensors`, told apart by their first bytes.

    Pickles are opened with `weights_only=True`: a file that would execute code is refused.

    Raises:
        InputError: no such file, a truncated or foreign file, or one that tries to execute code.
    """
    path = user_path(path)
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"checkpoint {str(path)!r} {kind}; give a .pth or .safetensors file")
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise InputError(
            f"checkpoint {str(path)!r} cannot be read ({error.strerror}); check its permissions"
        ) from error
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return _read_safetensors(path)
    state = _read_pickle(path)
    where = f"checkpoint {str(path)!r}"
    ours = convert_state(state, where) if is_authors(state) else dict(state)
    return Checkpoint(path, ours, None, None, class_matrix(state))


def read_safetensors(path: Path, what: str = "checkpoint") -> tuple[TensorDict, dict[str, str]]:
    """Return the tensors and the metadata of a safetensors file; `what` is its name in a message.

    Raises:
        InputError: a damaged or foreign file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            return state, file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{what} {str(path)!r} is damaged or no safetensors file ({_line(error)}); fetch it again"
        ) from error


def _read_safetensors(path: Path) -> Checkpoint:
    state, metadata = read_safetensors(path)
    if METADATA_KEY not in metadata:
        raise InputError(
            f"checkpoint {str(path)!r} was not written by ovvis: it has no {METADATA_KEY!r} entry in its metadata; "
            "give one that `ovvis convert` made, or an authors' .pth"
        )
    try:
        made = json.loads(metadata[METADATA_KEY])
        classes = state.pop(CLASSES, None)
        return Checkpoint(path, state, str(made["family"]), dict(made["config"]), classes)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"checkpoint {str(path)!r} has damaged metadata ({_line(error)}); fetch it again") from error


def read_pickle(path: Path, what: str = "checkpoint") -> Any:
    """Return what PyTorch saved in a file, nothing executed; `what` is the file's name in a message.

    Raises:
        InputError: a truncated or foreign file, or one that tries to execute code.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|Unsupported global:|Unsupported class)\s+([\w.]+)", str(error))
        if found is None and "Unsupported operand" in str(error):
            raise _damaged(path, "it holds no tensors", what) from error  # PyTorch's advice would mislead
        asked = f"it asks for {found[1]}" if found else _line(error)
        raise InputError(
            f"{what} {str(path)!r} is refused: opening it would execute code ({asked}); give a file of plain "
            "tensors from a source you trust"
        ) from error
    except (
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        IndexError,
        TypeError,
    ) as error:
        raise _damaged(path, _line(error), what) from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    content = read_pickle(path)
    # detectron2 writes {"model": ..., "optimizer": ..., "iteration": ...}.
    if isinstance(content, Mapping):
        state = next(
            (content[key] for key in ("model", "state_dict") if isinstance(content.get(key), Mapping)),
            content,
        )
        if state and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
            return {name: value.detach() for name, value in state.items()}
    raise InputError(
        f"checkpoint {str(path)!r} holds no tensors under 'model'; give a checkpoint of the model's authors"
    )


def _damaged(path: Path, reason: str, what: str) -> InputError:
    return InputError(f"{what} {str(path)!r} is truncated or no PyTorch file ({reason}); fetch it again")


def _line(error: Exception) -> str:
    """Return the first line of an error, shortened."""
    lines = str(error).strip().splitlines()
    return lines[0][:120] if lines else type(error).__name__


def write_checkpoint(
    path: Path, state: Mapping[str, Tensor], family: str, config: Mapping[str, Any], *, overwrite: bool = True
) -> None:
    """Write our safetensors with the configuration in its metadata, under a temporary name until it is whole.

    Raises:
        InputError: the file is there already, and not to be overwritten.
        OSError: the folder cannot be written, or its disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        METADATA_KEY: json.dumps({"family": family, "config": dict(config)}, sort_keys=True),
        "format": "pt",
    }
    try:
        with whole_file(path, overwrite=overwrite, anew=True) as partial:
            partial.touch()
            mode = partial.stat().st_mode  # what the umask gives; the library's own file is for its owner alone
            save_file({name: tensor.contiguous() for name, tensor in state.items()}, partial, metadata=metadata)
            partial.chmod(mode)
    except SafetensorError as error:
        raise OSError(f"cannot write {str(path)!r}: {_line(error)}") from error
