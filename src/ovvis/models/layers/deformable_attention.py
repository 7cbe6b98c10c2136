"""Multi-scale deformable attention (Deformable DETR, eq. 3) in plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ovvis.models.layers.linear import Linear, linear
from ovvis.models.layers.samplers import BagSampler, GatherSampler, GridSampler, Sampler, Shapes, spread

Kernel = Callable[[Tensor, Tensor, Tensor, tuple[tuple[int, int], ...], int], Tensor]
_AT_ONCE = 2**18  # numbers of the aim that are worked on together where nothing is trained: 1 MiB


class DeformableAttention(nn.Module):
    """Each token looks at a few learned points of every level.

    Three samplers compute the same sum: `BagSampler` reads whole rows of channels and is an order of magnitude faster
    on a CPU; `GridSampler` uses `grid_sample`, which accelerators have kernels for; `GatherSampler` is what goes into
    an exported graph. On a GPU a kernel may do all of it in one pass, where that was asked for (`kernels`).

    Args:
        width: width of the tokens.
        heads: number of heads; divides `width`.
        levels: number of feature levels.
        points: points for each head and level.
    """

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.compiled = False  # whether training on a CPU compiles what PyTorch has no fast kernel for
        self.kernel: Kernel | None = None  # takes the place of aim and samples on a GPU: see `kernels.use_kernels`
        self.offsets = nn.Linear(width, heads * levels * points * 2)
        self.weights = nn.Linear(width, heads * levels * points)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self._initialise()

    def _initialise(self) -> None:
        """Start as Deformable DETR does: the heads look in eight directions, the points ever further out."""
        angle = torch.arange(self.heads, dtype=torch.float32) * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, self.points + 1, dtype=torch.float32)
        start = direction[:, None, None] * steps[None, None, :, None]
        nn.init.zeros_(self.offsets.weight)
        with torch.no_grad():
            self.offsets.bias.copy_(start.expand(-1, self.levels, -1, -1).flatten())
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        for layer in (self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def sampler(self, tokens: Tensor, shapes: Shapes) -> Sampler:
        """Return what `forward` samples: the values of all tokens (B, N, D), the levels one after another."""
        value = self.value(tokens).unflatten(-1, (self.heads, -1))  # B, N, heads, D / heads
        if torch.compiler.is_exporting():
            return GatherSampler(value, shapes)
        return BagSampler(value, shapes, self.compiled) if value.device.type == "cpu" else GridSampler(value, shapes)

    def forward(self, query: Tensor, reference: Tensor, sampler: Sampler, add: Tensor | None = None) -> Tensor:
        """Sample at points around each token's place.

        Args:
            query: B, M, D; tokens with their position codes: all of them, or some.
            reference: M, 2; x and y of each in [0, 1], float32.
            sampler: the values of all tokens.
            add: B, M, D; added to the result.

        Returns:
            B, M, D.
        """
        # One product for all three outputs, with x of all points before y of all points: both read faster.
        apart = [p.unflatten(0, (-1, 2)).transpose(0, 1).flatten(0, 1) for p in self.offsets.parameters()]
        weight, bias = (torch.cat(pair) for pair in zip(apart, self.weights.parameters(), strict=True))
        raw = linear(query, weight, bias)  # B, M, 3 * heads * levels * points
        if self.kernel is not None and isinstance(sampler, GridSampler) and not torch.is_grad_enabled():
            shapes = tuple(sampler.shapes)
            return self._put_out(self.kernel(sampler.value, raw, reference, shapes, self.points), add)
        few = max(_AT_ONCE // (raw.shape[0] * raw.shape[2]), 1)
        if raw.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling() or raw.shape[1] <= few:
            return self._put_out(sampler(*self.aim(raw, reference, sampler.shapes)), add)
        # A few tokens at a time: what lies between the steps stays in the processor's cache.
        parts = zip(raw.split(few, 1), reference.split(few), strict=True)
        sampled = [sampler(*self.aim(part, places, sampler.shapes)) for part, places in parts]
        return self._put_out(torch.cat(sampled, 1), add)

    def _put_out(self, sampled: Tensor, add: Tensor | None) -> Tensor:
        """Return the output (B, M, D) of what was sampled."""
        if isinstance(self.out, Linear):
            return self.out(sampled, add=add)  # type: ignore[no-any-return]
        out: Tensor = self.out(sampled)
        return out if add is None else out.add_(add)

    def aim(self, raw: Tensor, reference: Tensor, shapes: Shapes) -> tuple[Tensor, Tensor]:
        """Return where each token looks, and how much each place counts.

        Args:
            raw: B, M, 3 * heads * levels * points; offsets in x, then in y, then logits of the weights.
            reference: M, 2; as in `forward`.
            shapes: height and width of each level.

        Returns:
            places: B, M, 2, heads * levels * points; x, then y, in cells of the level; a cell's centre is whole.
            weights: B, M, heads * levels * points; of each head they add up to 1.
        """
        count = self.heads * self.levels * self.points
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))  # a place needs the digits
        offsets = raw[..., : 2 * count].unflatten(-1, (2, count))
        weights = _softmax(raw[..., 2 * count :].unflatten(-1, (self.heads, -1))).flatten(-2)
        size = spread([(w, h) for h, w in shapes], self.heads, self.points, reference.device)  # 2, count
        return offsets.addcmul(reference[..., None], size.float()) - 0.5, weights


def _softmax(x: Tensor) -> Tensor:
    """Return the softmax of a short last axis, for which PyTorch's own takes four times as long on a CPU."""
    raised = (x - x.amax(-1, keepdim=True)).exp()
    return raised / raised.sum(-1, keepdim=True)
