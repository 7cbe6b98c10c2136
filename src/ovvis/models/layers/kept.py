"""Tensors that follow from numbers alone, made once: a copy to a GPU waits for it, and none may be recorded."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec

import torch
from torch import Tensor

Given = ParamSpec("Given")
_KEPT: list[Callable[..., Tensor]] = []


def kept(make: Callable[Given, Tensor]) -> Callable[Given, Tensor]:
    """Decorate a function of sizes, devices and types: what it made for some of them is given again.

    An exported graph, whose sizes are no numbers, makes it anew; a compiled one holds it as a constant.
    """
    cached = lru_cache(maxsize=32)(make)

    @wraps(make)
    def get(*given: Given.args, **named: Given.kwargs) -> Tensor:
        if torch.compiler.is_exporting():
            return make(*given, **named)
        # What was made in inference mode could not take part in training later.
        with torch.inference_mode(False):
            return cached(*given, **named)  # type: ignore[arg-type]

    _KEPT.append(get)
    return get


def as_constants() -> None:
    """Have PyTorch's compiler take what is kept for constants; its import takes a second, so before compiling only."""
    for get in _KEPT:
        torch.compiler.assume_constant_result(get)  # type: ignore[no-untyped-call]
