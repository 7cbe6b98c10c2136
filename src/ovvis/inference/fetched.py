"""Numbers on their way from a device: asked for now, read later, so that neither side waits for the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")
_ALIGNED = 16  # bytes; where each tensor begins among the bytes of all


class Fetched:
    """Tensors of a device as they will be on the CPU; one copy for all of them, waited for when the first is read.

    From a CUDA device the copy goes into pinned memory and runs behind what was launched before it; other devices are
    waited for at once. What lies on the CPU is taken as it is.

    Args:
        tensors: all on one device.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._here = dict(tensors)
        self._event: torch.cuda.Event | None = None
        self._bytes: Tensor | None = None
        device = next(iter(tensors.values())).device
        if device.type == "cpu":
            return
        packed = torch.cat([_as_bytes(x) for x in tensors.values()])
        if device.type == "cuda":
            self._bytes = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=True)
            self._bytes.copy_(packed, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(device))
        else:
            self._bytes = packed.cpu()
        self._shapes = {name: (x.shape, x.dtype) for name, x in tensors.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._here

    def __getitem__(self, name: str) -> Tensor:
        if self._bytes is not None:
            if self._event is not None:
                self._event.synchronize()
            self._here, self._bytes, self._event = _unpacked(self._bytes, self._shapes), None, None
        return self._here[name]


def _as_bytes(x: Tensor) -> Tensor:
    """Return a tensor's bytes, and as many more as make the next begin where it may."""
    flat = x.detach().contiguous().reshape(-1).view(torch.uint8)
    return torch.nn.functional.pad(flat, (0, -len(flat) % _ALIGNED))


def _unpacked(packed: Tensor, shapes: Mapping[str, tuple[torch.Size, torch.dtype]]) -> dict[str, Tensor]:
    found, start = {}, 0
    for name, (shape, dtype) in shapes.items():
        length = prod(shape) * dtype.itemsize
        found[name] = packed[start : start + length].view(dtype).view(shape)
        start += length + -length % _ALIGNED
    return found


def sent(x: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU on a device, without waiting for what runs there."""
    if device.type == "cuda":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)


def late(items: Iterable[Item], count: int) -> Iterator[Item]:
    """Yield items `count` later than they come: what each has begun goes on meanwhile.

    >>> came = []
    >>> [(x, len(came)) for x in late((came.append(x) or x for x in "abc"), 1)]
    [('a', 2), ('b', 3), ('c', 3)]
    """
    waiting: deque[Item] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting
