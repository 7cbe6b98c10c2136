"""Several results of one video in one page: a picture for each, and one time line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ovvis.outputs.painting import colour


@dataclass(frozen=True, slots=True)
class Told:
    """What tells a tube among those of several results."""

    panel: int  # which of the pictures shows it, from 0
    number: int  # its id in its own result
    object: int  # the same for tubes of different results that are one object; picks the colour


@dataclass(frozen=True, slots=True)
class Beside:
    """Results that one `VideoResult` holds, each tube under an id of its own.

    Args:
        names: of the results, in the order of their pictures.
        tubes: by the id in the one that holds all.
        moments: frames to go to, by position, each with a line on it.
    """

    names: Sequence[str]
    tubes: Mapping[int, Told]
    moments: Sequence[tuple[int, str]] = ()

    def head(self) -> dict[str, Any]:
        """Return what the page is told of it."""
        marks = [position for position, _ in self.moments]
        return {"panels": list(self.names), "moments": [list(one) for one in self.moments], "marks": marks}

    def tube(self, id: int) -> dict[str, Any]:
        """Return what the page is told of a tube."""
        told = self.tubes[id]
        return {
            "panel": told.panel,
            "number": told.number,
            "object": told.object,
            "colour": colour(told.object),
            "note": {"text": self.names[told.panel], "kind": ""},
        }
