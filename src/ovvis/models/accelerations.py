"""Ways to be faster that are off unless they are asked for: their names, read without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable

from ovvis.errors import InputError, nearest

ACCELERATIONS = {
    "kernels": "deformable attention in one kernel on a GPU, by Triton",
    "compile": "the network compiled by PyTorch: a minute or more for each size; slower on the CPU that was measured",
    "graph": "the network's launches on a GPU recorded once for each size and replayed",
    "overlap": "frames are read ahead, and what the network found is read back a frame late",
    "batch": "as many windows at once as pay and fit into a GPU's free memory, where no number is asked for",
}
"""Each is tried against PyTorch's own way where it is asked for, and told and left out where it differs."""

ALL = "all"


def accelerations(asked: str | Iterable[str]) -> tuple[str, ...]:
    """Return the ways that are asked for, each once: names, or text with commas between; "all" for all of them.

    Raises:
        InputError: there is none of that name.

    >>> accelerations("graph, kernels,graph")
    ('graph', 'kernels')
    >>> accelerations("")
    ()
    """
    names = [word.strip() for word in asked.split(",")] if isinstance(asked, str) else list(asked)
    names = [name for name in dict.fromkeys(names) if name]
    for name in names:
        if name not in (*ACCELERATIONS, ALL):
            raise InputError(f"accelerate {name!r}: {nearest(name, [*ACCELERATIONS, ALL])}")
    return tuple(ACCELERATIONS) if ALL in names else tuple(names)
