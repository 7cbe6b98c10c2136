"""CLIP-VIS (Zhu et al., 2024): the recipe.

Its parts are imported when one is built, so that its configuration is read without PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovvis.models.settings import (
    ClassScore,
    FamilyConfig,
    IouActivation,
    IouSource,
    Pooling,
    VideoSettings,
    Weighting,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ovvis.models.model import Model

FAMILY = "clip-vis"


@dataclass(frozen=True, slots=True)
class ClipVisConfig(FamilyConfig):
    """Everything that makes one CLIP-VIS differ from another. The defaults are the released R50 model."""

    decoder_layers: int = 6  # 6 for the LVIS weights, 9 for the COCO and YouTube-VIS ones
    iou_activation: IouActivation = "sigmoid"  # "relu" in the paper (eq. 3)
    iou_from: IouSource = "queries"  # "pixels": the mean feature under the mask (Table IV); trained so, or useless
    pooling: Pooling = "clip"  # "mean" in the paper (eq. 9); "nearest" names masks that cover no cell, too
    class_score: ClassScore = "softmax"  # "cosine" in the paper (eq. 10)
    none_logit: float | None = None  # of "none of these" in that softmax, calibrated; None: no such answer, as released
    weighting: Weighting = "released"  # "paper": the plain product (eq. 11)
    memory: int = 9  # T of the temporal matching, in frames
    matched: int = 5  # K of the temporal matching, in frames
    recency_weighted: bool = True  # False in the paper (eq. 7)
    birth: float | None = None  # cosine distance from which an object begins a tube of its own; None: none, as released
    names: float = 0.0  # share of an object's names in what it is known by again; 0 as released
    silence: float | None = 0.1  # share of a track's score below which a frame shows nothing of it; None: all show it


def build_clip_vis(config: ClipVisConfig, name: str = FAMILY) -> Model:
    """Return an untrained CLIP-VIS."""
    from ovvis.models.backbones.conv_clip import ConvClipBackbone
    from ovvis.models.classifiers import MaskPooledClassifier
    from ovvis.models.clip import CLIP_MEAN, CLIP_STD, FrozenClip
    from ovvis.models.heads import MaskIouHead, ObjectHead
    from ovvis.models.model import Model
    from ovvis.models.segmenter import Segmenter

    clip = FrozenClip(config.clip, config.quick_gelu)
    backbone = ConvClipBackbone(clip)
    network = Segmenter(
        backbone,
        *config.decoders(backbone),
        ObjectHead(config.width, layers=3),
        MaskIouHead(config.width, config.iou_activation, config.iou_from),
    )
    return Model(
        name=name,
        family=FAMILY,
        config=config,
        clip=clip,
        network=network,
        classifier=MaskPooledClassifier(clip, config.pooling),
        pixel_mean=CLIP_MEAN,
        pixel_std=CLIP_STD,
        video=VideoSettings(
            window=1,
            memory=config.memory,
            matched=config.matched,
            recency_weighted=config.recency_weighted,
            birth=config.birth,
            names=config.names,
            class_score=config.class_score,
            none_logit=config.none_logit,
            weighting=config.weighting,
            silence=config.silence,
            scores_bounded=config.iou_activation == "sigmoid",
        ),
        short_edge=config.short_edge,
    )


def fits(config: ClipVisConfig, state: Mapping[str, Tensor]) -> bool:
    """Return whether a state carries the CLIP of a configuration, as far as its tensors tell."""
    from ovvis.models.clip import carries_clip

    # A CLIP-VIS's backbone is its CLIP, and its classifier has no weights.
    foreign = any(name.startswith(("network.backbone.", "classifier.")) for name in state)
    return not foreign and carries_clip(config.clip, state)
