"""What made a folder of predictions, and whether another run would make the same."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ovvis.datasets.annotations import Annotations
from ovvis.errors import InputError
from ovvis.files.output import whole_file
from ovvis.places import FolderPlace, Place

SETTINGS = "settings.json"
FORMAT, VERSION = "ovvis-predictions", 1

# What moves the last digits of a score and no more; a run may go on elsewhere.
MAY_DIFFER = ("device", "torch", "batch")


def dataset_settings(dataset: Annotations) -> dict[str, Any]:
    """Return what a dataset is to predictions: its name, its sizes, a digest of its categories and videos."""
    digest = hashlib.sha256()
    for category in dataset.categories:
        digest.update(repr((category.id, category.name)).encode())
    for video in dataset.videos:
        digest.update(repr((video.id, video.name, video.height, video.width, video.files)).encode())
    return {
        "name": dataset.name,
        "videos": len(dataset.videos),
        "categories": len(dataset.categories),
        "sha256": digest.hexdigest(),
    }


def keep_settings(
    path: Path, settings: Mapping[str, Any], suffix: str, anew: str = "drop them with --restart", where: str = ""
) -> list[str]:
    """Write the settings if there are none, or compare them with those that are there.

    Args:
        path: the file.
        settings: values that JSON knows.
        suffix: of the hidden file, so that several processes may begin at once.
        anew: how the results that are there are given up, for the message.
        where: the results lie, for the message; the file's folder if not given.

    Returns:
        What differs and may, a line each.

    Raises:
        InputError: what differs and may not, or a damaged file.
    """
    # As JSON gives them back: tuples are lists there.
    wanted = json.loads(json.dumps({"format": FORMAT, "version": VERSION, **settings}))
    if not path.exists():
        with whole_file(path, suffix) as partial:
            partial.write_text(json.dumps(wanted, indent=1) + "\n", encoding="ascii")
            _publish_first(partial, path)
    found = _read(path)
    warnings = []
    for name, old, new in differences(found, wanted):
        said = f"{name} was {in_short(old)} and is now {in_short(new)}"
        if name.split(".")[0] not in MAY_DIFFER:
            raise InputError(
                f"{where or path.parent} holds results made with other settings: {said}. Give the settings they were "
                f"made with, choose another --output, or {anew}"
            )
        warnings.append(f"{said}: the last digits of the scores may differ from those of the results already there.")
    return warnings


def agree_on(
    place: Place, name: str, facts: Mapping[str, Any], suffix: str = "", anew: str = "drop them with --restart"
) -> list[str]:
    """Keep settings in a file of a place; see `keep_settings`."""
    if isinstance(place, FolderPlace):
        return keep_settings(place.path / name, facts, suffix, anew)
    there = place.has(name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / name
        if there:
            with place.reading(name) as path:
                shutil.copyfile(path, copy)
        said = keep_settings(copy, facts, suffix, anew, str(place))
        if not there:
            with place.writing(name) as path:
                shutil.copyfile(copy, path)
    return said


def _publish_first(partial: Path, path: Path) -> None:
    """Give the file its name only if no other process has been first; then put theirs in the place of ours."""
    try:
        os.link(partial, path)
    except FileExistsError:
        partial.write_bytes(path.read_bytes())
    except OSError:  # a file system without links: the later process replaces the file, and compares with itself
        return


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): choose another --output, or start anew with --restart"
        ) from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or found.get("version") != VERSION:
        raise InputError(
            f"{path} is not from this version of `ovvis predict`: choose another --output, or start anew with --restart"
        )
    return found


def differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the name and both values of each setting that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key), new.get(key), f"{name}.{key}" if name else str(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, f"{name}[{i}]")
    elif old != new:
        yield name, old, new


def in_short(value: Any) -> str:
    """Return a value as a message shows it."""
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
