"""Blocks of well-known image encoders with activations and residual sums inside their convolutions, for inference."""

from __future__ import annotations

from typing import Any

import open_clip.modified_resnet
import timm.layers
import timm.layers.activations
import timm.models.convnext
import timm.models.resnet
import torch
from timm.models._features import FeatureListNet
from timm.models.swin_transformer import WindowAttention
from torch import Tensor, nn

from ovvis.models.layers.fused import ConvRelu, convolve
from ovvis.models.layers.linear import followed

_RESNETS = (open_clip.modified_resnet.Bottleneck, timm.models.resnet.Bottleneck)
_STEMS = (open_clip.modified_resnet.ModifiedResNet, timm.models.resnet.ResNet, FeatureListNet)
_GELUS = (nn.GELU, timm.layers.activations.GELU)


class FusedBottleneck(nn.Module):
    """A ResNet's bottleneck whose norms are folded. Its convolutions keep their names.

    Args:
        block: timm's or open_clip's, as `_plain_bottleneck` wants it.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = block.conv1, block.conv2, block.conv3
        self.pool = block.avgpool if hasattr(block, "avgpool") else block.aa  # open_clip's or timm's
        self.downsample = block.downsample

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        shortcut = x if self.downsample is None else self.downsample(x)
        inner = convolve(self.conv2, convolve(self.conv1, x, "relu"), "relu")
        return convolve(self.conv3, self.pool(inner), "relu", shortcut)


class FusedConvNeXt(nn.Module):
    """A ConvNeXt's block, its layer scale folded into the last linear layer.

    Args:
        block: timm's, as `_plain_convnext` wants it.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv_dw, self.norm, self.mlp = block.conv_dw, block.norm, block.mlp
        last = block.mlp.fc2
        if block.gamma is not None:
            with torch.no_grad():
                last.weight = nn.Parameter(last.weight * block.gamma[:, None], requires_grad=False)
                last.bias = nn.Parameter(last.bias * block.gamma, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same."""
        inner = self.norm(self.conv_dw(x).permute(0, 2, 3, 1))
        return mlp(self.mlp, inner, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def mlp(part: Any, x: Tensor, add: Tensor) -> Tensor:
    """Return `add` plus what timm's Mlp, in evaluation mode, gives of tokens (..., C)."""
    if not _plain_mlp(part):
        return add + part(x)  # type: ignore[no-any-return]
    return followed(part.fc2, followed(part.fc1, x, "gelu"), add=add)


def fuse_blocks(module: nn.Module) -> None:
    """Put fused blocks in the place of those that are known, in place; BatchNorms must be folded before."""
    for parent in list(module.modules()):
        if isinstance(parent, _STEMS):
            _fuse_stem(parent)
        for name, child in list(parent.named_children()):
            if type(child) is WindowAttention:
                child.fused_attn = True  # type: ignore[assignment]  # PyTorch's own kernel
            elif _plain_bottleneck(child):
                setattr(parent, name, FusedBottleneck(child).train(child.training))
            elif _plain_convnext(child):
                setattr(parent, name, FusedConvNeXt(child).train(child.training))


def _fuse_stem(encoder: nn.Module) -> None:
    """Put the ReLUs between a ResNet's first convolutions into these."""
    for conv, norm, act in (("conv1", "bn1", "act1"), ("conv2", "bn2", "act2"), ("conv3", "bn3", "act3")):
        parts = (getattr(encoder, name, None) for name in (conv, norm, act))
        layer, between, last = parts
        if type(layer) is nn.Conv2d and isinstance(between, nn.Identity) and type(last) is nn.ReLU:
            setattr(encoder, conv, ConvRelu.of(layer))
            setattr(encoder, act, nn.Identity())


def _none(part: Any) -> bool:
    return part is None or isinstance(part, nn.Identity)


def _plain_bottleneck(block: Any) -> bool:
    """Return whether a module is a bottleneck of nothing but convolutions and ReLUs."""
    return (
        type(block) in _RESNETS
        and all(_none(getattr(block, name, None)) for name in ("bn1", "bn2", "bn3", "drop_block", "se", "drop_path"))
        and all(type(act) is nn.ReLU for act in (block.act1, block.act2, block.act3))
    )


def _plain_convnext(block: Any) -> bool:
    """Return whether a module is a ConvNeXt's block as the first paper has it, without stochastic depth."""
    return (
        type(block) is timm.models.convnext.ConvNeXtBlock
        and not block.use_conv_mlp
        and _none(block.shortcut)
        and (_none(block.drop_path) or not block.training)
        and _plain_mlp(block.mlp)
    )


def _plain_mlp(part: Any) -> bool:
    return (
        type(part) is timm.layers.Mlp
        and isinstance(part.fc1, nn.Linear)
        and type(part.act) in _GELUS
        and getattr(part.act, "approximate", "none") == "none"
        and _none(part.norm)
        and not part.training
    )
