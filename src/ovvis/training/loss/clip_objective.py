"""Training a CLIP for mask pooling: what lies under a mask is drawn to its words, and away from all others.

The pooling is the classifier's own, so that the CLIP is trained for what it is used for. Beside the contrastive loss
stand learnable class anchors, which both sides are drawn to: alone, the contrastive loss of so small a CLIP does not
leave its plateau.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovvis.models.classifiers import MaskPooledClassifier
from ovvis.models.clip import MAX_LOGIT_SCALE
from ovvis.models.mask_pooling import nearest_cell
from ovvis.models.model import Model
from ovvis.pixels import STRIDE
from ovvis.structures import Target
from ovvis.training.clip_words import Words
from ovvis.training.data.loader import TrainingBatch, network_input
from ovvis.training.loss.criterion import single_frames
from ovvis.training.loss.matcher import places

IGNORED = -1
_STREAM = 21  # keeps the texts' random numbers apart


@dataclass(frozen=True, slots=True)
class ClipConfig:
    """How a CLIP is trained. Weights of the terms count for nothing at 0."""

    texts: int = 160  # categories whose texts are compared in a step: those seen and others
    foreign: int = 24  # words of things that are never seen, as further wrong answers
    least_area: int = 100  # pixels of the network's input; a region must have so many
    text_weight: float = 1.0  # region to text
    region_weight: float = 0.5  # text to region
    anchor_weight: float = 1.0  # region to class anchor
    text_anchor_weight: float = 0.5  # text to class anchor
    none_weight: float = 0.25  # "none of these": of a region without its word, and of background
    image_weight: float = 0.1  # whole image to the words of all that it shows
    anchor_scale: float = 20.0  # from cosine to logit


class Anchors(nn.Module):
    """What is trained beside a CLIP and left behind: an anchor for each category, a cosine for "none of these".

    Args:
        count: categories.
        width: of CLIP's space.
    """

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(count, width)
        self.none = nn.Parameter(torch.tensor(0.3))

    @torch.no_grad()
    def begin_at(self, texts: Tensor) -> None:
        """Put the anchors where the categories' texts (count, E) lie; their length sets how fast they turn."""
        self.embedding.weight.copy_(F.normalize(texts, dim=-1) * texts.shape[-1] ** 0.5)


