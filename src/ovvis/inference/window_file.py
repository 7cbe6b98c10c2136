"""What the network says of a stretch of windows, in a file: all that following, naming and masks want of it.

A file is read window by window, so that whoever follows a video holds one of them. Masks are in it as the records keep
them (`mask_code.py`), everything else as it is, so that what is made of it is the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from ovvis.inference.lost import LostWindowsError
from ovvis.inference.mask_code import MaskCode
from ovvis.inference.seen import Seen
from ovvis.inference.stopwatch import Stopwatch
from ovvis.structures import Frame, Prediction, Window

_LENGTH = 8  # bytes before each record that say how long it is
_NONE = np.zeros((0, 0, 3), np.uint8)  # in the place of an image that nobody asks for


class _Head(msgspec.Struct, tag="windows 1"):
    key: str  # what made it, and of which frames


class _Array(msgspec.Struct):
    kind: str  # PyTorch's name of the type
    shape: tuple[int, ...]
    data: bytes


class _Masks(msgspec.Struct):
    shape: tuple[int, int]
    slots: bytes
    signs: bytes
    values: bytes
    starts: bytes


class _Kept(msgspec.Struct, tag="window"):
    indices: list[int]  # of the frames
    times: list[float]
    size: tuple[int, int]  # of the network's input, without padding
    arrays: dict[str, _Array]
    masks: list[_Masks]  # a frame each


class _End(msgspec.Struct, tag="end"):
    seconds: dict[str, float]  # of each stage


_RECORDS = msgspec.msgpack.Decoder(_Head | _Kept | _End)


def write_windows(
    path: Path,
    key: str,
    windows: Iterable[tuple[Window, Seen]],
    watch: Stopwatch,
    on_frame: Callable[[int], None] = lambda _: None,
) -> int:
    """Write what the network says of windows, and return of how many frames.

    Args:
        path: the file.
        key: says what makes it: the reader wants the same.
        windows: in order.
        watch: takes the time; what the stages took is written at the end.
        on_frame: called with the number of frames done.
    """
    frames = 0
    with path.open("wb") as file:
        _write(file, _Head(key))
        for window, seen in windows:
            with watch("tubes"):
                _write(file, _kept(window, seen))
            frames += len(window.frames)
            on_frame(frames)
        _write(file, _End(watch.seconds))
    return frames


def read_windows(
    path: Path, key: str, device: torch.device, logit_scale: float, spent: dict[str, float]
) -> Iterator[tuple[Window, Seen]]:
    """Yield each window of a file, without its pixels, and what the network said of it.

    Args:
        path: the file.
        key: as it was written.
        device: where the numbers are wanted.
        logit_scale: see `Seen`.
        spent: what the stages took is added to it at the end.

    Raises:
        LostWindowsError: it is another file, or not whole.
    """
    with path.open("rb") as file:
        head = _read(file, path)
        if not isinstance(head, _Head) or head.key != key:
            raise LostWindowsError(f"{path} is of other frames, or made in another way: remove it")
        while isinstance(record := _read(file, path), _Kept):
            yield _restored(record, device, logit_scale)
        if not isinstance(record, _End):
            raise LostWindowsError(f"{path} is not as it was written: remove it")
    for stage, seconds in record.seconds.items():
        spent[stage] = spent.get(stage, 0.0) + seconds


def _kept(window: Window, seen: Seen) -> _Kept:
    seen.check()
    ious = seen.prediction.mask_ious
    tensors = {
        "embeddings": seen.prediction.embeddings[0],
        "logits": seen.logits,
        "objects": seen.object_logits,
        "confidence": seen.confidence,
        "pixels": seen.pixels,
        **({} if ious is None else {"ious": ious[0].float()}),
        **({} if seen.vectors is None else {"vectors": seen.vectors}),
    }
    return _Kept(
        [frame.index for frame in window.frames],
        [frame.time for frame in window.frames],
        window.image_size,
        {name: _array(x) for name, x in tensors.items()},
        [_Masks(c.shape, c.slots.tobytes(), c.signs, c.values.tobytes(), c.starts.tobytes()) for c in seen.packed()],
    )


def _restored(kept: _Kept, device: torch.device, logit_scale: float) -> tuple[Window, Seen]:
    found = {name: _tensor(array).to(device) for name, array in kept.arrays.items()}
    frames = tuple(Frame(_NONE, index, time) for index, time in zip(kept.indices, kept.times, strict=True))
    prediction = Prediction(
        mask_logits=torch.empty(1, len(found["logits"]), len(frames), 0, 0, device=device),
        object_logits=found["objects"][None],
        mask_ious=found["ious"][None] if "ious" in found else None,
        embeddings=found["embeddings"][None],
        features=None,
    )
    seen = Seen(prediction, found["logits"][None], logit_scale, found.get("vectors"))
    seen.confidence, seen.pixels = found["confidence"], found["pixels"]
    seen.codes = [
        MaskCode(
            m.shape,
            np.frombuffer(m.slots, np.int32),
            m.signs,
            np.frombuffer(m.values, np.float32),
            np.frombuffer(m.starts, np.int64),
        )
        for m in kept.masks
    ]
    return Window(torch.empty(len(frames), 3, 0, 0), kept.size, frames), seen


def _array(x: Tensor) -> _Array:
    data = x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return _Array(str(x.dtype).removeprefix("torch."), tuple(x.shape), data)


def _tensor(array: _Array) -> Tensor:
    kind: Any = getattr(torch, array.kind)
    # A copy of its own begins where PyTorch's numbers begin, whatever lay before it.
    return torch.frombuffer(bytearray(array.data), dtype=torch.uint8).clone().view(kind).view(array.shape)


def _write(file: IO[bytes], record: _Head | _Kept | _End) -> None:
    data = msgspec.msgpack.encode(record)
    file.write(len(data).to_bytes(_LENGTH, "little"))
    file.write(data)


def _read(file: IO[bytes], path: Path) -> _Head | _Kept | _End:
    length = int.from_bytes(file.read(_LENGTH), "little")
    data = file.read(length) if 0 < length < 1 << 40 else b""
    try:
        found: _Head | _Kept | _End = _RECORDS.decode(data)
    except msgspec.MsgspecError as error:
        raise LostWindowsError(f"{path} is not as it was written ({error}): remove it") from error
    return found
