"""The viewer of a result, laid out as files for the server: its page, its masks in pieces, a video."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ovvis.errors import InputError
from ovvis.structures import VideoResult
from ovvis.viewer.media import choose_media
from ovvis.viewer.page import page_html
from ovvis.viewer.pieces import Pieces
from ovvis.web.places import COPY, MEDIA, PAGE, VIEW


def lay_out(result: VideoResult, video: Path, folder: Path, on_frame: Callable[[], None] | None = None) -> str:
    """Write the viewer's files into the folder `view`.

    Args:
        result: what is shown.
        video: what was segmented.
        folder: of the job.
        on_frame: called after each frame, where the video is encoded again for browsers.

    Returns:
        What a person should know of the video that plays; empty for nothing.
    """
    view = folder / VIEW
    view.mkdir()
    pieces = Pieces(result)
    facts: dict[str, Any] | None = None
    try:
        media = choose_media(result, view / COPY, video, on_frame=on_frame)
        assert media is not None  # a source was given
        facts, said = media.facts(), media.says
        (view / MEDIA).write_text(json.dumps({"path": str(media.path), "type": media.type}), encoding="utf-8")
    except InputError as error:  # masks alone are still worth a look
        said = f"The viewer shows masks alone: {error}"
    for number, piece in enumerate(pieces):
        (view / f"{number}.piece").write_bytes(piece)
    place = None if facts is None else f"{VIEW}/media"
    page = page_html(pieces.head() | {"media": facts}, pieces=f"{VIEW}/pieces/{{n}}", media=place)
    (view / PAGE).write_text(page, encoding="utf-8")
    return said
