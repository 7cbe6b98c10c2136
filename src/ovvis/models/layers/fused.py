"""Convolutions and linear layers with the steps behind them in one pass: oneDNN's, for inference on a CPU.

PyTorch has no public name for them. So they are tried before they are used: where they are missing, or say something
else than the plain steps do, the plain steps are taken. Nothing of a weight is kept: a changed one counts at once.
"""

from __future__ import annotations

import logging
from functools import cache
from itertools import product
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

After = Literal["none", "relu", "gelu"]
Pair = tuple[int, int]

_CLOSE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}  # relative and absolute, of numbers about 1; others are not fused
_log = logging.getLogger(__name__)


def convolve(layer: nn.Conv2d, x: Tensor, after: After = "none", add: Tensor | None = None) -> Tensor:
    """Return what a convolution gives of `x` (N, C, H, W), then the sum with `add`, then an activation.

    In one pass where that can be; see above.
    """
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return after_plain(layer._conv_forward(x, layer.weight, layer.bias), after, add)
    stride, padding, dilation = ((int(pair[0]), int(pair[1])) for pair in (layer.stride, layer.padding, layer.dilation))
    return convolution(x, layer.weight, layer.bias, after, add, stride, padding, dilation, layer.groups)


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    after: After = "none",
    add: Tensor | None = None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Return `F.conv2d`, then the sum with `add` (of the result's shape), then an activation."""
    if (add is not None and groups > 1) or not fuses(x, weight, add):  # no sums behind groups
        return after_plain(F.conv2d(x, weight, bias, stride, padding, dilation, groups), after, add)
    return _in_one_pass(x, weight, bias, after, add, stride, padding, dilation, groups)


def fuses(x: Tensor, weight: Tensor, add: Tensor | None = None) -> bool:
    """Return whether one pass can be taken: on a CPU, without a gradient, and with nobody who reads the steps."""
    if x.device.type != "cpu" or x.dtype not in _CLOSE or torch.is_autocast_enabled("cpu"):
        return False
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or is_in_torch_dispatch_mode():  # type: ignore[attr-defined, no-untyped-call]
        return False
    tensors = [t for t in (x, weight, add) if t is not None]
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return False
    if any(t.dtype != x.dtype for t in tensors) or not x.numel() or not torch.backends.mkldnn.enabled:
        return False
    return can_fuse(x.dtype)


def after_plain(x: Tensor, after: After, add: Tensor | None) -> Tensor:
    """Return `x`, which may be written into, plus `add`, then an activation: the plain steps."""
    if add is not None:
        x = add + x
    if after == "relu":
        return x.relu_()
    return F.gelu(x) if after == "gelu" else x


def _in_one_pass(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    after: After,
    add: Tensor | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Tensor:
    run = torch.ops.mkldnn._convolution_pointwise
    kind, how = (None, None) if after == "none" else (after, "none" if after == "gelu" else None)
    geometry = (list(padding), list(stride), list(dilation), groups)
    x = x.contiguous(memory_format=torch.channels_last)
    if add is None:
        return run(x, weight, bias, *geometry, kind or "none", [], how)  # type: ignore[no-any-return]
    add = add.contiguous(memory_format=torch.channels_last)  # else it falls back to steps
    if after == "gelu":  # after a sum there is only the ReLU
        return F.gelu(run.binary(x, add, weight, bias, *geometry, "add", None, None, [], None))
    return run.binary(x, add, weight, bias, *geometry, "add", None, kind, [], None)  # type: ignore[no-any-return]


def dense(x: Tensor, weight: Tensor) -> Tensor:
    """Return `F.linear` without a bias by oneDNN's linear layer; where `fuses` says so."""
    return torch.ops.mkldnn._linear_pointwise(x, weight.contiguous(), None, "none", [], "")  # type: ignore[no-any-return]


class ConvRelu(nn.Conv2d):
    """A convolution with the ReLU behind it: the same parameters and names as the convolution's."""

    @classmethod
    def of(cls, layer: nn.Conv2d) -> ConvRelu:
        """Return it with the parameters of a convolution."""
        width, size, bias = (layer.in_channels, layer.out_channels), layer.kernel_size, layer.bias is not None
        geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
        new = cls(*width, size, *geometry, bias, layer.padding_mode, device="meta")  # type: ignore[arg-type]
        new.weight, new.bias = layer.weight, layer.bias
        return new.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        return convolve(self, x, "relu")


@cache
def can_fuse(dtype: torch.dtype) -> bool:
    """Return whether this machine's oneDNN gives in one pass what the plain steps give; tried once, told where not."""
    if dtype not in _CLOSE or not torch.backends.mkldnn.is_available():
        return False
    draw = torch.Generator().manual_seed(0)
    cases = product(((1, 1), (3, 3), (3, 1)), (1, 2), ("none", "relu", "gelu"), (False, True), (False, True))
    try:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            for (side, stride), groups, after, added, biased in cases:
                if added and groups > 1:
                    continue
                x, weight, bias, add = (
                    torch.randn(shape, generator=draw).to(dtype)
                    for shape in ((2, 16, 7, 9), (32, 16 // groups, side, side), (32,), (1,))
                )
                x = x.to(memory_format=torch.channels_last)
                weight = weight / weight[0].numel() ** 0.5
                size = ((stride, stride), (side // 2, side // 2), (1, 1), groups)
                plain = F.conv2d(x, weight, bias if biased else None, *size)
                other = add + torch.randn(plain.shape, generator=draw).to(dtype) if added else None
                got = _in_one_pass(x, weight, bias if biased else None, after, other, *size)  # type: ignore[arg-type]
                kept = None if other is None else other.clone()
                wanted = after_plain(plain, after, kept)  # type: ignore[arg-type]
                _check(got, wanted)
                if side == groups == 1 and after == "none" and not added and not biased:
                    _check(dense(x.permute(0, 2, 3, 1), weight[:, :, 0, 0]), wanted.permute(0, 2, 3, 1))
    except (AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
        _log.debug("oneDNN's steps in one pass are not used for %s: %s", dtype, error)
        return False
    return True


def _check(got: Tensor, wanted: Tensor) -> None:
    close = _CLOSE[wanted.dtype]
    if got.dtype != wanted.dtype or not torch.allclose(got, wanted, rtol=close, atol=close):
        raise RuntimeError("it differs from the plain steps")
