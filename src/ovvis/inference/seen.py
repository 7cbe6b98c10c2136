"""What the network says of one window, before anyone follows or names a tube."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ovvis.errors import InputError
from ovvis.inference import scoring
from ovvis.inference.mask_code import MaskCode, pack
from ovvis.models.settings import ClassScore, VideoSettings
from ovvis.structures import Prediction
from ovvis.tracking.learnt import InOrder
from ovvis.tracking.tracker import Tracker

if TYPE_CHECKING:
    from ovvis.inference.brief import Brief

ClassKey = tuple[ClassScore, float | None]


def class_key(settings: VideoSettings) -> ClassKey:
    """Return what of the settings decides a window's class scores."""
    return settings.class_score, settings.none_logit


class Seen:
    """What the network says of one window, its queries in the network's own order.

    What the scores' settings decide is computed once for each choice, however many tubes ask for it.

    Args:
        prediction: a batch of one window.
        class_logits: 1, Q, K; with a learnt "none of these" K + 1.
        logit_scale: factor between cosine and class logit.
        vectors: Q, E; what the classifier makes the logits of, where it is that alone: see `Classifier.vectors`.
        sound: whether the network's answer is a number everywhere, as a tensor that is read with the rest; None where
            it was read already.
    """

    def __init__(
        self,
        prediction: Prediction,
        class_logits: Tensor,
        logit_scale: float,
        vectors: Tensor | None = None,
        sound: Tensor | None = None,
    ) -> None:
        self.prediction, self.sound = prediction, sound
        self.brief: Brief | None = None  # what is read back, once that has begun
        self.codes: list[MaskCode] | None = None  # of each frame, where its masks themselves are not here any more
        self._class_logits = class_logits
        self.vectors = vectors
        if prediction.object_logits is None:
            self.object_logits = scoring.object_logits(self.logits)  # Q, 2
        else:
            self.object_logits = prediction.object_logits[0].float()
        self.objects = self.object_logits.softmax(-1)[:, scoring.OBJECT]  # Q; in [0, 1]
        self.logit_scale = logit_scale
        self._classes: dict[ClassKey, Tensor] = {}
        self._scores: dict[object, Tensor] = {}

    def check(self) -> None:
        """Refuse what is no number, where that was not done yet.

        Raises:
            InputError: the network overflows.
        """
        if self.sound is not None and not bool(self.sound):
            raise overflow(self.prediction.embeddings.dtype)

    @cached_property
    def logits(self) -> Tensor:
        """The class logits (Q, K or K + 1), float32."""
        return self._class_logits[0].float()

    @cached_property
    def masks(self) -> Tensor:
        """The mask logits (Q, T, h, w), float32."""
        return self.prediction.mask_logits[0].float()

    @cached_property
    def positive(self) -> Tensor:
        """Which cells are of each mask (Q, T, h, w)."""
        return self.masks > 0

    @cached_property
    def confidence(self) -> Tensor:
        """The sum of the sigmoids of each mask's positive cells (Q, T)."""
        return self.masks.sigmoid().mul_(self.positive).flatten(2).sum(2)

    @cached_property
    def pixels(self) -> Tensor:
        """The number of each mask's positive cells (Q, T)."""
        return self.positive.flatten(2).sum(2)

    def packed(self) -> list[MaskCode]:
        """Return the masks of each frame as records keep them."""
        if self.codes is not None:
            return self.codes
        return [pack(self.masks[:, t], self.positive[:, t]) for t in range(self.masks.shape[1])]

    def classes(self, settings: VideoSettings) -> Tensor:
        """Return the class scores (Q, K), in [0, 1]."""
        key = class_key(settings)
        if key not in self._classes:
            self._classes[key] = scoring.class_scores(
                self.logits, settings.class_score, self.logit_scale, settings.none_logit
            )
        return self._classes[key]

    def names(self, settings: VideoSettings) -> Tensor:
        """Return how each query is named (Q, K + 1), of unit length: the roots of the class scores, and of their rest.

        The product of two is the overlap of their scores, the Bhattacharyya coefficient.
        """
        scores = self.classes(settings).clamp(min=0)
        rest = (1 - scores.sum(-1, keepdim=True)).clamp(min=0)  # "none of these"
        return F.normalize(torch.cat([scores, rest], -1).sqrt(), dim=-1)

    def followed_by(self, tracker: Tracker | InOrder, settings: VideoSettings) -> Tensor:
        """Return a tracker's tube order (Q) of the window; the settings are the tracker's."""
        if self.brief is not None:
            return tracker.update(self.brief["embeddings"], self.brief["objects"], self.brief.names(settings))
        names = self.names(settings) if settings.names else None
        return tracker.update(self.prediction.embeddings[0], self.objects, names)

    def evidence(self, settings: VideoSettings) -> Tensor:
        """Return what the choice of silenced frames takes the sigmoid of (Q, K): see `scoring.silenced`."""
        return self.logits if settings.class_score == "sigmoid" else self.classes(settings)

    def scores(self, settings: VideoSettings) -> Tensor:
        """Return what a tube takes the mean of (Q, K): class logits, or class scores weighted by mask IoUs."""
        if settings.average == "logits":
            return self.logits
        key = (*class_key(settings), settings.use_iou, settings.weighting)
        if key not in self._scores:
            ious = None if self.prediction.mask_ious is None else self.prediction.mask_ious[0].float()
            self._scores[key] = scoring.window_scores(self.classes(settings), ious, settings)
        return self._scores[key]


def overflow(dtype: torch.dtype) -> InputError:
    """Return the error of a network whose answer is no number."""
    kind = str(dtype).removeprefix("torch.")
    return InputError(f"the network overflows in {kind}: use bfloat16 or float32, or check the weights")
