"""The feature pyramid of a timm image encoder: ResNets and their like, and Swin Transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import timm
import torch
import torch.nn.functional as F
from timm.layers import freeze_batch_norm_2d
from timm.models.swin_transformer import SwinTransformer, window_partition, window_reverse
from torch import Tensor, nn

from ovvis.models.backbones.fused_blocks import mlp
from ovvis.models.backbones.pyramid import STRIDES, Backbone, Pyramid


def build_timm_backbone(name: str, frozen_norm: bool, drop_path: float) -> Backbone:
    """Return an untrained timm image encoder.

    Args:
        name: timm's name of the architecture, such as "resnet50" or "swin_base_patch4_window12_384".
        frozen_norm: whether BatchNorms keep their statistics, scales and shifts in training, as released.
        drop_path: share of a Swin's residual branches left out in training (stochastic depth).

    Raises:
        ValueError: timm knows no such architecture, or it gives no features at strides 4, 8, 16 and 32.
    """
    if not timm.is_model(name):
        raise ValueError(f"timm knows no architecture {name!r}; see timm.list_models()")
    if name.startswith("swin_"):
        return SwinBackbone(name, drop_path)
    return ConvBackbone(name, frozen_norm)


class ConvBackbone(Backbone):
    """A convolutional encoder, such as detectron2's ResNet-50 with frozen BatchNorms.

    Args:
        name: timm's name of the architecture.
        frozen_norm: whether BatchNorms are frozen.
    """

    def __init__(self, name: str, frozen_norm: bool = True) -> None:
        super().__init__()
        net = timm.create_model(name, pretrained=False, features_only=True)
        strides = net.feature_info.reduction()
        if not set(STRIDES) <= set(strides):
            raise ValueError(f"backbone {name!r} gives features at strides {strides}, not at {list(STRIDES)}")
        self._levels = [strides.index(stride) for stride in STRIDES]
        a, b, c, d = (int(net.feature_info.channels()[i]) for i in self._levels)
        self.channels = (a, b, c, d)
        self.net = freeze_batch_norm_2d(net) if frozen_norm else net

    def forward(self, pixels: Tensor) -> Pyramid:
        """Return the pyramid of normalised images (N, 3, H, W)."""
        maps = self.net(pixels)
        fine, middle, coarse, coarsest = (maps[i] for i in self._levels)
        return Pyramid((fine, middle, coarse, coarsest), None)


class SwinBackbone(Backbone):
    """A Swin Transformer with a norm on every level, on timm's parts.

    timm shifts a map before it pads it to whole attention windows; the released code pads first, so that the padding
    stands at the right and bottom of the shifted map's other sides. They differ at every size that is no multiple of
    the attention window, so the way through a block is written here.

    Args:
        name: timm's name of the architecture.
        drop_path: share of residual branches left out in training.
    """

    def __init__(self, name: str, drop_path: float = 0.0) -> None:
        super().__init__()
        net = timm.create_model(
            name,
            pretrained=False,
            num_classes=0,
            always_partition=True,  # the attention window keeps its size on maps that are smaller
            strict_img_size=False,
            drop_path_rate=drop_path,
            weight_init="skip",
        )
        net = cast(SwinTransformer, net)
        a, b, c, d = (int(info["num_chs"]) for info in net.feature_info)
        self.channels = (a, b, c, d)
        self.patch_embed: Any = net.patch_embed
        self.layers: Any = net.layers
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in self.channels)

    def forward(self, pixels: Tensor) -> Pyramid:
        """Return the pyramid of normalised images (N, 3, H, W)."""
        x = self.patch_embed(pixels)  # N, h, w, C
        levels = []
        for stage, norm in zip(self.layers, self.norms, strict=True):
            x = stage.downsample(x)
            masks: dict[Any, Tensor] = {}
            for block in stage.blocks:
                x = x + block.drop_path1(_attend(block, block.norm1(x), masks))
                if block.training:
                    x = x + block.drop_path2(block.mlp(block.norm2(x)))
                else:
                    x = mlp(block.mlp, block.norm2(x), x)
            levels.append(norm(x).permute(0, 3, 1, 2))  # N, C, h, w; channels-last in memory
        fine, middle, coarse, coarsest = levels
        return Pyramid((fine, middle, coarse, coarsest), None)


def _attend(block: Any, x: Tensor, masks: dict[Any, Tensor]) -> Tensor:
    """Return a Swin block's windowed attention over a map (N, h, w, C).

    Args:
        block: of timm.
        x: the normed map.
        masks: of this map's size, by the block's shift; filled on first use.
    """
    size: Sequence[int] = block.window_size
    shift: Sequence[int] = block.shift_size
    h, w = x.shape[1:3]
    x = F.pad(x, (0, 0, 0, -w % size[1], 0, -h % size[0]))
    padded = x.shape[1:3]
    mask = None
    if any(shift):
        x = torch.roll(x, (-shift[0], -shift[1]), dims=(1, 2))
        if tuple(shift) not in masks:
            masks[tuple(shift)] = block.get_attn_mask(x)
        mask = masks[tuple(shift)]
    windows = window_partition(x, size).flatten(1, 2)
    windows = block.attn(windows, mask=mask).unflatten(1, tuple(size))
    x = window_reverse(windows, size, *padded)
    if any(shift):
        x = torch.roll(x, tuple(shift), dims=(1, 2))
    return x[:, :h, :w]
