"""Results that were saved, as they were before."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from ovvis.outputs.export import open_result
from ovvis.paths import find_source, user_path
from ovvis.sources.video import Source, open_source
from ovvis.structures import VideoResult


def load_result(path: str | PathLike[str], source: Any = None) -> VideoResult:
    """Read a result that was saved: the folder that `ovvis segment` wrote, or a `tracks.json`.

    Args:
        path: the folder or the file.
        source: the video, where pictures of it are wanted and it lies elsewhere by now: what `open_source` takes or
            returns. None: where the run had it, or beside the result.

    Raises:
        InputError: there is no result, it is damaged, or the source cannot be opened.
    """
    place = user_path(path)
    result = open_result(place)
    if source is not None:
        result.video = source if isinstance(source, Source) else open_source(source)
    elif result.opened_as:
        result.opened_as["source"] = _near(result.opened_as.get("source"), place.absolute())
    return result


def _near(given: Any, home: Path) -> Any:
    """Return the source as the run had it, or where it lies in a folder of results or up to two above it."""
    return next(filter(None, (find_source(given, folder) for folder in (home, *home.parents[:2]))), given)
