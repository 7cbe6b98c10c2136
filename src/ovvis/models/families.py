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


FAMILIES: dict[str, Family] = {
    clip_vis.FAMILY: Family("CLIP-VIS", ClipVisConfig, clip_vis.build_clip_vis, ("clip",), clip_vis.fits),
    ovformer.FAMILY: Family("OVFormer", OvFormerConfig, ovformer.build_ovformer, ovformer.MARKS, ovformer.fits),
    ovformer.OV2SEG: Family("OV2Seg", OvFormerConfig, ovformer.build_ovformer, ovformer.MARKS, ovformer.fits),
    fc_clip.FAMILY: Family("FC-CLIP", FcClipConfig, fc_clip.build_fc_clip, fc_clip.MARKS, fc_clip.fits),
    ov_dvis.FAMILY: Family("OV-DVIS++", OvDvisConfig, ov_dvis.build_ov_dvis, ov_dvis.MARKS, ov_dvis.fits),
}

FAMILIES.update(outside.outside(outside.FAMILIES, Family, FAMILIES))


def build_model(config: FamilyConfig, name: str) -> Model:
    """Return an untrained model of the family that a configuration belongs to."""
    return next(family.build(config, name) for family in FAMILIES.values() if type(config) is family.config)
