"""The viewer as one file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO
from urllib.parse import quote

from ovvis.errors import InputError
from ovvis.files.output import make_way, whole_file
from ovvis.paths import user_path
from ovvis.structures import SHOWN_SCORE, Frame, VideoResult
from ovvis.viewer.beside import Beside
from ovvis.viewer.media import Media, choose_media
from ovvis.viewer.page import END, page_html, part
from ovvis.viewer.pieces import FrameScores, Pieces

EMBEDDED = 64 << 20
"""Bytes of a video up to which it goes into the page unless told otherwise."""

LARGE = 256 << 20
"""Bytes of masks from which on a page is much for a browser: it is said before the page is written."""

MOST_EMBEDDED = 1 << 30
"""Bytes of a video that a page can hold and a browser still opens."""

_BIT = 3 << 20  # bytes of the video in one element; whole groups of base64

Step = Callable[[int, int, str], None]
"""Called with what is done, how much there is, and what is being done."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    path: Path
    size: int  # bytes of the page
    video: Path | None  # beside the page, which needs it; None if the page needs nothing
    says: tuple[str, ...]  # what a person should know: what plays, what was left out


def write_viewer(
    result: VideoResult,
    path: str | PathLike[str],
    source: str | PathLike[str] | Iterable[Frame] | bool | None = None,
    *,
    painted: str | PathLike[str] | None = None,
    min_score: float = 0.0,
    embed: bool | None = None,
    overwrite: bool = True,
    scores: FrameScores | None = None,
    media: Media | None = None,
    on_step: Step | None = None,
    on_say: Callable[[str], None] | None = None,
    shown_score: float = SHOWN_SCORE,
    beside: Beside | None = None,
) -> Written:
    """Write a page that plays a result in any browser, without a network.

    The video is the source itself where every browser plays it and its frames' times are the result's; else its
    frames are encoded again (H.264). Without a source, masks are shown on a plain ground.

    Args:
        result: what to show.
        path: the HTML file, which is whole or absent.
        source: what was segmented: a path, or its frames; None: the file that the result says it came from, if it is
            here; False: masks alone.
        painted: the painted video, which is played if the source is not here.
        min_score: tracks whose best label scores less are left out, in [0, 1].
        embed: whether the video goes into the page. None: up to 64 MiB; a larger source stays where it is and the page
            finds it from its own folder, a larger copy is written beside the page.
        overwrite: whether an older file may be replaced.
        scores: each tube's score frame by frame (id -> one for each frame), where it is known.
        media: the video to play, in place of `source`; the caller's.
        on_step: told how far the work is.
        on_say: told at once what a person should know before the work is done; `Written.says` has it too.
        shown_score: tracks that score less are in the page, and not shown at first, in [0, 1].
        beside: what tells the results apart, if `result` holds several of one video.

    Raises:
        InputError: there is an older file, the source cannot be read or is not the result's.
        ResourceError: the disk is full.
    """
    path = user_path(path).absolute()
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is no folder: make it, or choose another place for the page")
    make_way(path, overwrite)
    pieces = Pieces(result, min_score, scores, shown_score, beside)
    large = large_page(pieces)
    if large and on_say is not None:
        on_say(large)
    with ExitStack() as stack:
        if media is None and not isinstance(source, bool):
            copy = Path(stack.enter_context(TemporaryDirectory(prefix="ovvis-view-"))) / "copy.mp4"
            own = None if painted is None else user_path(painted)
            media = choose_media(result, copy, source, own, frames_told(on_step, pieces.frames))
        apart = None if media is None or _goes_in(media, embed) else media
        video = None
        if apart is not None and apart.kind != "source":
            video = stack.enter_context(whole_file(path.with_suffix(".mp4"), overwrite=overwrite))
            video.write_bytes(apart.path.read_bytes())
        address = None if apart is None else _address(apart, path)
        with (
            whole_file(path, overwrite=overwrite) as partial,
            partial.open("w", encoding="utf-8", newline="\n") as file,
        ):
            write_page(file, pieces, media, address, on_step)
    kept = None if apart is None else apart.path if apart.kind == "source" else path.with_suffix(".mp4")
    return Written(path, path.stat().st_size, kept, tuple(([large] if large else []) + _said(pieces, media, kept)))


def large_page(pieces: Pieces) -> str:
    """Return what a person should know of a page that carries very many masks, else an empty text."""
    size = pieces.page_bytes()
    if size < LARGE:
        return ""
    return (
        f"The masks of {len(pieces.tubes):,} tracks in {pieces.frames:,} frames make a page of about {size / 1e9:.1f} "
        "GB, much to keep, to send and to read: ovvis view without --html shows a saved result of any length without a "
        "page; a higher --min-score leaves tracks out"
    )


def write_page(
    file: TextIO, pieces: Pieces, media: Media | None, address: str | None, on_step: Step | None = None
) -> None:
    """Write a page that carries its masks, and its video unless that has an address."""
    facts: dict[str, Any] | None = None
    if media is not None:
        bits = 0 if address else math.ceil(media.path.stat().st_size / _BIT)
        facts = media.facts() | {"bits": bits}
    file.write(page_html(pieces.head() | {"media": facts}, media=address, parts=True))
    if media is not None and not address:
        with media.path.open("rb") as video:
            for number, bit in enumerate(iter(lambda: video.read(_BIT), b"")):
                file.write(part("media", number, bit))
    for number, piece in enumerate(pieces):
        file.write(part("piece", number, piece))
        if on_step is not None:
            on_step(number + 1, len(pieces), "writing masks")
    file.write(END)


def _goes_in(media: Media, embed: bool | None) -> bool:
    size = media.path.stat().st_size
    if embed and size > MOST_EMBEDDED:
        raise InputError(
            f"{media.path.name} has {size >> 20:,} MiB: a page can hold {MOST_EMBEDDED >> 20:,}; leave it beside the "
            "page (--no-embed), or look at it without a file (ovvis view RESULT)"
        )
    return size <= EMBEDDED if embed is None else embed


def _address(media: Media, page: Path) -> str:
    """Return the address of a video as the page's own folder sees it."""
    if media.kind != "source":
        return "./" + quote(page.with_suffix(".mp4").name)
    target = media.path.absolute()
    try:
        relative = os.path.relpath(target, page.parent)
    except ValueError:  # on another drive
        return target.as_uri()
    return "./" + quote(Path(relative).as_posix())  # a name may hold a colon


def frames_told(on_step: Step | None, total: int) -> Callable[[], None] | None:
    """Return what counts a copy's frames for whoever is told."""
    if on_step is None:
        return None
    done = 0

    def told() -> None:
        nonlocal done
        done += 1
        on_step(done, total, "encoding frames")

    return told


def _said(pieces: Pieces, media: Media | None, kept: Path | None) -> list[str]:
    said = [] if media is None or not media.says else [media.says]
    if media is None:
        said.append("There is no video: the masks are shown on a plain ground.")
    if kept is not None:
        said.append(f"The page needs {kept.name}: move both together, or embed it.")
    if pieces.left_out:
        said.append(f"{pieces.left_out} tracks of lower scores are left out of the page.")
    return said
