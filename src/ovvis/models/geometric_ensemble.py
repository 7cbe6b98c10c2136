"""Naming by two heads at once: a trained one and CLIP's own, and a learnt "none of these" (FC-CLIP)."""

from __future__ import annotations

import math
from collections.abc import Set

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovvis.models.classifiers import Classifier, MaskPooledClassifier, Text, best_synonym, cosine
from ovvis.models.clip import MAX_LOGIT_SCALE, FrozenClip
from ovvis.structures import Prediction, TextRows

FIRST_SCALE = math.log(1 / 0.07)
"""What the trained head's scale begins with, before its exponential."""
_LEAST = 1e-8  # probability that the released code adds to all before their logarithm


class EnsembleClassifier(Classifier):
    """The geometric mean of what a trained head and CLIP itself say, weighted by whether a label was trained.

    The trained head compares a query's class embedding with the texts and with the learnt "none" (the void). CLIP
    compares what lies under the mask with the texts (`MaskPooledClassifier`). With exponent e, `alpha` for a label
    that was trained and `beta` for another, a label's share is in^(1 - e) x out^e, made to sum to what the void leaves.

    Args:
        clip: the frozen CLIP that made the prediction's features.
        alpha: exponent of CLIP's answer for trained labels, in [0, 1].
        beta: the same for other labels.
        trained: the words of the training sets' labels. A label was trained if one of its synonyms is, letter for
            letter, one of them.
        loaded_scale: whether the trained head's factor from cosine to logit is the weights' own; False takes the value
            that its training began with, as DVIS++'s segmenter alone does, whose loading leaves the weights' out.
    """

    one_frame = True

    def __init__(
        self, clip: FrozenClip, alpha: float, beta: float, trained: Set[str], loaded_scale: bool = True
    ) -> None:
        super().__init__()
        self.void = nn.Parameter(torch.randn(1, clip.width) * clip.width**-0.5)
        self.scale = nn.Parameter(torch.tensor(FIRST_SCALE))
        self.alpha, self.beta, self.trained = alpha, beta, frozenset(trained)
        self.loaded_scale = loaded_scale
        self.outer = MaskPooledClassifier(clip)
        # Whether CLIP names the tubes of a learnt tracker once for the whole video, as released with a ConvNeXt.
        self.over_video = not self.outer.blind_without_cells
        self._last: tuple[Text, Tensor] | None = None  # every window of a video has the same text

    def forward(self, prediction: Prediction, text: Text) -> Tensor:
        """Return the logarithms of the labels' and, last, the void's probabilities (B, Q, K + 1), float32.

        Raises:
            ValueError: the prediction carries no class embeddings or no CLIP features, or its windows have more than
                one frame.
        """
        if prediction.class_embeddings is None:
            raise ValueError("naming by a trained head needs a network with a class head")
        outer, empty = self.outer.seen(prediction, text)
        share = self.exponents(text, outer.device)
        if self.outer.blind_without_cells:  # with a CLIP ResNet: the trained head alone, as released
            share = torch.where(empty[..., None], 0.0, share)
        return combine(self.inner(prediction.class_embeddings, text), outer, share)

    def inner(self, embeddings: Tensor, text: Text) -> Tensor:
        """Return the trained head's logits (..., K + 1) of class embeddings (..., E); the void's is the last."""
        raw = self.scale if self.loaded_scale else torch.full_like(self.scale, FIRST_SCALE)
        scale = raw.float().exp().clamp(max=MAX_LOGIT_SCALE)
        void = F.normalize(self.void.float(), dim=-1)
        labels = best_synonym(cosine(embeddings, text.vectors), text)
        return scale * torch.cat([labels, cosine(embeddings, void)], -1)

    def exponents(self, text: Text, device: torch.device) -> Tensor:
        """Return the exponent of CLIP's answer for each label (K)."""
        if isinstance(text, TextRows):
            assert text.exponents is not None
            return text.exponents
        if self._last is None or self._last[0] is not text:
            synonyms = text.synonyms or tuple((label,) for label in text.labels)
            self._last = (text, torch.tensor([bool(self.trained.intersection(words)) for words in synonyms]))
        if self._last[1].device != device:
            self._last = (text, self._last[1].to(device))
        return torch.where(self._last[1], self.alpha, self.beta)


def combine(inner: Tensor, outer: Tensor, share: Tensor) -> Tensor:
    """Return the log probabilities (..., K + 1) that two heads agree on; the void's is the last.

    Args:
        inner: ..., K + 1; the trained head's logits, with the void's.
        outer: ..., K; CLIP's logits.
        share: broadcasts to ..., K; the exponent of CLIP's answer, in [0, 1].

    >>> both = combine(torch.tensor([0.0, 0.0, 0.0]), torch.tensor([9.0, 9.0]), torch.tensor(0.5))
    >>> both.exp()
    tensor([0.3333, 0.3333, 0.3333])
    """
    mean = (1 - share) * inner[..., :-1].log_softmax(-1) + share * outer.log_softmax(-1)
    void = inner.softmax(-1)[..., -1:]
    return torch.cat([mean.softmax(-1) * (1 - void), void], -1).add(_LEAST).log()
