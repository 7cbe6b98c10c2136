"""The world's categories and the drawings of each: a list in the package, made by tools/world_categories.py."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Literal

import msgspec


class Drawing(msgspec.Struct, frozen=True):
    """One drawing of a category."""

    package: str  # a `Package.name`
    file: str  # its name in the package
    reserved: bool = False  # never trained on: `val-hard` shows these alone


class Category(msgspec.Struct, frozen=True):
    """What has a name in the world. Its id in a dataset is its place in the list, from 1."""

    name: str
    synonyms: tuple[str, ...]  # the name first
    group: str
    split: Literal["base", "novel"]
    drawings: tuple[Drawing, ...]


@lru_cache(maxsize=1)
def categories() -> tuple[Category, ...]:
    """Return all categories, in the order of their names."""
    return msgspec.json.decode(listing(), type=tuple[Category, ...])


def listing() -> bytes:
    """Return the list as it stands in the package."""
    return resources.files("ovvis").joinpath("world", "categories.json").read_bytes()
