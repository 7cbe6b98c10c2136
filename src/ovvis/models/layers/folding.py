"""BatchNorms folded into the convolutions before them."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torchvision.ops import FrozenBatchNorm2d


def fold_batch_norm(module: nn.Module) -> None:
    """Fold every BatchNorm, frozen or in evaluation mode, into the convolution before it: the same function, faster."""
    for parent in list(module.modules()):
        children = list(parent.named_children())
        for (first, convolution), (second, norm) in pairwise(children):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d | FrozenBatchNorm2d):
                _fold(convolution, norm)
                setattr(parent, first, convolution)
                setattr(parent, second, nn.Identity())


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d | FrozenBatchNorm2d) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    weight, bias = nn.utils.fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    convolution.weight, convolution.bias = weight, bias
