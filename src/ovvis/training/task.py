"""What the loop is given: what is trained, on what, and who says how good it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer


class Batch(Protocol):
    """Some windows with what is true of them; a dataclass, so that it can be written down."""

    @property
    def origins(self) -> Sequence[object]:
        """What each window is; their text is for a person: video and frames."""

    def to(self, device: torch.device) -> Any:
        """Return the batch on a device."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is trained, and on what."""

    model: nn.Module  # whose weights count; the frozen ones lie under "clip."
    objective: nn.Module  # a batch to its weighted loss parts, a dict of scalars; holds the model
    optimizer: Optimizer  # over the weights that are trained
    schedule: Callable[[int], float]  # steps done -> factor of the learning rates
    batches: Callable[[int], Iterator[Batch]]  # windows drawn so far, by all -> this process's parts of what follows


Validate = Callable[[int], Mapping[str, float]]
"""Steps done -> figures, of which the first counts and more is better. Called in every process."""
