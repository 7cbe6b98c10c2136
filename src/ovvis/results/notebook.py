"""What a notebook shows of a result."""

from __future__ import annotations

from collections.abc import Iterator

from ovvis.errors import InputError
from ovvis.report.page import escape, table
from ovvis.structures import SHOWN_SCORE, Track, VideoResult
from ovvis.viewer import notebook_html

ROWS = 25


def html(result: VideoResult, shown_score: float = SHOWN_SCORE) -> str:
    """Return the viewer of a result, or a table of its tracks where the viewer cannot be: of a closed result."""
    try:
        return notebook_html(result, shown_score=shown_score)
    except InputError:
        return as_table(result)


def as_table(result: VideoResult) -> str:
    """Return the tracks that a person is shown, as a table."""
    best = result.best_tracks()
    head = ("label", "id", "score", "frames", "seen (s)")
    rest = f"<p>... and {len(best) - ROWS} more</p>\n" if len(best) > ROWS else ""
    return f"<p>{escape(repr(result))}</p>\n{table(head, _rows(result, best[:ROWS]))}{rest}"


def _rows(result: VideoResult, tracks: list[Track]) -> Iterator[tuple[str, ...]]:
    count = len(result.frame_indices)
    for track in tracks:
        try:
            spans = result.spans(track)
            frames = f"{sum(span.last - span.first + 1 for span in spans)}/{count}"
            seen = ", ".join(f"{span.start:.1f}–{span.end:.1f}" for span in spans[:4])
            seen += f" and {len(spans) - 4} more" if len(spans) > 4 else ""
        except InputError:  # the result is closed
            frames, seen = "", ""
        yield track.label, str(track.id), f"{track.score:.3f}", frames, seen
