"""Files that PyTorch saved, read with nothing executed; and what a file is that cannot be read so."""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from ovvis.errors import InputError
from ovvis.file_kind import HEAD, foreign

_AGAIN = "fetch it again"
_PLAIN = "give a file of plain tensors from a source you trust"
_SMALL = 1 << 20  # bytes that a tensor may unfold to, as a repeated row does
_STEPS = 2_000_000  # of a pickle that are looked at
_STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "SHORT_BINSTRING", "BINSTRING", "STRING"}


def read_pickle(path: Path, what: str = "checkpoint") -> Any:
    """Return what PyTorch saved in a file, nothing executed; `what` is the file's name in a message.

    Raises:
        InputError: a truncated or foreign file, or one that tries to execute code.
    """
    check_kind(path, what)
    try:
        packed = zipfile.is_zipfile(path)
        if packed:
            _check_zip(path, what)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd dtypes and old formats, which the checks below judge
            return torch.load(path, map_location="cpu", weights_only=True, mmap=packed)
    except InputError:
        raise
    except Exception as error:  # unpickling a damaged file raises nearly anything
        raise _told(path, what, error) from error


def check_kind(path: Path, what: str) -> None:
    """Refuse what is plainly something else under a file's name: a web page, a Git LFS pointer, nothing.

    Raises:
        InputError: it is that, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise InputError(f"{what} {str(path)!r} cannot be read ({error.strerror}); check its permissions") from error
    if found := foreign(head):
        raise InputError(f"{what} {str(path)!r} is {found[0]}: {found[1]}")


def check_tensor(name: str, tensor: Tensor, where: str) -> None:
    """Refuse a tensor whose numbers do not lie in the file, or not as plain numbers.

    Raises:
        InputError: it is sparse, quantized or without values, or one stored number stands for many.
    """
    kind = "sparse" if tensor.layout != torch.strided else "quantized" if tensor.is_quantized else ""
    if tensor.is_meta:
        kind = "without values"
    if kind:
        raise InputError(f"{where}: tensor {name!r} is {kind}; save it as plain numbers")
    bytes_ = tensor.numel() * tensor.element_size()
    if bytes_ > max(tensor.untyped_storage().nbytes(), _SMALL):
        raise InputError(
            f"{where}: tensor {name!r} declares {tensor.numel():,} numbers, more than the file holds of it; save it "
            "with .contiguous(), or fetch it again"
        )


def line_of(error: BaseException) -> str:
    """Return the first line of an error, shortened and without a terminal's colours."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return lines[0][:120] if lines else type(error).__name__


@dataclass
class _Asked:
    """What a pickle would do, from its steps."""

    classes: list[str] = field(default_factory=list)  # that it asks for, in order
    words: set[str] = field(default_factory=set)  # short texts in it
    whole: bool = False


def _told(path: Path, what: str, error: Exception) -> InputError:
    """Return the error that says what a file is that PyTorch does not open."""
    where = f"{what} {str(path)!r}"
    asked = _ask(path)
    if asked.whole and any(name.startswith(("numpy", "_codecs")) for name in asked.classes):
        if {"model", "__author__"} <= asked.words or "matching_heuristics" in asked.words:
            return InputError(
                f"{where} is a pickle of numpy arrays from detectron2's model zoo, which is opened by executing code "
                "and holds no model of this package; give a .pth of the model's authors"
            )
        if not any(name.startswith("torch") for name in asked.classes):
            return InputError(
                f"{where} is a pickle of numpy arrays, which is opened by executing code ({asked.classes[0]}); save "
                "tensors with torch.save, or an array with numpy.save"
            )
    named = re.search(r"GLOBAL\s+([\w.]+)|Unsupported class\s+([\w.]+)", str(error))
    unsafe = named[1] or named[2] if named else next(iter(asked.classes), None)
    unsafe = next((name for name in asked.classes if name.endswith(f".{unsafe}")), unsafe)  # PyTorch drops "builtins"
    if isinstance(error, pickle.UnpicklingError) and (named or (asked.whole and unsafe)):
        return InputError(f"{where} is refused: opening it would execute code (it asks for {unsafe}); {_PLAIN}")
    if asked.whole and not asked.classes:
        return InputError(f"{where} is no PyTorch file (it is a pickle that holds no tensors); {_AGAIN}")
    if isinstance(error, KeyError) or "Unsupported operand" in str(error):  # PyTorch's advice would mislead
        return InputError(f"{where} is truncated or no PyTorch file (it holds no tensors); {_AGAIN}")
    reason = "cut off in its middle" if "Weights only load failed" in str(error) else line_of(error)
    return InputError(f"{where} is truncated or no PyTorch file ({reason}); {_AGAIN}")


