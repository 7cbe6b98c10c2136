"""Tensors that follow from numbers alone, made once: a copy to a GPU waits for it, and none may be recorded."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import torch
from torch import Tensor

Given = ParamSpec("Given")
_MOST = 32  # that are kept of each function


def kept(make: Callable[Given, Tensor]) -> Callable[Given, Tensor]:
    """Decorate a function of sizes, devices and types: what it made for some of them is given again.

    An exported graph, whose sizes are no numbers, makes it anew. PyTorch's compiler reads a plain dict, and no
    `lru_cache`: so a compiled network has what the plain one made before it.
    """
    known: dict[tuple[object, ...], Tensor] = {}

    @wraps(make)
    def get(*given: Given.args, **named: Given.kwargs) -> Tensor:
        if torch.compiler.is_exporting():
            return make(*given, **named)
        key = (*given, *named.values())
        if key in known:
            return known[key]
        if torch.compiler.is_compiling():
            return make(*given, **named)
        # What was made in inference mode could not take part in training later.
        with torch.inference_mode(False):
            made = make(*given, **named)
        while len(known) >= _MOST:
            known.pop(next(iter(known)), None)
        known[key] = made
        return made

    return get
