"""What installed packages add to the tables of families and models, through entry points."""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points
from typing import Any

FAMILIES = "ovvis.families"
"""Group of entry points that give a `Family`, each under its family's name."""
MODELS = "ovvis.models"
"""Group of entry points that give `ModelEntry`s, a list each."""


def outside(group: str, kind: type, known: dict[str, Any]) -> dict[str, Any]:
    """Return what installed packages give under a group of entry points, by name.

    One that fails, that gives something else or whose name is taken is left out, with a warning that names it.

    Args:
        group: `FAMILIES` or `MODELS`.
        kind: what it must give, or a list of it, then by the `name` of each.
        known: the names that are taken.
    """
    found: dict[str, Any] = {}
    for point in entry_points(group=group):
        where = f"{group} {point.name!r} of the package {point.dist.name if point.dist else '?'}"
        try:
            given = point.load()
        except Exception as error:  # somebody else's code
            warnings.warn(f"{where} cannot be imported ({type(error).__name__}: {error}): left out", stacklevel=2)
            continue
        items = {point.name: given} if isinstance(given, kind) else None
        if isinstance(given, (list, tuple)) and all(isinstance(item, kind) for item in given):
            items = {item.name: item for item in given}
        if items is None:
            warnings.warn(f"{where} gives a {type(given).__name__}, not a {kind.__name__}: left out", stacklevel=2)
            continue
        for name, item in items.items():
            if name in known or name in found:
                warnings.warn(f"{where}: the name {name!r} is taken: left out", stacklevel=2)
            else:
                found[name] = item
    return found
