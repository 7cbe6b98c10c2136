"""Libraries that only some verbs need, and that `pip install ovvis` therefore leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from ovvis.errors import ResourceError


def need(verb: str, extra: str, modules: Sequence[str]) -> None:
    """Refuse a verb whose libraries are not installed.

    Args:
        verb: as it is typed.
        extra: of the package, which brings them.
        modules: what it imports of it.

    Raises:
        ResourceError: one of them is missing; the message says how to install it.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ResourceError(f"{verb} needs {' and '.join(missing)}: pip install 'ovvis[{extra}]'")