def _check_zip(path: Path, what: str) -> None:
    """Refuse a zip that PyTorch did not save, and one whose parts are packed: PyTorch stores them as they are."""
    where = f"{what} {str(path)!r}"
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if any(re.fullmatch(r"[^/]*/(code/.*|constants\.pkl)", name) for name in names):
        raise InputError(
            f"{where} is a TorchScript archive, a program; give the weights alone, saved with "
            "torch.save(model.state_dict(), ...)"
        )
    if names and all(name.endswith(".npy") for name in names):
        raise InputError(f"{where} is an .npz of numpy arrays, and must be of tensors; save them with torch.save")
    if not any(re.fullmatch(r"[^/]*/data\.pkl", name) for name in names):
        first = names[0][:60] if names else "nothing"
        raise InputError(f"{where} is a zip ({first!r} in it) and no PyTorch file; unpack it and give the file inside")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise InputError(f"{where} is a PyTorch file that was packed again; unpack it, or {_AGAIN}")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise InputError(f"{where} declares more than it holds; {_AGAIN}")


def _ask(path: Path) -> _Asked:
    """Return what a file's pickle asks for; nothing of it is executed."""
    asked = _Asked()
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                with archive.open(name) as file:
                    _note_steps(_Bounded(file, archive.getinfo(name).file_size), asked)
        else:
            with path.open("rb") as file:
                _note_steps(_Bounded(file, path.stat().st_size), asked)
    except Exception:  # as far as it can be read
        asked.whole = False
    return asked


def _note_steps(file: _Bounded, asked: _Asked) -> None:
    recent: list[str] = []  # texts, the last ones last
    memo: dict[int, str] = {}
    last: str | None = None
    for count, (step, value, _) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]
        if count > _STEPS:
            return
        if step.name in ("GLOBAL", "INST"):
            asked.classes.append(".".join(str(value).split()).replace("__builtin__.", "builtins."))
        elif step.name == "STACK_GLOBAL":
            asked.classes.append(".".join(recent[-2:]))
        elif step.name in _STRINGS:
            last = str(value)
            recent = [*recent[-1:], last]
            if len(last) < 64 and len(asked.words) < 10_000:
                asked.words.add(last)
            continue
        elif step.name == "MEMOIZE" or step.name.endswith("PUT"):
            if last is not None:
                memo[len(memo) if value is None else int(value)] = last
                continue
            if value is None:
                memo[len(memo)] = ""
        elif step.name.endswith("GET") and (known := memo.get(int(str(value)))):
            recent = [*recent[-1:], known]
        last = None
    asked.whole = True


class _Bounded:
    """A file that is not asked for more than it holds, whatever a pickle says: a length costs memory first."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def read(self, count: int = -1) -> bytes:
        if count > self._left:
            raise ValueError("more than the file holds")
        data = self._file.read(count)
        self._left -= len(data)
        return data

    def readline(self) -> bytes:
        data = self._file.readline(10_000)
        self._left -= len(data)
        return data


def tensors_by_name(content: Any) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield the parts of a saved content that may be weights, with the keys that they lie under; "" for itself."""
    if isinstance(content, Mapping):
        for key in ("model", "state_dict", "model_state_dict", "module", "model_ema", "ema", "ema_state_dict"):
            if isinstance(content.get(key), Mapping):
                yield key, content[key]
        yield "", content
