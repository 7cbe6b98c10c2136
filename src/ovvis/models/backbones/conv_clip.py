"""The feature pyramid of a frozen convolutional CLIP (ResNet or ConvNeXt)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ovvis.models.backbones.pyramid import Backbone, Pyramid
from ovvis.models.clip import FrozenClip


class ConvClipBackbone(Backbone):
    """A view of a frozen CLIP's image encoder. It owns no weights: the model's `clip` does.

    Args:
        clip: a CLIP whose image encoder is a ResNet of OpenAI's kind or timm's ConvNeXt.
    """

    def __init__(self, clip: FrozenClip) -> None:
        super().__init__()
        # In a tuple, so that the weights appear once in the model's state, under `clip`.
        self._clip = (clip,)
        self.channels = clip.channels

    def forward(self, pixels: Tensor) -> Pyramid:
        """Return the pyramid of normalised images (N, 3, H, W). No gradient while the CLIP is frozen."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._clip[0].frozen):
            return self._pyramid(pixels)

    def _pyramid(self, pixels: Tensor) -> Pyramid:
        visual = self._clip[0].visual
        trunk = getattr(visual, "trunk", None)
        levels = _resnet_levels(visual, pixels) if trunk is None else _convnext_levels(trunk, pixels)
        dense = levels[-1] if trunk is None else trunk.norm_pre(levels[-1])
        return Pyramid(levels, dense)


def _resnet_levels(visual: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run a CLIP ResNet without its attention pooling."""
    x = visual.stem(x)
    stages = [visual.layer1, visual.layer2, visual.layer3, visual.layer4]
    return _stages(stages, x)


def _convnext_levels(trunk: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run a timm ConvNeXt without its head."""
    return _stages(list(trunk.stages), trunk.stem(x))


def _stages(stages: Sequence[Callable[[Tensor], Tensor]], x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    levels = []
    for stage in stages:
        x = stage(x)
        levels.append(x)
    fine, middle, coarse, coarsest = levels
    return fine, middle, coarse, coarsest
