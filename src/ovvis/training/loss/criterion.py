"""The loss of a batch: match in every decoder layer, compare masks at points, add up the terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ovvis.structures import LayeredPrediction, Target
from ovvis.training.loss.losses import (
    LabelTerm,
    ObjectTerm,
    Pairs,
    Term,
    dice_term,
    first_instances,
    iou_term,
    mask_term,
)
from ovvis.training.loss.matcher import Cost, Matcher, dice_cost, groups, label_cost, mask_cost, object_cost, places
from ovvis.training.loss.points import PointSampler, sample_masks
from ovvis.training.loss.points import sample as sample_images

Average = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Both families' losses, as released. The weights count in the matching costs too, where a cost is of that name.

    CLIP-VIS: object, iou, mask, dice; the iou costs nothing in matching. OVFormer and OV2Seg: object, label, mask,
    dice; the label's cost holds the object's score, which has none of its own.
    """

    object: float = 2.0  # weight of "object" against "no object"
    iou: float = 2.0  # of the predicted mask IoU
    label: float = 2.0  # of the class logits
    label_scale: float = 1.7  # multiplies the label's term, but not its cost; 1 in the paper
    label_sample: int | None = 50  # labels that a window's queries answer for; None in the paper: every trained one
    mask: float = 5.0  # of the masks' cross-entropy
    dice: float = 5.0  # of the masks' Dice loss
    no_object: float = 0.4  # weight of a query without an instance, within the object term
    points: int = 12_544  # at which a mask is compared with the truth, for each frame
    oversample: float = 3.0  # candidates for the uncertain points, as a multiple of `points`
    importance: float = 0.75  # share of the points that are the most uncertain candidates

    def __post_init__(self) -> None:
        if self.points < 1:
            raise ValueError(f"points must be at least 1, not {self.points}")
        if not 0 <= self.importance <= 1:
            raise ValueError(f"importance must lie in [0, 1], not {self.importance}")
        if self.oversample < max(self.importance, 1):
            raise ValueError(f"oversample must be at least 1, not {self.oversample}")
        if self.label_sample is not None and self.label_sample < 1:
            raise ValueError(f"label_sample must be at least 1, or null for every label, not {self.label_sample}")
        for name in ("object", "iou", "label", "label_scale", "mask", "dice", "no_object"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be below 0, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class WeightedTerm:
    """A row of the table that a criterion adds up."""

    name: str
    weight: float
    term: Term


@dataclass(frozen=True, slots=True)
class Loss:
    """What a batch costs."""

    names: tuple[str, ...]  # of the terms
    parts: Tensor  # terms, L; weighted, with gradient

    @property
    def total(self) -> Tensor:
        """What is minimised, a scalar."""
        return self.parts.sum()

    def by_name(self) -> dict[str, Tensor]:
        """Return each term over all layers, scalars with gradient; they add up to the total."""
        return dict(zip(self.names, self.parts.sum(1), strict=True))


class Criterion:
    """Adds up a table of terms over every decoder layer and the state before the first (deep supervision).

    Computes in float32 (or float64) whatever the network's precision.

    Args:
        terms: what is added up.
        matcher: which query answers for which instance.
        sampler: chooses the points at which the terms compare masks.
    """

    def __init__(self, terms: Sequence[WeightedTerm], matcher: Matcher, sampler: PointSampler) -> None:
        self.terms, self.matcher, self.sampler = tuple(terms), matcher, sampler

    def __call__(
        self,
        prediction: LayeredPrediction,
        targets: Sequence[Target],
        *,
        average: Average | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Loss:
        """Return the loss of a batch of B windows.

        Args:
            prediction: the network's answers in every layer.
            targets: B, on the prediction's device; masks of one size.
            average: the mean over processes of a tensor without gradient, such as Fabric's `all_reduce`; None in a
                single process. It is called once. With it, and gradients averaged over processes, the gradient is
                that of one process with all windows.
            seeds: B; what each window's points are drawn from, so that they depend on nothing else; None for the
                global random numbers.

        Raises:
            ValueError: the targets do not fit the prediction.
        """
        with torch.autocast(prediction.mask_features.device.type, enabled=False):
            prediction = _in_full_precision(prediction)
            _check(prediction, targets)
            # What is nowhere in its window is "no object".
            targets = _visible(targets)
            generators = _generators(seeds, len(targets), prediction.mask_features.device)
            pairs = self._pairs(prediction, targets, generators)
            shares = [row.term(pairs) for row in self.terms]
            count = torch.stack([share.count for share in shares]).detach()  # terms, L
            if average is not None:
                count = average(count)
            # A count of zero, in all processes, goes with a sum of zero.
            parts = torch.stack([share.total for share in shares]) / torch.where(count > 0, count, 1)
            parts = parts * parts.new_tensor([row.weight for row in self.terms])[:, None]
        return Loss(names=tuple(row.name for row in self.terms), parts=parts)

    def _pairs(
        self,
        prediction: LayeredPrediction,
        targets: Sequence[Target],
        generators: Sequence[torch.Generator | None],
    ) -> Pairs:
        """Match, and read the matched masks at points."""
        matches = self.matcher(prediction, targets, generators)
        device = prediction.mask_features.device
        counts = [match.queries.shape[1] for match in matches]
        queries = torch.cat([match.queries for match in matches], dim=1)  # L, M
        instances = torch.cat([match.instances for match in matches], dim=1)
        windows, _ = places(counts, device)
        layers = torch.arange(len(queries), device=device)[:, None]
        embeddings = prediction.mask_embeddings[layers, windows, queries]  # L, M, D
        frames, _, height, width = prediction.mask_features.shape[1:]
        most = len(queries) * max(counts, default=0) * frames * height * width
        group = groups(len(targets), most, prediction)
        # Taken apart at once: the gradient of a slice would be a whole batch of zeros for each group.
        features = prediction.mask_features.split([g.stop - g.start for g in group])
        sizes = [sum(counts[g]) for g in group]
        read = [
            self._read(part, own, indices, counts[g], targets[g], generators[g])
            for g, part, own, indices in zip(
                group, features, embeddings.split(sizes, 1), instances.split(sizes, 1), strict=True
            )
        ]
        return Pairs(
            prediction=prediction,
            targets=targets,
            windows=windows,
            queries=queries,
            instances=instances,
            mask_logits=torch.cat([logits for logits, _ in read], dim=1),
            mask_truth=torch.cat([truth for _, truth in read], dim=1),
            generators=generators,
        )

    def _read(
        self,
        features: Tensor,  # B, T, D, h, w
        embeddings: Tensor,  # L, M, D; of the windows' matched queries
        instances: Tensor,  # L, M; each one's position in its window's target
        counts: Sequence[int],  # B; how many of the M are each window's
        targets: Sequence[Target],  # B
        generators: Sequence[torch.Generator | None],  # B
    ) -> tuple[Tensor, Tensor]:
        """Return mask logits and truth (each L, M, T, P) of some windows' matched pairs, at points of their own."""
        layers, frames = len(embeddings), features.shape[1]
        window, column = places(counts, features.device)
        most = max(counts)
        place = window * most + column
        padded = embeddings.new_zeros(layers, len(counts) * most, embeddings.shape[-1]).index_copy(1, place, embeddings)
        masks = torch.einsum("lbnd,btdhw->lbnthw", padded.unflatten(1, (len(counts), most)), features).flatten(1, 2)
        if sum(counts) < len(counts) * most:
            masks = masks.index_select(1, place)
        flat = masks.flatten(0, 2)  # L * M * T, h, w
        drawn = [
            self.sampler.draw(layers * count * frames, flat, generator).unflatten(0, (layers, count * frames))
            for count, generator in zip(counts, generators, strict=True)
        ]
        points = self.sampler.for_loss(flat, torch.cat(drawn, 1).flatten(0, 1))
        logits = sample_images(flat[:, None], points)[:, 0]
        first = first_instances(targets, features.device)
        rows = (first[window] + instances)[..., None] * frames + torch.arange(frames, device=features.device)
        truth = sample_masks(torch.cat([t.masks for t in targets]).flatten(0, 1), rows.flatten(), points)
        return logits.unflatten(0, (layers, -1, frames)), truth.unflatten(0, (layers, -1, frames))


def _visible(targets: Sequence[Target]) -> list[Target]:
    """Return targets without what is nowhere in its window; the device is waited for once."""
    seen = torch.cat([target.visible.any(1) for target in targets]).cpu()
    kept = seen.split([len(target.labels) for target in targets])
    return [
        target if own.all() else target.select(own.to(target.labels.device))
        for target, own in zip(targets, kept, strict=True)
    ]


def clip_vis_criterion(config: LossConfig) -> Criterion:
    """Return CLIP-VIS's loss (section 3.2): object, mask IoU, mask and Dice. No label and no id is read."""
    return _criterion(config, WeightedTerm("iou", config.iou, iou_term), (config.object, object_cost))


def ovformer_criterion(config: LossConfig, label_weights: Tensor) -> Criterion:
    """Return OVFormer's loss (eq. 14), which is OV2Seg's too: object, label, mask and Dice over windows of T frames.

    An instance has one query for the whole window, and its masks in all T frames count, empty ones too.

    Args:
        config: the weights.
        label_weights: K; how often each label of the training set is drawn: see `LabelTerm`.
    """
    term = LabelTerm(label_weights, config.label_sample)
    return _criterion(
        config, WeightedTerm("label", config.label * config.label_scale, term), (config.label, label_cost)
    )


def _criterion(config: LossConfig, own: WeightedTerm, own_cost: tuple[float, Cost]) -> Criterion:
    """Return what a family's loss shares with the others', and the term and the cost that are its own."""
    sampler = PointSampler(config.points, config.oversample, config.importance)
    terms = [
        WeightedTerm("object", config.object, ObjectTerm(config.no_object)),
        own,
        WeightedTerm("mask", config.mask, mask_term),
        WeightedTerm("dice", config.dice, dice_term),
    ]
    costs = (own_cost, (config.mask, mask_cost), (config.dice, dice_cost))
    return Criterion(terms, Matcher(costs, sampler), sampler)


def single_frames(pixels: Tensor, targets: Sequence[Target]) -> tuple[Tensor, list[Target]]:
    """Return windows of T frames as T windows of one, for a network that sees frames one by one (CLIP-VIS).

    An instance that is not in a frame is no part of its target, so that every query is "no object" to it there. Of
    windows of one frame the targets stay as they are: the loss leaves out what is nowhere in its window anyway.

    Args:
        pixels: B, T, 3, H, W.
        targets: B.

    Returns:
        pixels: B * T, 1, 3, H, W.
        targets: B * T.
    """
    if pixels.shape[1] == 1:
        return pixels, list(targets)
    frames = range(pixels.shape[1])
    return pixels.flatten(0, 1)[:, None], [target.frame(index) for target in targets for index in frames]


def _in_full_precision(prediction: LayeredPrediction) -> LayeredPrediction:
    """Return the prediction in float32, or in float64 where it is."""

    def full(x: Tensor) -> Tensor:
        return x if x.dtype == torch.float64 else x.float()

    return replace(
        prediction,
        mask_embeddings=full(prediction.mask_embeddings),
        mask_features=full(prediction.mask_features),
        object_logits=full(prediction.object_logits),
        mask_ious=None if prediction.mask_ious is None else full(prediction.mask_ious),
        class_logits=None if prediction.class_logits is None else full(prediction.class_logits),
    )


def _generators(seeds: Sequence[int] | None, windows: int, device: torch.device) -> list[torch.Generator | None]:
    if seeds is None:
        return [None] * windows
    if len(seeds) != windows:
        raise ValueError(f"{len(seeds)} seeds for {windows} windows: give one for each")
    return [torch.Generator(device).manual_seed(seed) for seed in seeds]


def _check(prediction: LayeredPrediction, targets: Sequence[Target]) -> None:
    windows, frames = prediction.mask_features.shape[:2]
    if len(targets) != windows:
        raise ValueError(f"{len(targets)} targets for {windows} windows: give one for each")
    for target in targets:
        if target.masks.dtype != torch.bool or target.masks.shape[1] != frames:
            raise ValueError(
                f"target masks of {tuple(target.masks.shape)}, {target.masks.dtype}: give bool masks of {frames} frames"
            )
