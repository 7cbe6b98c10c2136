"""The tracker: keeps identities from window to window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ovvis.tracking.association import Match, Order, cosine_cost, match, presence_cost, vote

_NEW_NAMES = 0.2  # share of a new window in the names by which a tube is known
_SEEN = 0.5  # object score from which a query shows its tube


def compare(old: Tensor, new: Tensor) -> Match:
    """Return how a window's embeddings (Q, D) go with an older one's."""
    return match(cosine_cost(old, new))


class Tracker:
    """Puts the queries of each window into tube order.

    One tracker, several published ways: memory 9, matched 5 is CLIP-VIS's temporal top-K matching; memory 1,
    matched 1 is plain matching of adjacent windows (MinVIS); `momentum` makes it long-term matching against a
    running embedding (OV2Seg, OVFormer image-trained: 0.7).

    Args:
        memory: T, the number of windows remembered, at least 1.
        matched: K, how many of them vote, from 1 to T.
        recency_weighted: see `association.vote`.
        momentum: share of the newest embedding in a running mean that stands for all windows before; in (0, 1].
            None remembers the windows themselves. With a momentum the memory is one slot.
        birth: cosine distance from which an object is another than a tube's, so that the tube is hidden and the object
            begins a tube of its own; a hidden tube remembers what it was when it was seen. In (0, 2]; None lets every
            tube go on in every window, as released.
        names: share of the names in what an object is known by again, beside its embedding: the distance is then
            (1 - names) x that of the embeddings + names x that of the names, which a tube has as a running mean. In
            [0, 1); 0 asks for none, as released.
        match: compares a remembered window's embeddings with a new one's; a `SharedMatches` where several trackers see
            the same windows.

    Raises:
        ValueError: a number outside its range.
    """

    def __init__(
        self,
        memory: int = 9,
        matched: int = 5,
        recency_weighted: bool = True,
        momentum: float | None = None,
        birth: float | None = None,
        names: float = 0.0,
        match: Callable[[Tensor, Tensor], Match] = compare,
    ) -> None:
        if memory < 1 or not 1 <= matched <= memory:
            raise ValueError(f"memory {memory}, matched {matched}: both at least 1, matched at most memory")
        if momentum is not None and not 0 < momentum <= 1:
            raise ValueError(f"momentum {momentum}: it must lie above 0 and at most at 1")
        if birth is not None and not 0 < birth <= 2:
            raise ValueError(f"birth {birth}: a cosine distance above 0 and at most 2")
        if not 0 <= names < 1:
            raise ValueError(f"names {names}: a share from 0 to below 1")
        self.momentum, self.birth, self.names = momentum, birth, names
        self.matched = matched if momentum is None else 1
        self.recency_weighted = recency_weighted
        self._match = match
        self._width = 0  # of the embeddings, without the names behind them
        self._slots: deque[_Slot] = deque(maxlen=memory if momentum is None else 1)

    def update(self, embeddings: Tensor, objects: Tensor, names: Tensor | None = None) -> Tensor:
        """Take the next window and return its tube order (Q,), int64, on the CPU.

        Slot q of the order is the query that continues tube q. The first window defines the tubes.

        Args:
            embeddings: Q, D; of the window's queries.
            objects: Q; their object scores, in [0, 1]; looked at with `birth` alone.
            names: Q, N; how they are named, of unit length; only for a tracker that knows objects by their names.

        Raises:
            ValueError: the tracker knows objects by names, and there are none.
        """
        self._width = width = embeddings.shape[-1]
        if self.names:
            if names is None:
                raise ValueError("a tracker that knows objects by their names is to be given them")
            # One vector, whose cosine is the weighted mean of both cosines.
            parts = F.normalize(embeddings.float(), dim=-1), names.to(embeddings.device, torch.float32)
            embeddings = torch.cat([(1 - self.names) ** 0.5 * parts[0], self.names**0.5 * parts[1]], -1)
        if not self._slots:
            order = np.arange(len(embeddings))
        else:
            matches = [self._compare(slot, embeddings, objects) for slot in self._slots]
            order = vote(matches, self.matched, self.recency_weighted)
        result = torch.from_numpy(order)
        if self.momentum is None and self.birth is None and not self.names:
            self._slots.append(_Slot(embeddings, objects, order))
        else:
            self._slots.append(self._carried(embeddings, objects, result.to(embeddings.device), width))
        return result

    def _compare(self, slot: _Slot, embeddings: Tensor, objects: Tensor) -> Match:
        """Return how a new window's queries go with a remembered window's tubes."""
        embeddings = embeddings[:, : slot.embeddings.shape[-1]]  # no names, where those of the slot were forgotten
        if self.birth is None:
            return self._match(slot.embeddings, embeddings).in_order(slot.order)
        # Slots that are carried are in tube order.
        cost = cosine_cost(slot.embeddings, embeddings)
        return match(presence_cost(cost, slot.objects, objects, self.birth))

    def _carried(self, embeddings: Tensor, objects: Tensor, order: Tensor, width: int) -> _Slot:
        """Return a new window in tube order, with what the tubes carry on from the windows before.

        Behind the first `width` numbers of the embeddings stand the names.
        """
        embeddings, objects = embeddings[order].float(), objects[order]  # a running mean is not rounded in each window
        if self._slots:
            last = self._slots[-1]
            nameless = embeddings.shape[-1] - last.embeddings.shape[-1]
            last = replace(last, embeddings=F.pad(last.embeddings, (0, nameless)))
            if self.momentum is not None:
                embeddings = self.momentum * embeddings + (1 - self.momentum) * last.embeddings
            elif self.names:
                known = last.embeddings[:, width:].lerp(embeddings[:, width:], _NEW_NAMES)
                known = self.names**0.5 * F.normalize(known, dim=-1)
                begun = (last.objects < _SEEN)[:, None]  # now, or not yet
                known = torch.where(begun, embeddings[:, width:], known)
                embeddings = torch.cat([embeddings[:, :width], known], -1)
            if self.birth is not None:
                hidden = (objects < _SEEN) & (objects < last.objects)
                embeddings = torch.where(hidden[:, None], last.embeddings, embeddings)
                objects = torch.where(hidden, last.objects, objects)
        return _Slot(embeddings, objects, np.arange(len(order)))

    def let_go(self, tubes: Sequence[int]) -> None:
        """Forget what was in some tubes, so that any object may begin in their place; for streams that never end.

        Only a tracker with births remembers hidden tubes; the others have forgotten them by themselves.
        """
        if self.birth is not None:
            for slot in self._slots:
                slot.objects[list(tubes)] = 0

    def forget_names(self) -> None:
        """Forget how tubes are named: from the next window on the names are those of another vocabulary."""
        if self.names:
            bare = [replace(slot, embeddings=slot.embeddings[:, : self._width]) for slot in self._slots]
            self._slots = deque(bare, self._slots.maxlen)

    def reset(self) -> None:
        """Forget everything: the next window begins another video."""
        self._slots.clear()


@dataclass(frozen=True, slots=True)
class _Slot:
    """A window in the memory."""

    embeddings: Tensor  # Q, D; as the network gave them, or carried, in tube order
    objects: Tensor  # Q; object scores of the same queries
    order: Order  # Q; the query of each tube
