"""The feature pyramid of a convolutional CLIP (ResNet or ConvNeXt): its own, frozen, or a copy that is trained."""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.layers import freeze_batch_norm_2d
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
        encoder = _encoder(self._clip[0])
        levels = _levels(encoder, pixels)
        norm = getattr(encoder, "norm_pre", None)  # of a ConvNeXt
        return Pyramid(levels, levels[-1] if norm is None else norm(levels[-1]))


class TrainedClipBackbone(Backbone):
    """An encoder of the same architecture as a CLIP's, with weights of its own: it is trained, the CLIP stays frozen.

    Args:
        clip: a CLIP whose image encoder is a ResNet of OpenAI's kind or timm's ConvNeXt.
        frozen_norm: whether BatchNorms keep their statistics, scales and shifts in training.

    Raises:
        ValueError: the CLIP's image encoder is of another kind.
    """

    def __init__(self, clip: FrozenClip, frozen_norm: bool = True) -> None:
        super().__init__()
        if not any(hasattr(_encoder(clip), stage) for stage in ("layer1", "stages")):
            raise ValueError(f"CLIP {clip.name} has no convolutional encoder that a backbone could be a copy of")
        self.channels = clip.channels
        net = copy.deepcopy(_encoder(clip))
        for pooling in ("attnpool", "head", "norm_pre"):  # what stands above the levels
            if hasattr(net, pooling):
                delattr(net, pooling)
        self.net = freeze_batch_norm_2d(net) if frozen_norm else net

    def copy_weights(self, clip: FrozenClip) -> None:
        """Begin with the weights of a CLIP's encoder."""
        theirs = _encoder(clip).state_dict()
        self.net.load_state_dict({name: theirs[name] for name in self.net.state_dict()})

    def forward(self, pixels: Tensor) -> Pyramid:
        """Return the pyramid of normalised images (N, 3, H, W)."""
        return Pyramid(_levels(self.net, pixels), None)


def _encoder(clip: FrozenClip) -> Any:
    """Return a CLIP's ResNet, or its timm ConvNeXt."""
    return getattr(clip.visual, "trunk", clip.visual)


def _levels(encoder: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run an encoder without what stands above its four stages."""
    x = encoder.stem(x)
    stages = getattr(encoder, "stages", None)  # of a ConvNeXt
    if stages is None:
        stages = (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4)
    levels = []
    for stage in stages:
        x = stage(x)
        levels.append(x)
    fine, middle, coarse, coarsest = levels
    return fine, middle, coarse, coarsest
