"""A result before a person's eyes: the viewer, or a painted picture of one frame."""

from __future__ import annotations

import shutil
import sys
import time
import webbrowser
from collections.abc import Iterable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Any

from PIL import ImageShow

from ovvis.errors import InputError, ResourceError
from ovvis.outputs.chosen import file_name
from ovvis.results import notebook
from ovvis.results.picture import plot
from ovvis.results.reopening import frames_of
from ovvis.sources.source import Source
from ovvis.structures import Frame, VideoResult
from ovvis.viewer import Pieces, write_viewer
from ovvis.viewer.file import LARGE

PREFIX = "ovvis-show-"
KEPT = 24 * 3600  # seconds for which a page stays: the browser may load its video again


def show(result: VideoResult, position: int | None, min_score: float, style: Any) -> None:
    """Show a result; see `VideoResult.show`."""
    if position is not None:
        return _picture(result, position, min_score, style)
    if style is not None:
        raise InputError(
            "style is for the picture of one frame: name the frame, or leave it out; the viewer has its own"
        )
    if _in_notebook():
        from IPython.display import HTML, display

        display(HTML(notebook.html(result, min_score)))
        return None
    return _viewer(result, min_score)


def _viewer(result: VideoResult, min_score: float) -> None:
    """Write the viewer's page where it may stay for a day, and open it."""
    size = Pieces(result, shown_score=min_score).page_bytes()
    if size > LARGE:
        raise ResourceError(
            f"the masks would make a page of about {size / 1e9:.1f} GB: save the result, and ovvis view RESULT shows it"
            " in pieces; or show one frame"
        )
    _clear()
    page = Path(mkdtemp(prefix=PREFIX)) / f"{file_name(result.source, 'result')}.html"
    write_viewer(result, page, pictures_of(result), shown_score=min_score)
    if not webbrowser.open(page.as_uri()):
        raise ResourceError(f"no browser opens here: the page is {page}, open it elsewhere, or show(frame) a picture")


def pictures_of(result: VideoResult) -> str | PathLike[str] | Iterable[Frame] | bool | None:
    """Return what the viewer plays: None for the file that the result came from, False for nothing."""
    video = result.video
    if video is None:
        return None
    place = getattr(video, "opened_as", {}).get("source")
    if place is not None:
        return str(place)
    return frames_of(result) if not isinstance(video, Source) or video.rereadable else False


def _clear() -> None:
    """Remove pages of days before."""
    for old in Path(gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # another person's, or just gone
            if time.time() - old.stat().st_mtime > KEPT:
                shutil.rmtree(old)


def _picture(result: VideoResult, position: int, min_score: float, style: Any) -> None:
    picture = plot(result, position, min_score, style)
    if _in_notebook():
        from IPython.display import display

        display(picture)
    elif not ImageShow.show(picture, title=f"{result.source}, frame {position}"):
        raise ResourceError(
            f'no program here shows pictures: save it with result.plot({position}).save("frame.png") and look elsewhere'
        )


def _in_notebook() -> bool:
    python = sys.modules.get("IPython")
    shell = python.get_ipython() if python is not None else None
    return shell is not None and hasattr(shell, "kernel")
