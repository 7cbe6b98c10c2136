"""JSON files of long lists, written an entry at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO


def write_list(path: Path, entries: Iterable[Any]) -> None:
    """Write a file that is a list, an entry a line."""
    with path.open("w", encoding="ascii") as file:
        _list(file, entries)
        file.write("\n")


def write_object(path: Path, head: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]) -> None:
    """Write a file that is an object: short values, then lists of an entry a line.

    Raises:
        ValueError: a number is infinite or not a number.
    """
    with path.open("w", encoding="ascii") as file:
        file.write("{")
        for key, value in head.items():
            file.write(f"{_json(key)}: {_json(value)},\n")
        for i, (key, entries) in enumerate(lists.items()):
            file.write(f"{',' if i else ''}\n{_json(key)}: ")
            _list(file, entries)
        file.write("\n}\n")


def _list(file: TextIO, entries: Iterable[Any]) -> None:
    file.write("[")
    for i, entry in enumerate(entries):
        file.write((",\n" if i else "\n") + _json(entry))
    file.write("\n]")


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)
