"""The families of models: what configures each one, who builds it, and which architecture a checkpoint is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ovvis.models import clip_vis, fc_clip, outside, ov_dvis, ovformer
from ovvis.models.clip_vis import ClipVisConfig
from ovvis.models.fc_clip import FcClipConfig
from ovvis.models.ov_dvis import OvDvisConfig
from ovvis.models.ovformer import OvFormerConfig
from ovvis.models.settings import FamilyConfig

if TYPE_CHECKING:
    from torch import Tensor

    from ovvis.models.model import Model


@dataclass(frozen=True, slots=True)
class Family:
    """One published method."""

    title: str  # as its authors write it
    config: type[FamilyConfig]
    build: Callable[[Any, str], Model]  # a configuration and a name to an untrained model
    marks: tuple[str, ...]  # fields of the configuration that say which architecture, besides its depth
    fits: Callable[[Any, Mapping[str, Tensor]], bool]  # whether tensors are of a configuration's architecture
    paper: str = ""  # authors, title, address, as a line
    code: str = ""  # address of its authors' code
    # Of a family outside this package: its authors' tensors under our names, a tensor that no model has under its own;
    # None for a file that is not theirs. The names of the families below are in `convert.py`
    rename: Callable[[dict[str, Tensor]], dict[str, Tensor] | None] | None = None


_CLIP_VIS = (
    "Zhu et al., CLIP-VIS: Adapting CLIP for Open-Vocabulary Video Instance Segmentation, https://arxiv.org/abs/2403.12455",
    "https://github.com/zwq456/CLIP-VIS",
)
_OVFORMER = (
    "Fang et al., Unified Embedding Alignment for Open-Vocabulary Video Instance Segmentation, "
    "https://arxiv.org/abs/2407.07427",
    "https://github.com/fanghaook/OVFormer",
)
_OV2SEG = (
    "Wang et al., Towards Open-Vocabulary Video Instance Segmentation, https://arxiv.org/abs/2304.01715",
    "https://github.com/haochenheheda/LVVIS",
)
_FC_CLIP = (
    "Yu et al., Convolutions Die Hard: Open-Vocabulary Segmentation with Single Frozen Convolutional CLIP, "
    "https://arxiv.org/abs/2308.02487",
    "https://github.com/bytedance/fc-clip",
)
_OV_DVIS = (
    "Zhang et al., DVIS++: Improved Decoupled Framework for Universal Video Segmentation, "
    "https://arxiv.org/abs/2312.13305",
    "https://github.com/zhang-tao-whu/DVIS_Plus",
)

FAMILIES: dict[str, Family] = {
    clip_vis.FAMILY: Family("CLIP-VIS", ClipVisConfig, clip_vis.build_clip_vis, ("clip",), clip_vis.fits, *_CLIP_VIS),
    ovformer.FAMILY: Family(
        "OVFormer", OvFormerConfig, ovformer.build_ovformer, ovformer.MARKS, ovformer.fits, *_OVFORMER
    ),
    ovformer.OV2SEG: Family("OV2Seg", OvFormerConfig, ovformer.build_ovformer, ovformer.MARKS, ovformer.fits, *_OV2SEG),
    fc_clip.FAMILY: Family("FC-CLIP", FcClipConfig, fc_clip.build_fc_clip, fc_clip.MARKS, fc_clip.fits, *_FC_CLIP),
    ov_dvis.FAMILY: Family("OV-DVIS++", OvDvisConfig, ov_dvis.build_ov_dvis, ov_dvis.MARKS, ov_dvis.fits, *_OV_DVIS),
}

FAMILIES.update(outside.outside(outside.FAMILIES, Family, FAMILIES))


def build_model(config: FamilyConfig, name: str) -> Model:
    """Return an untrained model of the family that a configuration belongs to."""
    return next(family.build(config, name) for family in FAMILIES.values() if type(config) is family.config)
