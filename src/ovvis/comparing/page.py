"""A comparison in the viewer: a picture for each result, one time line, the moments to go to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ovvis.comparing.compare import Comparison, Moment
from ovvis.comparing.sources import Pictures
from ovvis.structures import Track, VideoResult
from ovvis.viewer import Written, write_viewer
from ovvis.viewer.beside import Beside, Told

SAID = 3  # things that differ that a moment's line tells


def together(comparison: Comparison, result: VideoResult) -> tuple[VideoResult, Beside]:
    """Return a result that holds the tracks of all sides, and what tells them apart.

    Args:
        comparison: of these sides.
        result: of the compared frames, without tracks.
    """
    numbers = comparison.numbers()
    held: list[tuple[int, int, Track]] = [
        (numbers[place][i], place, track)
        for place, side in enumerate(comparison.sides)
        for i, track in enumerate(side.tracks)
    ]
    held.sort(key=lambda one: one[:2])  # what is one object stands together
    asked = (label for one in comparison.aligned.given for label in one.result.labels)
    labels = tuple(dict.fromkeys((*asked, *(track.label for _, _, track in held))))
    place_of = {label: i for i, label in enumerate(labels)}
    tracks = [replace(track, id=i, label_index=place_of[track.label]) for i, (_, _, track) in enumerate(held, 1)]
    told = {i: Told(panel, track.id, number) for i, (number, panel, track) in enumerate(held, 1)}
    moments = [(moment.position, line(moment)) for moment in comparison.moments]
    beside = Beside([side.name for side in comparison.sides], told, moments)
    return replace(result, tracks=tracks, labels=labels, notes=list(comparison.notes)), beside


def line(moment: Moment, most: int = SAID) -> str:
    """Return what differs in a moment as a line."""
    said = [one.text for one in moment.said]
    rest = f"; and {len(said) - most} more" if len(said) > most else ""
    return "; ".join(said[:most]) + rest


def write_page(
    comparison: Comparison, path: Path, pictures: Pictures, on_step: Callable[[int, int, str], None] | None = None
) -> Written:
    """Write the viewer's page of a comparison.

    Raises:
        InputError: the video is not the results'.
    """
    held, beside = together(comparison, pictures.result)
    source = pictures.path if pictures.path is not None else False if pictures.open is None else pictures.open()
    return write_viewer(held, path, source, overwrite=True, shown_score=0.0, beside=beside, on_step=on_step)
