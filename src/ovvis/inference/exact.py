"""Following, naming and masks need float32, whatever the caller computes in."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from typing import TypeVar

import torch

from ovvis.inference.stopwatch import made_within

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
    with closing(frames):
        yield from made_within(lambda: exactly(device), frames)
