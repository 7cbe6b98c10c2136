"""The viewer within a notebook."""

from __future__ import annotations

import html
import io
from os import PathLike
from pathlib import Path

from ovvis.paths import find_source, user_path
from ovvis.structures import SHOWN_SCORE, VideoResult
from ovvis.viewer.file import write_page
from ovvis.viewer.media import Media, playable
from ovvis.viewer.page import escape
from ovvis.viewer.pieces import Pieces

MOST = 24 << 20
"""Characters that the viewer may take of a notebook, whose file keeps them."""

_HEIGHT = 720  # pixels of the frame


def notebook_html(
    result: VideoResult, source: str | PathLike[str] | None = None, most: int = MOST, shown_score: float = SHOWN_SCORE
) -> str:
    """Return what a notebook shows of a result: the viewer, in a frame of its own that reaches nothing outside it.

    The video is shown where it is a file that browsers play (nothing is encoded for a cell) and fits; else the masks
    alone; where they do not fit either, a sentence says how to look at them.

    Args:
        result: what to show.
        source: the video; the file that the result says it came from, if not given.
        most: characters that it may have.
        shown_score: tracks that score less are there, and not shown at first, in [0, 1].

    Raises:
        InputError: the result has no frame.
    """
    pieces = Pieces(result, shown_score=shown_score)
    media = _media(result, source)
    if media is not None and media.path.stat().st_size * 4 // 3 < most:
        page = _page(pieces, media, most)
        if page is not None:
            return page
    page = _page(pieces, None, most)
    if page is not None:
        return page
    size = f"{len(result.frame_indices):,} frames and {len(pieces.tubes):,} tracks"
    return f"<p>{escape(result.source)}: {size} are too much for a notebook; write a page of its own.</p>"


def _media(result: VideoResult, source: str | PathLike[str] | None) -> Media | None:
    place = find_source(result.opened_as.get("source"), Path()) if source is None else source
    path = None if place is None else user_path(place)
    found = playable(path, result) if path is not None and path.is_file() else None
    return found if isinstance(found, Media) else None


def _page(pieces: Pieces, media: Media | None, most: int) -> str | None:
    """Return the frame, or None if it would be longer than `most`."""
    file = _Bounded(most)
    try:
        write_page(file, pieces, media, None)
    except _TooLongError:
        return None
    text = html.escape(file.getvalue())
    frame = (
        f'<iframe srcdoc="{text}" sandbox="allow-scripts allow-downloads allow-modals" '
        f'style="width:100%;height:{_HEIGHT}px;border:0" title="{escape(pieces.result.source)}"></iframe>'
    )
    return frame if len(frame) <= most else None


class _TooLongError(Exception):
    """The page is longer than it may be."""


class _Bounded(io.StringIO):
    """Text that ends the writing when it becomes too long: an hour's masks are not made to be thrown away."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def write(self, text: str, /) -> int:
        """Write, if it fits."""
        if self.tell() + len(text) > self._most:
            raise _TooLongError
        return super().write(text)
