"""Arrays of numbers in `.npy` and `.npz` files: what a header declares is looked at before memory is asked for."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from ovvis.errors import InputError

MOST_NUMBERS = 1 << 27  # 512 MiB in float32
MAGIC, ZIP = b"\x93NUMPY", b"PK\x03\x04"
_NAMES = ("labels", "names", "classes")  # arrays of texts beside the matrix of an .npz


def read_npy(path: Path, where: str, rule: str) -> Tensor:
    """Return the array of an `.npy` file, in float32.

    Args:
        path: the file.
        where: what it is, for the error.
        rule: what it must be; ends the error.

    Raises:
        InputError: it holds no numbers, fewer than it declares, or more than the bound.
    """
    try:
        with path.open("rb") as file:
            return _numbers(_array(file, path.stat().st_size))
    except Exception as error:  # numpy's reader of headers raises nearly anything
        raise _refused(error, where, rule) from error


def read_npz(path: Path, where: str, rule: str, wanted: str) -> tuple[Tensor, tuple[str, ...] | None]:
    """Return the matrix of an `.npz` file, in float32, and the names of its rows where it has them.

    Args:
        path: the file.
        where: what it is, for the error.
        rule: what it must be; ends the error.
        wanted: the matrix's name, where there are several.

    Raises:
        InputError: it holds no matrix or several, or more numbers than the bound.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            names = next((name for name in _NAMES if name in entries), None)
            others = [name for name in entries if name != names]
            chosen = wanted if wanted in entries else others[0] if len(others) == 1 else None
            if chosen is None:
                raise InputError(f"{where} holds {len(others)} arrays, none of them called {wanted!r}; {rule}")
            with archive.open(entries[chosen]) as file:
                matrix = _numbers(_array(file, entries[chosen].file_size))
            if names is None:
                return matrix, None
            with archive.open(entries[names]) as file:
                texts = _array(file, entries[names].file_size)
            if texts.ndim != 1 or texts.dtype.kind != "U":
                raise InputError(f"{where}: its {names!r} are no list of names; make the file again")
            return matrix, tuple(str(text) for text in texts)
    except InputError:
        raise
    except Exception as error:  # a damaged zip makes its readers raise nearly anything
        raise _refused(error, where, rule) from error


def _array(file: IO[bytes], size: int) -> NDArray[Any]:
    """Return the array of an open `.npy` file of a stated size."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):  # 3.0 is for records with names
        raise ValueError(f"version {version[0]}.{version[1]} of the format is not of plain numbers")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, kind = read(file)
    if kind.hasobject:
        raise ValueError("it holds Python objects, which are read by executing code")
    if any(side < 0 for side in shape):
        raise ValueError(f"its shape is {shape}")
    count = math.prod(shape)
    if count * kind.itemsize > size:
        raise ValueError(f"it declares {count:,} values of {kind.itemsize} bytes, more than the file holds")
    if count > MOST_NUMBERS:
        raise ValueError(f"it holds {count:,} values, of {MOST_NUMBERS:,} that are read")
    data = file.read(count * kind.itemsize)
    if len(data) < count * kind.itemsize:
        raise ValueError(f"it declares {count:,} values of {kind.itemsize} bytes, more than the file holds")
    array = np.frombuffer(data, dtype=kind, count=count)
    return array.reshape(shape, order="F" if fortran else "C")


def _numbers(array: NDArray[Any]) -> Tensor:
    if array.dtype.kind not in "fiu":
        raise ValueError(f"its values are of type {array.dtype}")
    with np.errstate(all="ignore"):  # what float32 cannot hold becomes infinite, which whoever asked refuses
        return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


def _refused(error: Exception, where: str, rule: str) -> InputError:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
    return InputError(f"{where} is no array of numbers ({line}); {rule}")
