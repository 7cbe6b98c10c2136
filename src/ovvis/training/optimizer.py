"""The optimizer, its parameter groups and its rate over the steps: AdamW as released, or Muon beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import Any, Literal

import torch
from torch import Tensor, nn

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm)
# Parameters that are embeddings though no `nn.Embedding` holds them. The pixel decoder's `level_code` is decayed, as
# released: its authors had the one in an `nn.Embedding` and the other in a bare parameter.
_TABLES = ("relative_position_bias_table", "absolute_pos_embed")  # of a Swin Transformer; not decayed, as released
_EMBEDDINGS = ("query_decoder.query_features", "query_decoder.query_code", "query_decoder.level_code")

# CLIP-VIS on LVIS: shares of the run after which the rate falls, by the released configuration (368,750 steps: 327,778
# and 355,092) and by the paper's text (section IV-B: epochs 26 and 28 of 30).
RATE_FALLS = {"released": (8 / 9, 26 / 27), "paper": (26 / 30, 28 / 30)}


@dataclass(frozen=True, slots=True)
class OptimizerConfig:
    """The optimizer and its rate, as CLIP-VIS was trained on LVIS."""

    # "muon": weights of two dimensions by Muon (Jordan et al., 2024), the rest by AdamW; the rate is for both, since
    # Muon's updates are given the size of AdamW's (Liu et al., 2025)
    kind: Literal["adamw", "muon"] = "adamw"
    rate: float = 1e-4  # learning rate
    backbone_rate: float = 0.1  # the backbone's, as a share of `rate`; a frozen backbone has none
    weight_decay: float = 0.05  # of all but norms and embeddings; biases are decayed
    warmup_steps: int = 10  # over which the rate rises in a line
    warmup_from: float = 1.0  # where it starts, as a share of `rate`; 1 (released) is no warm-up
    # After warm-up the rate falls at `decay_at`, at those of `RATE_FALLS` by name, or along a cosine to 0
    schedule: Literal["steps", "released", "paper", "cosine"] = "steps"
    decay_at: tuple[float, ...] = RATE_FALLS["released"]  # shares of the run after which the rate falls
    decay: float = 0.1  # by this factor each time

    def __post_init__(self) -> None:
        for name in ("rate", "weight_decay", "warmup_steps", "backbone_rate"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be below 0, not {getattr(self, name)}")
        for name in ("warmup_from", "decay"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in (0, 1], not {getattr(self, name)}")
        if list(self.decay_at) != sorted(self.decay_at) or not all(0 < share <= 1 for share in self.decay_at):
            raise ValueError(f"decay_at must be rising shares of the run in (0, 1], not {self.decay_at}")


class BatchedMuon(torch.optim.Muon):
    """PyTorch's Muon, all matrices of one size at once: a network of small ones needs a tenth of the operations."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step; return what a closure returned."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            momentum, nesterov, rate = group["momentum"], group["nesterov"], group["lr"]
            sizes: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    sizes[weight.shape].append(weight)
            for size, weights in sizes.items():
                gradients: list[Tensor] = [weight.grad for weight in weights if weight.grad is not None]
                states = [self.state[weight] for weight in weights]
                for state, gradient in zip(states, gradients, strict=True):
                    if "momentum_buffer" not in state:
                        state["momentum_buffer"] = torch.zeros_like(gradient)
                buffers = [state["momentum_buffer"] for state in states]
                torch._foreach_lerp_(buffers, gradients, 1 - momentum)
                updates = torch.stack(torch._foreach_lerp(gradients, buffers, momentum) if nesterov else buffers)
                updates = orthogonal(updates, group["ns_coefficients"], group["ns_steps"], group["eps"])
                torch._foreach_mul_(weights, 1 - rate * group["weight_decay"])
                # The root of the longer side, times 0.2: as large as AdamW's usual update.
                torch._foreach_add_(weights, list(updates.float().unbind()), alpha=-rate * 0.2 * max(size) ** 0.5)
        return loss


