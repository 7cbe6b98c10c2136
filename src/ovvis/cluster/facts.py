"""Whether workers on different machines make one result: versions, folders, and what each says makes its results."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ovvis.cluster.crew import Hand
from ovvis.cluster.work import Begun
from ovvis.errors import InputError
from ovvis.predictions.run_settings import MAY_DIFFER, differences, in_short
from ovvis.version import __version__

_LAST_DIGITS = ("torch", "numpy", "av")
"""Libraries whose versions move last digits, or a decoded frame's, of what is found."""


def versions() -> dict[str, str]:
    """Return what runs here, by name.

    >>> sorted(versions())
    ['av', 'numpy', 'ovvis', 'python', 'torch']
    """
    found = {"ovvis": __version__, "python": platform.python_version()}
    for name in _LAST_DIGITS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


class Agreement:
    """Compares what workers say with what the first said."""

    def __init__(self) -> None:
        self._first: Begun | None = None
        self._node = ""
        self._versions: dict[str, str] = {}
        self._said: set[str] = set()

    @property
    def first(self) -> bool:
        """Whether no worker has said anything yet."""
        return self._first is None

    def check(self, begun: Begun, hand: Hand) -> list[str]:
        """Return what differs from the first worker and only moves last digits, a line each, each once.

        Raises:
            InputError: another version of ovvis, or something that makes other results.
        """
        if (there := hand.versions["ovvis"]) != __version__:
            raise InputError(
                f"{hand.node} has ovvis {there}, this machine {__version__}: install the same version on every node"
            )
        if self._first is None:
            self._first, self._node, self._versions = begun, hand.node, hand.versions
            return []
        lines = []
        for name, old, new in differences(plain(self._first.made), plain(begun.made)):
            if name.split(".")[0] not in MAY_DIFFER:
                raise InputError(
                    f"{hand.node} would make other results than {self._node}: {name} is {in_short(new)} there and "
                    f"{in_short(old)} here; give every node the same files"
                )
            lines.append(f"{name} is {in_short(new)} on {hand.node} and {in_short(old)} on {self._node}")
        for name, here in self._versions.items():
            if name not in MAY_DIFFER and hand.versions.get(name) != here:
                lines.append(f"{name} is {hand.versions.get(name)} on {hand.node} and {here} on {self._node}")
        new_lines = [line for line in lines if line.replace(hand.node, "") not in self._said]
        self._said |= {line.replace(hand.node, "") for line in lines}
        return [f"{line}: last digits may differ between videos" for line in new_lines]


def plain(made: dict[str, Any]) -> dict[str, Any]:
    """Return what makes results without what is a place on one machine: the number of a GPU."""
    return {**made, "device": str(made.get("device", "")).partition(":")[0]}
