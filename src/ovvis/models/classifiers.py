"""Naming: class logits of a prediction's queries over a vocabulary."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovvis.models.clip import FrozenClip
from ovvis.models.layers.linear import products
from ovvis.models.mask_pooling import TrunkMeanPooling, build_mask_pooling, nearest_cell
from ovvis.models.settings import Pooling
from ovvis.structures import Prediction, TextEmbeddings, TextRows

Text = TextEmbeddings | TextRows


class Classifier(nn.Module):
    """Compares queries with the texts of a vocabulary.

    Attributes:
        one_frame: whether it names windows of one frame only.
    """

    one_frame = False

    @abstractmethod
    def forward(self, prediction: Prediction, text: Text) -> Tensor:
        """Return the class logits of a batch of windows, (B, Q, K), float32; one more where it learnt a "none"."""

    def vectors(self, prediction: Prediction) -> Tensor | None:
        """Return what `compared` makes all names of, (B, Q, E); None where names are made of more.

        With many labels it is much shorter than the logits.
        """
        del prediction
        return None

    def compared(self, vectors: Tensor, text: Text) -> Tensor:
        """Return the class logits (..., K) of `vectors` (..., E), float32."""
        raise NotImplementedError(f"{type(self).__name__} makes names of more than a vector a query")


class MaskPooledClassifier(Classifier):
    """CLIP similarity of the features under each mask (CLIP-VIS section III-C).

    A query whose mask covers no cell at stride 32 gets logit 0 for every label with a CLIP ResNet, as released; with
    "nearest" it is named by the cell that it covers most of.

    Args:
        clip: the frozen CLIP that made the prediction's features.
        pooling: "clip" as released, "mean" as in the paper, "nearest" for small objects.
    """

    one_frame = True

    def __init__(self, clip: FrozenClip, pooling: Pooling = "clip") -> None:
        super().__init__()
        self._clip = (clip,)
        self.pool = build_mask_pooling(clip, pooling)
        self.nearest = pooling == "nearest"
        self.blind_without_cells = not hasattr(clip.visual, "trunk")

    @torch.no_grad()
    def forward(self, prediction: Prediction, text: Text) -> Tensor:
        """Return class logits (B, Q, K) of windows of one frame.

        Raises:
            ValueError: the prediction carries no CLIP features, or its windows have more than one frame.
        """
        return self.compared(self.vectors(prediction), text)

    @torch.no_grad()
    def vectors(self, prediction: Prediction) -> Tensor:
        """Return CLIP's embedding of what lies under each mask (B, Q, E), of none at all where it names nothing.

        Raises:
            ValueError: as in `forward`.
        """
        pooled, empty = self.pooled(prediction)
        return pooled.masked_fill(empty[..., None], 0.0) if self.blind_without_cells else pooled

    def seen(self, prediction: Prediction, text: Text) -> tuple[Tensor, Tensor]:
        """Return class logits (B, Q, K) of windows of one frame, and whose mask covers no cell (B, Q).

        Those of a query whose mask covers no cell mean nothing.

        Raises:
            ValueError: as in `forward`.
        """
        pooled, empty = self.pooled(prediction)
        return self.compared(pooled, text), empty

    def logits_of(self, means: Tensor, text: Text) -> Tensor:
        """Return class logits (Q, K) of mean features (Q, C) under masks, for a CLIP that pools by the mean."""
        assert isinstance(self.pool, TrunkMeanPooling)
        return self.compared(self.pool.project(means[None])[0], text)

    def compared(self, vectors: Tensor, text: Text) -> Tensor:
        """Return the class logits (..., K) of embeddings (..., E), not normalised; of zeros 0 everywhere."""
        return best_synonym(self._clip[0].scale * cosine(vectors, text.vectors), text)

    def cells(self, prediction: Prediction) -> tuple[Tensor, Tensor]:
        """Return CLIP's features of windows of one frame (B, C, h, w) and the cells of each mask (B, Q, h, w).

        Raises:
            ValueError: as in `forward`.
        """
        if prediction.features is None or prediction.mask_logits.shape[2] != 1:
            raise ValueError("mask pooling needs CLIP features of windows of one frame")
        features = prediction.features[:, 0]  # B, C, h, w
        size = features.shape[-2], features.shape[-1]
        fine = prediction.mask_logits[:, :, 0].float()
        masks = F.interpolate(fine, size=size, mode="bilinear", align_corners=False) > 0
        if self.nearest:
            empty = ~masks.flatten(2).any(-1)  # B, Q
            masks = masks | (nearest_cell((fine > 0).float(), size) & empty[..., None, None])
        return features, masks

    def pooled(self, prediction: Prediction) -> tuple[Tensor, Tensor]:
        """Return CLIP's embedding of what lies under each mask (B, Q, E), and whose covers no cell (B, Q)."""
        features, masks = self.cells(prediction)
        empty = ~masks.flatten(2).any(-1)
        if self.blind_without_cells:
            masks = masks | empty[..., None, None]  # keeps the softmax finite
        pooled: Tensor = self.pool(features, masks)
        return pooled, empty


class EmbeddingClassifier(Classifier):
    """Similarity of the queries' own embeddings in CLIP's space (OVFormer eq. 9, OV2Seg).

    Args:
        scale: factor between cosine and logit.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, prediction: Prediction, text: Text) -> Tensor:
        """Return class logits (B, Q, K) of windows.

        Raises:
            ValueError: the prediction carries no class embeddings.
        """
        return self.compared(self.vectors(prediction), text)

    def vectors(self, prediction: Prediction) -> Tensor:
        """Return the queries' own embeddings (B, Q, E).

        Raises:
            ValueError: as in `forward`.
        """
        if prediction.class_embeddings is None:
            raise ValueError("naming by embeddings needs a network with a class head")
        return prediction.class_embeddings

    def compared(self, vectors: Tensor, text: Text) -> Tensor:
        """Return class logits (..., K) of class embeddings (..., E), not normalised; with gradient, for training."""
        return best_synonym(self.scale * cosine(vectors, text.vectors), text)


def cosine(embeddings: Tensor, vectors: Tensor) -> Tensor:
    """Return the cosines of embeddings (..., E) with unit vectors (P, E): (..., P), float32."""
    return products(F.normalize(embeddings.float(), dim=-1), vectors.to(embeddings.device, torch.float32))


def best_synonym(logits: Tensor, text: Text) -> Tensor:
    """Return for each label the largest logit of its synonyms: (..., P) to (..., K)."""
    if isinstance(text, TextRows):
        picked = logits.index_select(-1, text.rows.flatten())
        best: Tensor = picked.unflatten(-1, (text.rows.shape[0], text.rows.shape[1])).amax(-1)
        return best
    labels = len(text.labels)
    if logits.shape[-1] == labels:
        return logits
    index = text.label_of_row.to(logits.device).expand_as(logits)
    out = logits.new_full((*logits.shape[:-1], labels), -torch.inf)
    return out.scatter_reduce_(-1, index, logits, reduce="amax")