def orthogonal(matrices: Tensor, coefficients: Sequence[float], steps: int, eps: float) -> Tensor:
    """Return what Muon makes of updates: matrices whose singular values lie near 1, by a Newton-Schulz iteration.

    Args:
        matrices: N, h, w.
        coefficients: three, of the iteration's polynomial of fifth degree.
        steps: of the iteration.
        eps: least norm that a matrix is divided by.

    Returns:
        N, h, w; bfloat16, in which it computes.
    """
    a, b, c = coefficients
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.bfloat16()
    x = x.mT.contiguous() if tall else x
    x = x / x.flatten(1).norm(dim=1).clamp(min=eps)[:, None, None]
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for some parameter groups and AdamW for others, as one optimizer.

    Args:
        adamw: groups of AdamW.
        muon: groups of Muon, of parameters of two dimensions.
    """

    def __init__(self, adamw: list[dict[str, Any]], muon: list[dict[str, Any]]) -> None:
        self._parts: dict[str, torch.optim.Optimizer] = {}
        if adamw:
            self._parts["adamw"] = torch.optim.AdamW(adamw)
        if muon:
            self._parts["muon"] = BatchedMuon(muon, adjust_lr_fn="match_rms_adamw")
        # The very dictionaries of the parts: a rate that is set here is theirs.
        super().__init__([group for part in self._parts.values() for group in part.param_groups], {})

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step with each part; return what a closure returned."""
        loss = None if closure is None else closure()
        for part in self._parts.values():
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the parts' states, by name."""
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Set the parts' states."""
        for name, part in self._parts.items():
            part.load_state_dict(state_dict[name])
        self.param_groups = [group for part in self._parts.values() for group in part.param_groups]


def build_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Return the optimizer of a network's trainable parameters; what is frozen has no place and no state in it."""
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter, decayed in trainable(network):
        rate = config.rate * (config.backbone_rate if "backbone" in name.split(".") else 1.0)
        by_muon = config.kind == "muon" and decayed and parameter.ndim == 2
        groups[rate, config.weight_decay if decayed else 0.0, by_muon].append(parameter)
    if not groups:
        raise ValueError("the network has nothing to train: every parameter is frozen")
    rows: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    # In a fixed order: a checkpoint's optimizer state is by position.
    for key in sorted(groups, reverse=True):
        rate, decay, by_muon = key
        rows[by_muon].append({"params": groups[key], "lr": rate, "weight_decay": decay})
    if config.kind == "adamw":
        return torch.optim.AdamW(rows[False], lr=config.rate, weight_decay=config.weight_decay)
    return MuonWithAdamW(rows[False], rows[True])


def trainable(network: nn.Module) -> Iterator[tuple[str, nn.Parameter, bool]]:
    """Yield name and parameter of what is trained, each once, and whether its weight is decayed.

    As released: no decay for the parameters of norms and embeddings; biases are decayed as weights are.
    """
    seen: set[nn.Parameter] = set()
    for path, module in network.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            if parameter in seen or not parameter.requires_grad:
                continue
            seen.add(parameter)
            name = f"{path}.{own}" if path else own
            embedding = (
                own in _TABLES
                or isinstance(module, nn.Embedding)
                or ("." + name).endswith(tuple("." + e for e in _EMBEDDINGS))
            )
            yield name, parameter, not (embedding or isinstance(module, _NORMS))


def rate_factor(step: int, steps: int, config: OptimizerConfig) -> float:
    """Return the rate of a step (counted from 0) of a run, as a share of the configured one.

    >>> config = OptimizerConfig(warmup_steps=4, warmup_from=0.2, decay_at=(0.5, 0.9))
    >>> [round(rate_factor(step, 20, config), 4) for step in (0, 2, 4, 9, 10, 17, 18)]
    [0.2, 0.6, 1.0, 1.0, 0.1, 0.1, 0.01]
    >>> config = OptimizerConfig(schedule="cosine")
    >>> [round(rate_factor(step, 20, config), 4) for step in (0, 10, 19)]
    [1.0, 0.5, 0.0062]
    >>> config = OptimizerConfig(schedule="paper")
    >>> [round(rate_factor(step, 30, config), 4) for step in (25, 26, 27, 28)]
    [1.0, 0.1, 0.1, 0.01]
    """
    if config.schedule == "cosine":
        factor = 0.5 + 0.5 * cos(pi * step / steps)
    else:
        falls = RATE_FALLS.get(config.schedule, config.decay_at)
        factor = config.decay ** sum(step >= round(share * steps) for share in falls)
    if step < config.warmup_steps:
        factor *= config.warmup_from + (1 - config.warmup_from) * step / config.warmup_steps
    return float(factor)
