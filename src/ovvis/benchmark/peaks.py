"""The most memory that a process holds in each stage of its work."""

from __future__ import annotations

import torch

from ovvis.held_memory import mark_held, most_held_since


class StagePeaks:
    """Tells for each stage how much memory was held in it at most, above what was held before the first.

    Of a GPU it is what PyTorch holds there; else the process's resident memory, which Linux alone tells of a part of
    its life. A stage that runs within another counts for both.

    Args:
        device: where the work is done.

    Attributes:
        mib: of each stage.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._open: list[str] = []
        self.mib: dict[str, float] = {}
        self._peak()
        self._base = self._peak()

    def begin(self, stage: str) -> None:
        """Enter a stage."""
        self._take()
        self._open.append(stage)

    def end(self) -> None:
        """Leave the stage that was entered last."""
        self._take()
        self._open.pop()

    def _take(self) -> None:
        most = self._peak() - self._base
        for stage in self._open:
            self.mib[stage] = max(self.mib.get(stage, 0.0), most)

    def _peak(self) -> float:
        """Return the most that was held since the last call."""
        if self._device.type == "cuda":
            most = torch.cuda.max_memory_allocated(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
            return most / 2**20
        held = most_held_since() or 0
        mark_held()
        return held / 2**20


def can_tell(device: torch.device) -> bool:
    """Return whether the memory of stages can be told here."""
    return device.type == "cuda" or mark_held()
