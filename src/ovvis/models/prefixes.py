"""What wraps of a network leave in the names of its tensors: data parallel, compiled, Lightning's, averaged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from torch import Tensor

from ovvis.errors import InputError

# At the beginning of every name, in any order; the last are how people call the network in a training module.
WRAPS = (
    "module.",
    "_orig_mod.",
    "_fsdp_wrapped_module.",
    "model.",
    "ema_model.",
    "model_ema.",
    "ema.",
    "student.",
    "net.",
)
_INSIDE = re.compile(r"(?<=\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_COUNTERS = ("n_averaged", "num_updates", "decay")  # of averaged networks, beside their weights


def unwrapped(state: Mapping[str, Tensor], where: str) -> tuple[dict[str, Tensor], str]:
    """Return tensors under the names that the network itself gave them, and what was removed from all names.

    A beginning is removed only where every name has it: else it is a part of the network.

    Args:
        state: tensors by name.
        where: the file, for the error.

    Raises:
        InputError: two names become one, or the names are those of two copies of a network.
    """
    names = {name: name for name in state}
    counters = [name for name in names if name in _COUNTERS and state[name].ndim == 0]
    removed = ""
    while True:
        wrapped = [name for name in names if name not in counters]
        wrap = next((wrap for wrap in WRAPS if wrapped and all(names[n].startswith(wrap) for n in wrapped)), None)
        if wrap is None:
            break
        removed += wrap
        names = {name: names[name].removeprefix(wrap) for name in wrapped}
    inside = {name: _INSIDE.sub("", short) for name, short in names.items()}
    if inside != names:
        removed = removed or "_orig_mod."
    twice = [short for short, count in Counter(inside.values()).items() if count > 1]
    if twice or "" in inside.values():
        raise InputError(f"{where}: two tensors are called {(twice or [''])[0]!r} without their wraps; fetch it again")
    _check_copies(list(inside.values()), where)
    return {short: state[name] for name, short in inside.items()}, removed


def _check_copies(names: Sequence[str], where: str) -> None:
    """Refuse a file with a network and its running mean side by side: which is meant, nobody says."""
    found = {wrap: {name.removeprefix(wrap) for name in names if name.startswith(wrap)} for wrap in WRAPS}
    copies = [wrap for wrap, rest in found.items() if len(rest) > 1]
    for wrap in copies[1:]:
        if len(found[wrap] & found[copies[0]]) > 0.5 * len(found[wrap]):
            raise InputError(
                f"{where} holds a network twice, its names beginning with {copies[0]!r} and with {wrap!r}; save the "
                "tensors of one of them"
            )
