"""Names that CLIP gives to whole tubes: what lies under their masks in all frames is pooled before it is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ovvis.inference.spill import Spill
from ovvis.models.geometric_ensemble import EnsembleClassifier, combine
from ovvis.models.settings import VideoSettings
from ovvis.structures import Prediction, TextEmbeddings

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter


def video_names(segmenter: VideoSegmenter, settings: VideoSettings) -> VideoNames | None:
    """Return what names tubes for the whole video, where a learnt tracker's are named so; None elsewhere."""
    namer = segmenter.model.classifier
    if settings.learnt == "none" or not isinstance(namer, EnsembleClassifier) or not namer.over_video:
        return None
    return VideoNames(namer, segmenter.text, segmenter.memory_limit)


class VideoNames:
    """Names the tubes of one video once all its frames were seen (OV-DVIS++ with a ConvNeXt).

    The trained head answers frame by frame, CLIP once for the video: its features are summed over all cells of a tube.
    Of each frame the class embeddings are kept, in memory while they are few, then in a temporary file.

    Args:
        classifier: the model's.
        text: the vocabulary.
        limit: bytes that stay in memory.
    """

    def __init__(self, classifier: EnsembleClassifier, text: TextEmbeddings, limit: int) -> None:
        self._classifier, self._text = classifier, text
        self._spill = Spill(limit)
        self._sums = self._counts = torch.zeros(0)

    def add(self, prediction: Prediction) -> None:
        """Take the next frame: a batch of one window of one frame, its queries in tube order."""
        assert prediction.class_embeddings is not None
        features, masks = self._classifier.outer.cells(prediction)
        inside = masks[0].float()
        sums = torch.einsum("chw,qhw->qc", features[0].float(), inside).cpu().double()
        counts = inside.sum((1, 2)).cpu().double()
        self._spill.append_object(prediction.class_embeddings[0].float().cpu().numpy())
        first = len(self._spill) == 1
        self._sums, self._counts = (sums, counts) if first else (self._sums + sums, self._counts + counts)

    @torch.no_grad()
    def mean(self) -> Tensor:
        """Return the mean over frames of each tube's log probabilities (Q, K + 1), float32, on the CPU."""
        classifier, text = self._classifier, self._text
        means = self._sums / (self._counts + 1e-8)[:, None]
        device = text.vectors.device
        outer = classifier.outer.logits_of(means.float().to(device), text)
        share = classifier.exponents(text, device)
        total = None
        for embeddings in self._spill.objects():
            inner = classifier.inner(torch.from_numpy(np.asarray(embeddings)).to(device), text)
            logs = combine(inner, outer, share).cpu().double()
            total = logs if total is None else total + logs
        assert total is not None, "no frame was added"
        return (total / len(self._spill)).float()

    def close(self) -> None:
        """Free what was kept."""
        self._spill.close()
