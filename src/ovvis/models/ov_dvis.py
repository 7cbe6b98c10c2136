"""OV-DVIS++ (Zhang et al., 2023): the recipe. FC-CLIP's segmenter, a learnt tracker, a refiner of whole videos.

Its parts are imported when one is built, so that its configuration is read without PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ovvis.models.fc_clip import FcClipConfig, fc_clip_parts, tubes_of_logs

if TYPE_CHECKING:
    from torch import Tensor

    from ovvis.models.model import Model

FAMILY = "ov-dvis"
MARKS = ("clip", "refined")


@dataclass(frozen=True, slots=True)
class OvDvisConfig(FcClipConfig):
    """Everything that makes one OV-DVIS++ differ from another. The defaults are the released online R50 model."""

    refined: bool = False  # whether a refiner goes over the whole video, as in the offline models
    tracker_layers: int = 6
    refiner_layers: int = 6
    tracker_hidden: int = 2048  # feed-forward width of both


def build_ov_dvis(config: OvDvisConfig, name: str = FAMILY) -> Model:
    """Return an untrained OV-DVIS++."""
    from ovvis.models.clip import CLIP_MEAN, CLIP_STD, FrozenClip
    from ovvis.models.heads import PooledClassHead
    from ovvis.models.model import Model
    from ovvis.models.referring_tracker import ReferringTracker
    from ovvis.models.temporal_refiner import TemporalRefiner

    clip = FrozenClip(config.clip, config.quick_gelu)
    network, classifier = fc_clip_parts(config, clip, for_tracker=True)
    assert isinstance(network.class_head, PooledClassHead)
    sizes = config.heads, config.tracker_hidden
    return Model(
        name=name,
        family=FAMILY,
        config=config,
        clip=clip,
        network=network,
        classifier=classifier,
        pixel_mean=CLIP_MEAN,
        pixel_std=CLIP_STD,
        video=replace(
            tubes_of_logs(config.memory, config.matched, config.birth),
            learnt="offline" if config.refined else "online",
        ),
        short_edge=config.short_edge,
        tracker=ReferringTracker(
            network.query_decoder, network.class_head, config.width, config.tracker_layers, *sizes
        ),
        refiner=TemporalRefiner(config.width, config.refiner_layers, *sizes) if config.refined else None,
    )


def fits(config: OvDvisConfig, state: Mapping[str, Tensor]) -> bool:
    """Return whether a state is an OV-DVIS++'s of a configuration, as far as its tensors tell."""
    from ovvis.models.clip import carries_clip

    tracker, refiner = (any(name.startswith(f"{part}.") for name in state) for part in ("tracker", "refiner"))
    return tracker and refiner == config.refined and carries_clip(config.clip, state)
