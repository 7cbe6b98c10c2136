"""Tubes of a stream that never ends: each has an id while its object is there, and is let go when it is long gone.

The network has Q slots for all time. A slot's object changes over the hours, so the slot's number is no identity: an id
is given when an object is first shown, is never given twice, and ends with the object. What a tube is named by are
means that reach back a bounded number of windows, so that a name of an hour ago does not outweigh what is seen now.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ovvis.errors import InputError
from ovvis.inference import scoring
from ovvis.inference.seen import Seen
from ovvis.models.settings import VideoSettings


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """How identities live and end in a stream.

    Raises:
        InputError: a number outside its range.
    """

    forget: float = 10.0  # seconds without its object after which a tube is let go; what comes later has a fresh id
    seen: float = 0.5  # object score from which a query shows its tube
    other: float = 0.25  # cosine distance from what a tube was when last seen, from which an object is another; 2: none
    horizon: int = 300  # windows that the means of names, scores and mask quality reach back

    def __post_init__(self) -> None:
        for name, value, good, rule in (
            ("forget", self.forget, self.forget > 0, "seconds above 0"),
            ("seen", self.seen, 0 <= self.seen <= 1, "an object score in [0, 1]"),
            ("other", self.other, 0 < self.other <= 2, "a cosine distance above 0 and at most 2"),
            ("horizon", self.horizon, self.horizon >= 1, "at least 1 window"),
        ):
            if not good:
                raise InputError(f"{name} {value:g}: it must be {rule}")


class LiveTubes:
    """What is known of the objects in Q slots; its memory is the same after a minute and after a month.

    Args:
        settings: how scores are made.
        live: how identities live and end.
    """

    def __init__(self, settings: VideoSettings, live: LiveSettings) -> None:
        self._settings, self._live = settings, live
        self._next = 1  # the next id
        self._ids = torch.zeros(0, dtype=torch.int64)  # Q; 0: none yet

    def add(self, seen: Seen, order: Tensor, time: float) -> list[int]:
        """Take the next window; return the slots whose tubes were let go.

        Args:
            seen: the window.
            order: Q; the query that continues each tube.
            time: of the window, in seconds; it never goes back.
        """
        here = order.to(seen.objects.device)
        look = F.normalize(seen.prediction.embeddings[0].float(), dim=-1)[here].cpu()
        scores, logits = seen.scores(self._settings)[here].cpu(), seen.object_logits[here].cpu()
        confidence, pixels = seen.confidence.sum(1)[here].cpu(), seen.pixels.sum(1)[here].cpu().float()
        if not len(self._ids):
            self._start(len(order), look.shape[1])
        if self._scores.shape[1] != scores.shape[1]:
            self.forget_names(scores.shape[1])
        self._present = (seen.objects[here].cpu() >= self._live.seen) & (pixels > 0)
        known = self._windows > 0
        gone = known & (time - self._seen_at > self._live.forget)
        another = known & self._present & (1 - (look * self._look).sum(-1) > self._live.other)
        self._end(gone | another)
        taken = self._present
        self._windows += taken.long()
        self._named += taken.long()
        share = 1 / self._windows.clamp(1, self._live.horizon)
        newest = 1 / self._named.clamp(1, self._live.horizon)
        for mean, value, weight in (
            (self._scores, scores, newest[:, None]),
            (self._objects, logits, share[:, None]),
            (self._confidence, confidence, share),
            (self._pixels, pixels, share),
        ):
            mean[taken] += (weight * (value - mean))[taken]
        self._look[taken] = look[taken]
        self._seen_at[taken] = time
        return torch.nonzero(gone).flatten().tolist()

    def forget_names(self, labels: int) -> None:
        """Begin the means of names anew, of a vocabulary of K labels (and its "none", where that is learnt)."""
        self._scores = torch.zeros(len(self._ids), labels)
        self._named = torch.zeros_like(self._windows)

    def shown(self, least: float, most: int) -> list[tuple[int, int, float]]:
        """Return the slots that show an object in the window added last, best first, each with label and score.

        Args:
            least: score from which one is shown.
            most: number of slots.
        """
        scores, labels = scoring.video_scores(self._scores, self._objects, self._settings).max(1)
        if self._settings.mask_quality:
            scores = scores * self._confidence / (self._pixels + 1e-6)
        good = self._present & (scores >= least)
        best = torch.where(good, scores, -1.0).argsort(descending=True)[: min(int(good.sum()), most)]
        return [(q, int(labels[q]), float(scores[q])) for q in best.tolist()]

    def id_of(self, slot: int) -> int:
        """Return the id of what a slot shows: a fresh one where it has none yet."""
        if not self._ids[slot]:
            self._ids[slot] = self._next
            self._next += 1
        return int(self._ids[slot])

    @property
    def given(self) -> int:
        """The number of ids given so far."""
        return self._next - 1

    def _start(self, slots: int, width: int) -> None:
        self._ids = torch.zeros(slots, dtype=torch.int64)
        self._windows = torch.zeros(slots, dtype=torch.int64)  # in which the tube's object was seen
        self._named = torch.zeros(slots, dtype=torch.int64)  # those since the vocabulary was changed
        self._seen_at = torch.zeros(slots, dtype=torch.float64)
        self._look = torch.zeros(slots, width)  # the embedding when it was seen last
        self._scores = torch.zeros(slots, 0)
        self._objects = torch.zeros(slots, 2)
        self._confidence, self._pixels = torch.zeros(slots), torch.zeros(slots)
        self._present = torch.zeros(slots, dtype=torch.bool)

    def _end(self, tubes: Tensor) -> None:
        """End the tubes of some slots (Q; bool): what comes there next is new."""
        for kept in (self._ids, self._windows, self._named, self._scores, self._objects, self._confidence):
            kept[tubes] = 0
        self._pixels[tubes] = 0
