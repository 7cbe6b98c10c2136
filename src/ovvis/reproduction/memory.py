"""The most memory that the process holds while something runs, without what it held before and has freed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ovvis.held_memory import mark_held, most_held_since


@dataclass(slots=True)
class Peak:
    """What `peak_memory` found."""

    bytes: int | None = None  # of the GPU if one is used; None where the system does not tell


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Measure the block; the figure is there when it ends. On a CPU it takes Linux, and holds the whole process."""
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated(device)
        return
    known = mark_held()
    yield peak
    if known:
        peak.bytes = most_held_since()
