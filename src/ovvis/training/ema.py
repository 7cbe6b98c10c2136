"""A running mean of the weights in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Ema:
    """The exponential moving mean of the weights of a module that are trained. Frozen weights cost nothing.

    Args:
        module: whose weights; its buffers are left alone.
        decay: share of the old mean that stays in a step, between 0 and 1.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._weights = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
        self._means = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self._average = get_ema_multi_avg_fn(decay)

    @torch.no_grad()
    def update(self) -> None:
        """Move the mean towards the weights as they are now."""
        self._average(list(self._means.values()), list(self._weights.values()), 0)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the module have the mean's weights within the block."""
        kept = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self._copy(self._means, self._weights)
        try:
            yield
        finally:
            self._copy(kept, self._weights)

    def state(self) -> dict[str, Tensor]:
        """Return the mean under the weights' names."""
        return dict(self._means)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take a mean that `state` gave."""
        self._copy(state, self._means)

    @staticmethod
    @torch.no_grad()
    def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
        for name, weight in target.items():
            weight.copy_(source[name])
