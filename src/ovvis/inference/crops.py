"""Naming by crops: what a mask shows is cut out, and CLIP looks at it alone (OpenVIS: P. Guo et al., 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ovvis import masks
from ovvis.inference.scoring import class_scores
from ovvis.masks import Rle
from ovvis.models.any_clip import WholeClip
from ovvis.models.classifiers import best_synonym, cosine
from ovvis.models.clip import CLIP_MEAN
from ovvis.structures import Detected, TextEmbeddings

_PLAIN = tuple(round(value) for value in CLIP_MEAN)  # a colour that says nothing


def square_crop(image: NDArray[np.uint8], mask: Rle, side: int, scale: float = 1.0, alone: bool = True) -> Tensor:
    """Return what a mask shows as a square picture, so that nothing is drawn out of shape.

    Args:
        image: H, W, 3; RGB.
        mask: of the image's size, with a pixel or more.
        side: pixels of the square.
        scale: of the square's edge in the image to the longer edge of the mask's box.
        alone: whether what is not the mask is made plain.

    Returns:
        3, side, side; uint8. What lies outside of the image is plain.
    """
    x, y, width, height = masks.box(mask)
    edge = max(round(max(width, height) * scale), 1)
    left, top = round(x + width / 2 - edge / 2), round(y + height / 2 - edge / 2)
    rows = slice(max(top, 0), min(top + edge, image.shape[0]))
    columns = slice(max(left, 0), min(left + edge, image.shape[1]))
    part = image[rows, columns]
    if alone:
        part = np.where(masks.decode(mask)[rows, columns, None], part, np.array(_PLAIN, np.uint8))
    square = np.empty((edge, edge, 3), np.uint8)
    square[:] = _PLAIN
    square[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part
    resized = Image.fromarray(square).resize((side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1)


@dataclass
class CropNamer:
    """Names things by what CLIP sees in their crops, and gives its embeddings for who follows things by looks.

    Args:
        clip: looks at them.
        text: the vocabulary; None: things keep their own labels.
        alone: whether a crop shows the mask alone (OpenVIS), or what is around it too (ViLD, DetPro).
        scales: of the crops, by the longer edge of the mask's box; several are looked at and their embeddings added
            up, as ViLD and DetPro do with 1 and 1.5.
        none_logit: of "none of these" beside the vocabulary; None: there is no such answer.
        name: what to call the CLIP.
    """

    clip: WholeClip
    text: TextEmbeddings | None = None
    alone: bool = True
    scales: tuple[float, ...] = (1.0,)
    none_logit: float | None = None
    name: str = ""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The vocabulary's labels (K)."""
        return None if self.text is None else self.text.labels

    def __call__(self, image: NDArray[np.uint8], detected: Detected) -> Detected:
        """Return a frame's things with names (N, K) of a vocabulary, and embeddings (N, E) where they have none."""
        count = len(detected)
        if not count:
            width = 0 if self.text is None else len(self.text.labels)
            return detected if self.text is None else replace(detected, names=np.zeros((0, width), np.float32))
        embeddings = self.embed(image, detected.masks)
        seen = detected
        if detected.embeddings is None:  # whoever gave some knows better who is who
            seen = replace(detected, embeddings=embeddings.cpu().numpy())
        if self.text is None:
            return seen
        names = class_scores(self.logits(embeddings), "softmax", none_logit=self.none_logit)
        return replace(seen, names=names.cpu().numpy())

    def embed(self, image: NDArray[np.uint8], codes: Sequence[Rle]) -> Tensor:
        """Return the embeddings (N, E), of unit length, of what masks of an image (H, W, 3) show; one or more."""
        side = self.clip.image_side
        views = [square_crop(image, mask, side, scale, self.alone) for scale in self.scales for mask in codes]
        found = F.normalize(self.clip.embed_images(torch.stack(views)).float(), dim=-1)
        return F.normalize(found.unflatten(0, (len(self.scales), len(codes))).sum(0), dim=-1)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Return the class logits (N, K) of embeddings (N, E) of unit length; there must be a vocabulary."""
        assert self.text is not None, "nothing to compare with"
        return best_synonym(self.clip.logit_scale * cosine(embeddings, self.text.vectors), self.text)

    def describe(self) -> dict[str, Any]:
        """Return what decides the names, as JSON knows it."""
        return {"clip": self.name, "crops": "alone" if self.alone else "with surroundings", "scales": list(self.scales)}
