"""A learnt tracker: the state of one video, around a network that has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ovvis.structures import Prediction
from ovvis.tracking.tracker import Tracker

Step = Callable[[Prediction, Tensor, Tensor | None], tuple[Prediction, Tensor]]


class LearntTracker:
    """Gives back each window with its queries in tube order, and as a network sees them then.

    It changes what is seen, masks and names too, so it stands between the network and whoever names queries. Behind it
    the order of the tubes is that of the queries (`InOrder`). Its memory is the last window's, whatever the length of
    the video.

    Args:
        step: the tracker's network: a window's prediction, its order by the match, and what it gave for the window
            before, to the prediction in tube order and what it wants to be given next.
        match: the match of the embeddings that comes first; forgotten by `reset` likewise.
    """

    def __init__(self, step: Step, match: Tracker) -> None:
        self._step, self._match = step, match
        self._last: Tensor | None = None

    def update(self, prediction: Prediction) -> Prediction:
        """Take the next window, a batch of one, and return it in tube order. The first window defines the tubes."""
        return self.follow(prediction, self.match(prediction.embeddings[0]))

    def match(self, embeddings: Tensor) -> Tensor:
        """Return the order (Q,), int64, on the CPU, of the next window's queries by the match of embeddings alone.

        What the network gives is not looked at, so that matching may run ahead of it; then `follow` takes the window.

        Args:
            embeddings: Q, D; the window's, wherever they lie.
        """
        return self._match.update(embeddings, torch.ones(len(embeddings), device=embeddings.device))

    def follow(self, prediction: Prediction, order: Tensor) -> Prediction:
        """Return the window that `match` gave an order (Q,) for, in tube order."""
        followed, self._last = self._step(prediction, order, self._last)
        return followed

    def reset(self) -> None:
        """Forget everything: the next window begins another video."""
        self._match.reset()
        self._last = None


class InOrder:
    """A tracker of queries that come in tube order."""

    def update(self, embeddings: Tensor, objects: Tensor, names: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Return the tube order (Q,), int64, of a window's queries (Q, D), as `Tracker.update` does."""
        return torch.arange(len(embeddings))

    def let_go(self, tubes: Sequence[int]) -> None:
        """Forget nothing: what follows tubes is the network before it."""

    def forget_names(self) -> None:
        """Forget nothing: names are not looked at."""

    def reset(self) -> None:
        """Forget nothing."""
