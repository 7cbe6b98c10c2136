"""Linear layers that are fast on every CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ovvis.models.layers.fused import After, after_plain, convolution, dense, fuses

_FEW = 1024  # tokens below which a convolution gains nothing
_MANY = 4096  # rows from which oneDNN gains in `products`


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, after: After = "none", add: Tensor | None = None
) -> Tensor:
    """Return `F.linear` of `x` (..., D_in) to (..., D_out), then the sum with `add`, then an activation.

    On a CPU by oneDNN's 1 x 1 convolution. PyTorch's own takes MKL there, which holds back on processors that are not
    Intel's: on an AMD EPYC (Zen 5) a float32 product of 8,505 tokens takes 2.2 times as long as the same product as a
    convolution. The operands are views in channels-last order, so nothing is copied.
    """
    if x.device.type != "cpu" or torch.compiler.is_exporting() or not _gains(x):
        return after_plain(F.linear(x, weight, bias), after, add)
    out = convolution(_as_image(x), weight[:, :, None, None], bias, after, None if add is None else _as_image(add))
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def _as_image(x: Tensor) -> Tensor:
    """Return tokens (..., D) as an image (1, D, 1, N): the tokens' own memory, channels-last."""
    return x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)


def _gains(x: Tensor) -> bool:
    """Return whether a convolution is the faster way for these tokens."""
    return x.dtype in (torch.float32, torch.bfloat16) and 0 < _FEW * x.shape[-1] <= x.numel()


def products(x: Tensor, rows: Tensor) -> Tensor:
    """Return the products (..., N) of vectors (..., D) with every row (N, D): `x @ rows.T`.

    With very many rows on a CPU by oneDNN's linear layer, for the same reason: 100 vectors and 10,000 rows of 1,024
    float32 numbers take two thirds of the time on an AMD EPYC (Zen 4). Few rows go PyTorch's own way.
    """
    # Exporting comes first: a number of rows that was looked at is the only one that a graph takes.
    if torch.compiler.is_exporting() or len(rows) < _MANY or not fuses(x, rows):
        return x @ rows.T
    return dense(x, rows)


class Linear(nn.Linear):
    """`nn.Linear` through `linear`: the same parameters, names and result."""

    def forward(self, x: Tensor, after: After = "none", add: Tensor | None = None) -> Tensor:
        """Map (..., D_in) to (..., D_out), with what follows: see `linear`."""
        return linear(x, self.weight, self.bias, after, add)


def followed(layer: nn.Module, x: Tensor, after: After = "none", add: Tensor | None = None) -> Tensor:
    """Return a linear layer's result, then the sum with `add`, then an activation; in one pass where it is `Linear`."""
    if isinstance(layer, Linear):
        return layer(x, after, add)  # type: ignore[no-any-return]
    return after_plain(layer(x), after, add)


def replace_linears(module: nn.Module) -> None:
    """Put `Linear` in the place of every plain `nn.Linear` inside a module; the parameters stay the same objects."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                faster = Linear(child.in_features, child.out_features, child.bias is not None, device="meta")
                faster.weight, faster.bias = child.weight, child.bias
                setattr(parent, name, faster.train(child.training))