class ClipObjective(nn.Module):
    """Training windows to the loss of their CLIP, frame by frame.

    Args:
        model: whose CLIP is thawed, with `Anchors` as its child `anchors`.
        words: of the training set's labels.
        config: the terms.
        seed: of the texts that are drawn; they follow from it and the window's place in the run.
    """

    def __init__(self, model: Model, words: Words, config: ClipConfig, seed: int = 0) -> None:
        super().__init__()
        if not isinstance(model.classifier, MaskPooledClassifier):
            raise ValueError(f"{model.name} names nothing by mask pooling")
        self.model, self._words, self._config, self._seed = model, words, config, seed
        self._pool = (model.classifier.pool,)

    def forward(self, batch: TrainingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, a scalar, and its weighted parts, without gradient."""
        model, config = self.model, self._config
        pixels = network_input(batch, model.pixel_mean, model.pixel_std)
        pixels, targets = single_frames(pixels, batch.targets)
        dense = model.network.backbone(pixels[:, 0].contiguous(memory_format=torch.channels_last)).dense
        cells, labels = regions(targets, config.least_area)
        rng = np.random.default_rng([self._seed, _STREAM, batch.origins[0].draw.position])
        chosen, texts = self._texts(labels, rng)
        pooled = F.normalize(self._pool[0](dense, cells).float(), dim=-1)  # B, 2 + Q, E
        with torch.autocast(pixels.device.type, enabled=False):
            words = F.normalize(model.clip.encode(model.clip.tokens(texts).to(pixels.device)), dim=-1)
            terms = self._terms(pooled, labels, words, torch.from_numpy(chosen).to(pixels.device))
        return torch.stack(list(terms.values())).sum(), {name: term.detach() for name, term in terms.items()}

    def _texts(self, labels: Tensor, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
        """Return the categories whose texts are compared, and the texts, those of things never seen behind them."""
        seen = np.unique(labels[labels >= 0].cpu().numpy())
        others = np.setdiff1d(rng.permutation(len(self._words)), seen, assume_unique=True)
        chosen = np.concatenate([seen, others[: max(self._config.texts - len(seen), 0)]])
        texts = [self._words.text(int(label), rng) for label in chosen]
        return chosen, [*texts, *(self._words.foreign(rng) for _ in range(self._config.foreign))]

    def _terms(self, pooled: Tensor, labels: Tensor, words: Tensor, chosen: Tensor) -> dict[str, Tensor]:
        """Return the weighted terms.

        Args:
            pooled: B, 2 + Q, E; of each image the whole, a piece of its background, its regions.
            labels: B, Q; -1 where there is no region.
            words: K + F, E; of K categories and F things never seen.
            chosen: K; the categories.
        """
        config, anchors = self._config, self.model.anchors
        assert isinstance(anchors, Anchors)
        scale = self.model.clip.model.logit_scale.exp().clamp(max=MAX_LOGIT_SCALE)
        place = torch.full((len(self._words),), IGNORED, device=labels.device)
        place[chosen] = torch.arange(len(chosen), device=labels.device)
        real = labels >= 0
        region, label = pooled[:, 2:][real], labels[real]
        target = place[label]
        logits = scale * region @ words.T  # R, K + F
        none = (scale * anchors.none).expand(len(region), 1)
        table = F.normalize(anchors.embedding.weight, dim=-1)
        answer = F.one_hot(target, logits.shape[1]).bool()
        missing = torch.cat([logits.masked_fill(answer, -torch.inf), none], 1)
        ground = scale * pooled[:, 1] @ words.T
        ground = torch.cat([ground, none[:1].expand(len(ground), 1)], 1)
        unnamed = torch.cat([missing, ground])
        positive = answer[:, answer.any(0)].T.float()  # texts with a region, R
        shares = positive / positive.sum(1, keepdim=True)
        shown = F.one_hot(place[labels.clamp(min=0)].clamp(min=0), logits.shape[1]) * real[..., None]  # B, Q, K + F
        shown = shown.sum(1).clamp(max=1).float()
        shown = shown / shown.sum(1, keepdim=True).clamp(min=1)
        whole = (scale * pooled[:, 0] @ words.T).log_softmax(-1)
        anchor = config.anchor_scale
        return {
            "text": config.text_weight * F.cross_entropy(torch.cat([logits, none], 1), target),
            "region": config.region_weight * -(logits[:, answer.any(0)].T.log_softmax(1) * shares).sum(1).mean(),
            "anchor": config.anchor_weight * F.cross_entropy(anchor * region @ table.T, label),
            "text_anchor": config.text_anchor_weight * F.cross_entropy(anchor * words[: len(chosen)] @ table.T, chosen),
            "none": config.none_weight
            * F.cross_entropy(unnamed, torch.full((len(unnamed),), logits.shape[1], device=labels.device)),
            "image": config.image_weight * -(shown * whole).sum(1).mean(),
        }


def regions(targets: Sequence[Target], least_area: int) -> tuple[Tensor, Tensor]:
    """Return where CLIP is pooled, and what is there.

    Args:
        targets: B; of windows of one frame, masks N, 1, H, W.
        least_area: pixels that a region must have.

    Returns:
        cells: B, 2 + Q, h, w; bool: all, what belongs to no object, and each region; at stride 32, as the classifier
            sees a mask, but never empty.
        labels: B, Q; -1 where there is no region.
    """
    masks = torch.cat([target.masks[:, 0] for target in targets])  # of all images together, H, W
    counts, device = [len(target.labels) for target in targets], masks.device
    large = masks.flatten(1).sum(1).cpu() >= least_area
    kept_counts = [int(own.sum()) for own in large.split(counts)]
    height, width = masks.shape[-2:]
    size = height // STRIDE, width // STRIDE
    cells = torch.ones(len(targets), 2 + max(kept_counts), *size, dtype=torch.bool, device=device)
    labels = torch.full((len(targets), max(kept_counts)), IGNORED, dtype=torch.int64, device=device)
    taken = torch.zeros(len(targets), height, width, dtype=torch.int32, device=device)
    taken.index_add_(0, places(counts, device)[0], masks.int())
    cells[:, 1] = as_cells(taken == 0, size)
    if any(kept_counts):
        image, column = places(kept_counts, device)
        kept = large.nonzero()[:, 0].to(device)
        cells[image, 2 + column] = as_cells(masks[kept], size)
        labels[image, column] = torch.cat([target.labels for target in targets])[kept]
    return cells, labels


def as_cells(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Return masks (N, H, W) as cells (N, h, w) of stride 32, as the classifier makes them of masks at stride 4.

    A mask that covers no cell's middle gets the cell that it covers most of.
    """
    fine = F.avg_pool2d(masks.float()[None], 4)
    cells = F.interpolate(fine, size=size, mode="bilinear", align_corners=False) > 0.5
    return (cells | (nearest_cell(fine, size) & ~cells.flatten(2).any(2)[..., None, None]))[0]
