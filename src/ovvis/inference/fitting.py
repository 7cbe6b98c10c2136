"""How many windows go through the network together: what pays, as far as the device's memory holds it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from typing import Protocol
from weakref import WeakKeyDictionary

import torch

from ovvis.models.export.exported import AnyModel
from ovvis.structures import Prediction, Window

MOST = 8  # windows: beyond that a launch costs little beside its work
MOST_PIXELS = 4 << 20  # of all frames of a batch; eight of 480p or four of 720p keep a GPU busy
SHARE = 0.6  # of the free memory; the rest is for what is made of a batch, and for others on the device

_NEEDS: WeakKeyDictionary[AnyModel, dict[tuple[int, ...], int]] = WeakKeyDictionary()
"""Bytes that a window of each shape takes."""

_log = logging.getLogger(__name__)

Batch = tuple[Window, ...]


class Memory(Protocol):
    """What a device says of its memory, in bytes."""

    def begin(self) -> int:
        """Begin to watch, and return what is held."""

    def peak(self) -> int:
        """Return the most that was held since."""

    def free(self) -> int:
        """Return what may still be taken."""

    def give_back(self) -> None:
        """Let go of what is kept for reuse."""


class CudaMemory:
    """A CUDA device's memory, as PyTorch's allocator has it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def begin(self) -> int:
        """Begin to watch, and return what is held."""
        torch.cuda.reset_peak_memory_stats(self._device)
        return torch.cuda.memory_allocated(self._device)

    def peak(self) -> int:
        """Return the most that was held since."""
        return torch.cuda.max_memory_allocated(self._device)

    def free(self) -> int:
        """Return what may still be taken: from the device, and of what the allocator keeps."""
        kept = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return torch.cuda.mem_get_info(self._device)[0] + kept

    def give_back(self) -> None:
        """Let go of what is kept for reuse."""
        torch.cuda.empty_cache()


def memory_of(device: torch.device) -> Memory | None:
    """Return what tells of a device's memory; None where nothing does."""
    return CudaMemory(device) if device.type == "cuda" else None


def usual_batch(model: AnyModel, asked: int | None) -> int | None:
    """Return the batch for a segmenter where a person may have asked for one: else the model's, or what fits."""
    return asked or (None if "batch" in model.accelerated else model.batch)


def most_windows(pixels: int) -> int:
    """Return the number of windows, a power of two, beyond which more at once gain little.

    Estimated, as no GPU was at hand to measure it.

    Args:
        pixels: of all frames of one window, as the network gets them.

    >>> most_windows(480 * 864), most_windows(736 * 1280), most_windows(5 * 480 * 864), most_windows(5 * 736 * 1280)
    (8, 4, 2, 1)
    """
    return _power(min(MOST, MOST_PIXELS / pixels))


class Fitting:
    """Runs batches whose size follows from the free memory, once the first window was measured alone.

    Where memory runs out all the same, once, the windows go one by one from there on. The sizes are powers of two, so
    that few shapes are recorded or compiled for, and a little more or less memory changes nothing.

    Args:
        memory: of the device.
        most: windows that pay.
        model: what runs; its next video with windows of this shape is not measured again, as a network whose launches
            are replayed would seem to need nothing. None remembers nothing.
        shape: of a window.
    """

    def __init__(self, memory: Memory, most: int, model: AnyModel | None = None, shape: tuple[int, ...] = ()) -> None:
        self._memory, self.most = memory, most
        self._needs = {} if model is None else _NEEDS.setdefault(model, {})
        self._shape = shape
        self.count = 1  # windows of the next batch
        if shape in self._needs:
            self._settle()

    def run(self, forward: Callable[[Batch], Prediction], batch: Batch) -> Iterator[tuple[Batch, Prediction]]:
        """Yield a batch with what a network says of it; or parts of it, where all of it was too much."""
        if self._shape not in self._needs:
            held = self._memory.begin()
            found: Prediction | None = forward(batch)
            self._needs[self._shape] = self._memory.peak() - held
            self._settle()
        else:
            found = self._tried(forward, batch)
        if found is not None:
            yield batch, found
            return
        self._memory.give_back()
        for one in batch:
            yield (one,), forward((one,))

    def _settle(self) -> None:
        """Choose the number of windows by what one of them took."""
        need, free = self._needs[self._shape], self._memory.free()
        self.count = _power(min(self.most, SHARE * free / max(need, 1)))
        _log.info(
            "accelerate batch: %d windows at once (one takes %.2f GiB, %.2f GiB are free)",
            self.count,
            need / 2**30,
            free / 2**30,
        )

    def _tried(self, forward: Callable[[Batch], Prediction], batch: Batch) -> Prediction | None:
        """Return what a network says of a batch, or None where memory runs out that is enough for one window."""
        try:
            return forward(batch)
        except torch.OutOfMemoryError:
            if self.count == 1:
                raise
        self.count, self._needs[self._shape] = 1, sys.maxsize
        _log.warning(
            "accelerate batch: the device's memory ran out with %d windows at once; they go one by one from here on",
            len(batch),
        )
        return None


def _power(most: float) -> int:
    """Return the largest power of two that is at most a number; 1 where there is none."""
    return 1 << max(int(most).bit_length() - 1, 0)
