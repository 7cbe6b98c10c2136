"""Following, naming and masks need float32, whatever the caller computes in."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import TypeVar

import torch

Shown = TypeVar("Shown")


def exactly(device: torch.device) -> ExitStack:
    """Keep an autocast around the segmenter out of it: following, naming and masks need float32.

    How the network computes is the model's: its weights' type, or what its forward sets up for itself.
    """
    stack = ExitStack()
    for kind in {"cpu", device.type}:
        stack.enter_context(torch.autocast(kind, enabled=False))
    return stack


def apart(frames: Generator[Shown], device: torch.device) -> Iterator[Shown]:
    """Yield frames that are made apart from the caller's autocast; within the caller's own code it stays on."""
    try:
        while True:
            with exactly(device):
                found = next(frames, None)
            if found is None:
                return
            yield found
    finally:
        frames.close()
