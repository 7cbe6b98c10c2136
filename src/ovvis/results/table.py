"""A result as a table of pandas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ovvis import masks
from ovvis.errors import ResourceError
from ovvis.structures import VideoResult

COLUMNS = (
    *("position", "frame", "time", "id", "label", "score", "x", "y", "width", "height", "area"),
    *("centre_x", "centre_y"),
)


def to_pandas(result: VideoResult, min_score: float) -> Any:
    """Return a row for each instance and frame in which it is seen; see `VideoResult.to_pandas`."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise ResourceError("to_pandas needs pandas, which is not installed: pip install pandas") from error
    kinds = {"id": "int64", "label": "str", "position": "int64", "frame": "int64", "area": "int64"}
    table = pandas.DataFrame(_rows(result, min_score), columns=COLUMNS)
    return table.astype({name: kinds.get(name, "float64") for name in COLUMNS})


def _rows(result: VideoResult, min_score: float) -> Iterator[tuple[Any, ...]]:
    tracks = result.best_tracks(min_score)
    for position, (index, time) in enumerate(zip(result.frame_indices, result.frame_times, strict=True)):
        for track in tracks:
            code = track.seen(position)
            if code is not None:
                centre = track.centre(position)
                assert centre is not None
                measures = (*masks.box(code), masks.area(code), *centre)
                yield (position, index, time, track.id, track.label, track.score, *measures)
