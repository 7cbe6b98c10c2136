"""Checkpoint files: the authors' pickles and our safetensors, read and written with nothing executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ovvis.errors import InputError
from ovvis.files.output import whole_file
from ovvis.models.convert import TensorDict, class_matrix, convert_state, is_authors
from ovvis.models.families import FAMILIES
from ovvis.models.prefixes import unwrapped
from ovvis.models.torch_file import check_kind, check_tensor, line_of, read_pickle, tensors_by_name
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
    unwrapped: str = ""  # what all names began with before: "module." of several GPUs, Lightning's "model."
    unknown: TensorDict = field(default_factory=dict)  # tensors of an authors' file that no model has, in their names


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
    check_kind(path, "checkpoint")
    with path.open("rb") as file:
        head = file.read(9)
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return _read_safetensors(path)
    where = f"checkpoint {str(path)!r}"
    state, removed = unwrapped(_read_pickle(path), where)
    unknown: TensorDict = {}
    ours = _renamed_outside(state, where)
    if ours is None:
        ours = convert_state(state, where, unknown) if is_authors(state) else state
    return Checkpoint(path, ours, None, None, _classes(class_matrix(state), where), removed, unknown)


def _renamed_outside(state: TensorDict, where: str) -> TensorDict | None:
    """Return an authors' tensors under our names, where a family of another package knows them as its own.

    Raises:
        InputError: that package fails, or gives no tensors by name.
    """
    for family in FAMILIES.values():
        if family.rename is None:
            continue
        try:
            ours = family.rename(dict(state))
        except Exception as error:  # somebody else's code
            raise InputError(
                f"{where}: the package that adds {family.title} fails on it ({type(error).__name__}: "
                f"{line_of(error)}); update or remove that package"
            ) from error
        if ours is None:
            continue
        if not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in ours.items()):
            raise InputError(f"{where}: the package that adds {family.title} gives no tensors by name; update it")
        return ours
    return None


def read_safetensors(path: Path, what: str = "checkpoint") -> tuple[TensorDict, dict[str, str]]:
    """Return the tensors and the metadata of a safetensors file; `what` is its name in a message.

    Raises:
        InputError: a damaged or foreign file.
    """
    check_kind(path, what)
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            return state, file.metadata() or {}
    except Exception as error:  # the library's own error, and PyTorch's of types that it does not know
        raise InputError(
            f"{what} {str(path)!r} is damaged or no safetensors file ({line_of(error)}); fetch it again"
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
        classes = _classes(state.pop(CLASSES, None), f"checkpoint {str(path)!r}")
        state, removed = unwrapped(state, f"checkpoint {str(path)!r}")
        return Checkpoint(path, state, str(made["family"]), dict(made["config"]), classes, removed)
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"checkpoint {str(path)!r} has damaged metadata ({line_of(error)}); fetch it again") from error


def _classes(matrix: Tensor | None, where: str) -> Tensor | None:
    """Return the embeddings of labels that came with weights; refuse what are none."""
    if matrix is None:
        return None
    if matrix.ndim != 2 or not matrix.is_floating_point() or not matrix.isfinite().all():
        raise InputError(f"{where}: its embeddings of labels are no matrix of finite numbers; fetch it again")
    return matrix


def _read_pickle(path: Path) -> dict[str, Tensor]:
    where = f"checkpoint {str(path)!r}"
    # detectron2 writes {"model": ..., "optimizer": ..., "iteration": ...}, Lightning "state_dict".
    for _, state in tensors_by_name(read_pickle(path)):
        if state and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
            for name, value in state.items():
                check_tensor(name, value, where)
            return {name: value.detach() for name, value in state.items()}
    raise InputError(f"{where} holds no tensors under 'model'; give a checkpoint of the model's authors")


def write_checkpoint(
    path: Path, state: Mapping[str, Tensor], family: str, config: Mapping[str, Any], *, overwrite: bool = True
) -> None:
    """Write our safetensors with the configuration in its metadata, under a temporary name until it is whole.

    Raises:
        InputError: the file is there already, and not to be overwritten.
        OSError: the folder cannot be written, or its disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # One entry alone: the library orders several by chance, and the same weights should be the same file.
    metadata = {METADATA_KEY: json.dumps({"family": family, "config": dict(config)}, sort_keys=True)}
    try:
        with whole_file(path, overwrite=overwrite, anew=True) as partial:
            partial.touch()
            mode = partial.stat().st_mode  # what the umask gives; the library's own file is for its owner alone
            save_file({name: tensor.contiguous() for name, tensor in state.items()}, partial, metadata=metadata)
            partial.chmod(mode)
    except SafetensorError as error:
        raise OSError(f"cannot write {str(path)!r}: {line_of(error)}") from error
