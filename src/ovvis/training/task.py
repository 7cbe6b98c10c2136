"""What the loop is given: what is trained, on what, and who says how good it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer


class Batch(Protocol):
    """Some windows with what is true of them; a dataclass, so that it can be written down."""

    @property
    def origins(self) -> Sequence[object]:
        """What each window is; their text is for a person: video and frames."""

    def to(self, device: torch.device) -> Any:
        """Return the batch on a device."""


Losses = dict[str, Tensor]
"""The weighted parts of a loss, scalars without gradient."""

Picture = tuple[str, NDArray[np.uint8]]
"""A name, and an image (H, W, 3; RGB)."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is trained, and on what."""

    model: nn.Module  # whose weights count; the frozen ones lie under "clip."
    objective: nn.Module  # a batch to its loss and the parts of it, a dict of scalars; holds the model
    optimizer: Optimizer  # over the weights that are trained
    schedule: Callable[[int], float]  # steps done -> factor of the learning rates
    batches: Callable[[int], Iterator[Batch]]  # windows drawn so far, by all -> this process's parts of what follows
    data: tuple[str, ...] = ()  # what each dataset is, as text: a run that goes on must find the same
    pictures: Callable[[], Iterable[Picture]] = tuple  # what the model sees now, for people; in the first process


Validate = Callable[[int], Mapping[str, float]]
"""Steps done -> figures, of which the first counts and more is better. Called in every process."""
