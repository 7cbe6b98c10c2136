"""OVFormer (Fang et al., 2024) and OV2Seg (Wang et al., 2023), which is OVFormer without alignment: the recipe.

Its parts are imported when one is built, so that its configuration is read without PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ovvis.models.settings import CLIP_ENCODER, Alignment, FamilyConfig, VideoSettings, Weighting

if TYPE_CHECKING:
    from torch import Tensor

    from ovvis.models.backbones.pyramid import Backbone
    from ovvis.models.model import Model

FAMILY = "ovformer"
OV2SEG = "ov2seg"

# ImageNet's, times 255, as detectron2 writes them.
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)

MARKS = ("backbone", "alignment", "temporal")  # settings that say which architecture; tensors tell the first two
LOGIT_SCALE = 50.0  # the released factor from cosine to class logit


@dataclass(frozen=True, slots=True)
class OvFormerConfig(FamilyConfig):
    """Everything that makes one OVFormer differ from another. The defaults are the released video-trained R50 model."""

    clip: str = "ViT-B-32"
    backbone: str = "resnet50"  # timm architecture; "clip" for that of the CLIP's own encoder, trained apart from it
    frozen_norm: bool = True  # the backbone's BatchNorms are not trained, as released
    drop_path: float = 0.0  # share of a Swin's residual branches left out in training; Swin-B: 0.3
    decoder_layers: int = 9  # OV2Seg: 6
    temporal: bool = True  # position codes say a cell's frame; False for the image-trained weights
    alignment: Alignment = "released"  # "paper": one softmax, no residual (eq. 7); "none": OV2Seg
    window: int = 5  # frames that the network sees at once: 1 is the online scheme
    momentum: float | None = None  # share of the new embedding in a running one; image-trained: 0.7
    birth: float | None = None  # cosine distance from which an object begins a tube of its own; None: none, as released
    class_score: Literal["sigmoid", "softmax"] = "sigmoid"  # "softmax" in the paper (eq. 9)
    weighting: Weighting = "released"  # "paper": the plain product
    choice: Literal["plain", "quality"] = "plain"  # "quality" silences frames and weighs by masks (image-trained)
    short_edge: int = 360  # pixels of a frame's short edge at inference; Swin-B: 480


def build_ovformer(config: OvFormerConfig, name: str = FAMILY) -> Model:
    """Return an untrained OVFormer, or an OV2Seg where the configuration has no alignment."""
    from ovvis.models.backbones.conv_clip import TrainedClipBackbone
    from ovvis.models.backbones.timm_features import build_timm_backbone
    from ovvis.models.classifiers import EmbeddingClassifier
    from ovvis.models.clip import CLIP_MEAN, CLIP_STD, FrozenClip
    from ovvis.models.heads import ClassHead, ObjectHead
    from ovvis.models.model import Model
    from ovvis.models.segmenter import Segmenter

    clip = FrozenClip(config.clip, config.quick_gelu)
    own = config.backbone == CLIP_ENCODER
    backbone: Backbone
    if own:
        backbone = TrainedClipBackbone(clip, config.frozen_norm)
    else:
        backbone = build_timm_backbone(config.backbone, config.frozen_norm, config.drop_path)
    network = Segmenter(
        backbone,
        *config.decoders(backbone, config.temporal),
        ObjectHead(config.width, layers=2),
        class_head=ClassHead(config.width, clip.width, config.alignment),
    )
    return Model(
        name=name,
        family=OV2SEG if config.alignment == "none" else FAMILY,
        config=config,
        clip=clip,
        network=network,
        classifier=EmbeddingClassifier(LOGIT_SCALE),
        pixel_mean=CLIP_MEAN if own else PIXEL_MEAN,
        pixel_std=CLIP_STD if own else PIXEL_STD,
        video=VideoSettings(
            window=config.window,
            memory=1,
            matched=1,
            momentum=config.momentum,
            birth=config.birth,
            class_score=config.class_score,
            average="logits",
            weighting=config.weighting,
            silence=0.1 if config.choice == "quality" else None,
            mask_quality=config.choice == "quality",
        ),
        short_edge=config.short_edge,
    )


def fits(config: OvFormerConfig, state: Mapping[str, Tensor]) -> bool:
    """Return whether a state has the backbone and the alignment of a configuration, as far as its tensors tell."""
    if "network.backbone.patch_embed.proj.weight" in state:
        backbone = config.backbone.startswith("swin_")
    elif "network.backbone.net.conv2.weight" in state:  # of the stem of CLIP's ResNets
        backbone = config.backbone == CLIP_ENCODER
    else:
        convolutional = any(name.startswith("network.backbone.net.") for name in state)
        backbone = convolutional and not config.backbone.startswith("swin_") and config.backbone != CLIP_ENCODER
    aligned = any(name.startswith("network.class_head.alignment.") for name in state)
    return backbone and aligned == (config.alignment != "none")
