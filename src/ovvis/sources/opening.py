"""Which kind of source a thing is, and what opens that kind."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from ovvis.bucket import fetched, is_bucket
from ovvis.errors import InputError
from ovvis.paths import user_path
from ovvis.sources.arrays import ArraySource, in_memory
from ovvis.sources.container import STDIN, has_an_end
from ovvis.sources.devices import device_place, is_device
from ovvis.sources.frames import ImageSource
from ovvis.sources.levels import Levels, parse_levels
from ovvis.sources.listing import (
    IMAGE_SUFFIXES,
    images_in_folder,
    images_of_numbers,
    images_of_pattern,
    pattern_of_numbers,
)
from ovvis.sources.page import is_page, place_of_page
from ovvis.sources.pictures import kind_of
from ovvis.sources.place import Place, address_place, file_of_address, file_place, is_address
from ovvis.sources.playlist import check_playlist
from ovvis.sources.source import Source, Span, check_fps
from ovvis.sources.stream import PATIENCE, StreamSource
from ovvis.sources.video_file import FileSource


def open_kind(
    source: str | PathLike[str] | Iterable[Any],
    span: Span,
    *,
    fps: float | None,
    stream: int | None,
    levels: str | tuple[float, float] | None,
    bgr: bool,
    transport: str | None,
    timeout: float | None,
    reconnect: float | None,
) -> Source:
    """Return a source by its kind: frames in memory, what comes from elsewhere, a folder, a pattern, a file.

    The arguments are those of `open_source`, with its span put together.

    Raises:
        InputError: it is of no kind, cannot be read, or an option is not for its kind.
    """
    _check_wait("timeout", timeout, 0.1)
    _check_wait("reconnect", reconnect, 0)
    rate = check_fps(fps)
    _check_stream(stream)
    scale = parse_levels(levels)
    if not isinstance(source, (str, PathLike)):
        _no_stream(stream)
        return ArraySource(in_memory(source), span, rate, scale, bgr)
    if bgr:
        raise InputError(
            "bgr is for arrays and tensors: files say themselves how their colours are stored; leave it out"
        )
    text = str(source)
    if text.startswith("file://"):
        text = file_of_address(text)
    if is_bucket(text):
        _only_elsewhere(transport=transport, timeout=timeout, reconnect=reconnect)
        path, remove = fetched(text)
        try:
            local = open_kind(
                path,
                span,
                fps=fps,
                stream=stream,
                levels=levels,
                bgr=False,
                transport=None,
                timeout=None,
                reconnect=None,
            )
        except BaseException:
            remove()
            raise
        weakref.finalize(local, remove)
        return local
    elsewhere = _elsewhere(text, transport, timeout)
    if elsewhere is not None:
        found, said = elsewhere
        taken = _video(found, span, fps, stream, scale, reconnect)
        taken.notes = [*said, *taken.notes]
        return taken
    _only_elsewhere(transport=transport, timeout=timeout, reconnect=reconnect)
    path = user_path(text)
    try:
        exists = path.exists()
    except (OSError, ValueError) as error:  # no permission on the way, a name too long
        raise InputError(f"{text!r} cannot be opened ({error}): give a path that can be read") from error
    if path.is_dir():
        _no_stream(stream)
        images, notes = images_in_folder(path)
        return ImageSource(images, path.resolve().name or str(path), span, fps, scale, notes=notes)
    if not exists and re.search(r"[*?[]", text):
        _no_stream(stream)
        images, notes = images_of_pattern(str(path))
        return ImageSource(images, text, span, fps, scale, notes=notes)
    if not exists and (numbered := pattern_of_numbers(text)):
        _no_stream(stream)
        images, notes = images_of_numbers(numbered)
        return ImageSource(images, text, span, fps, scale, notes=notes)
    if not exists:
        raise InputError(f"{text} does not exist: the source must be a file, a folder or a pattern; check the path")
    if path.is_fifo():
        return _video(Place(str(path), path.name, "pipe"), span, fps, stream, scale)
    if not path.is_file():
        camera = f"camera:{path}" if path.is_char_device() else "camera:0"
        raise InputError(f"{text} is neither a file nor a folder: give a file, or of a camera {camera}")
    if _is_image(path):
        _no_stream(stream)
        return ImageSource([path], path.name, span, fps, scale)
    check_playlist(path)
    return _video(file_place(path), span, fps, stream, scale)


def _elsewhere(text: str, transport: str | None, timeout: float | None) -> tuple[Place, list[str]] | None:
    """Return the place of what is no file or folder here, and what to say of it; None if it is one."""
    if is_device(text):
        if transport is not None:
            raise InputError(f"transport is {transport}: only RTSP has a choice, {text} has none; leave it out")
        return device_place(text, timeout), []
    if text == "-":
        return Place(STDIN, "standard input", "pipe"), []
    if is_page(text):
        place, said = place_of_page(text, timeout)
        return place, [said]
    return (address_place(text, transport, timeout), []) if is_address(text) else None


def _only_elsewhere(**options: float | str | None) -> None:
    """Refuse what says how to reach a source of one that lies here."""
    for name, value in options.items():
        if value is not None:
            raise InputError(f"{name} is {value}: it is for cameras and what comes over a network; leave it out")


def _check_wait(what: str, seconds: float | None, least: float) -> None:
    if seconds is not None and not (isinstance(seconds, (int, float)) and least <= seconds < float("inf")):
        raise InputError(f"{what} is {seconds!r}: it must be seconds from {least:g} up; leave it out for the default")


def _check_stream(stream: int | None) -> None:
    if stream is not None and (isinstance(stream, bool) or not isinstance(stream, int) or stream < 0):
        raise InputError(
            f"stream is {stream!r}: it must be the number of a video stream, from 0; leave it out for the default"
        )


def _no_stream(stream: int | None) -> None:
    if stream is not None:
        raise InputError(f"stream is {stream}: images have no streams, only video files have; leave it out")


def _is_image(path: Path) -> bool:
    """Return whether a file is read as an image, by its content where its ending says nothing, or something false.

    Raises:
        InputError: it is of a kind of which only a part would be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        head = b""  # told by whoever reads it
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC and b"avif" not in head:
        raise InputError(
            f"{path} is a HEIC image, a format that is not read (it is stored in tiles); save it as JPEG or PNG"
        )
    if kind_of(head[:12]):
        return True
    is_video = head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3"  # MP4, Matroska: sites hand them out as .gif
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_video


_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def _video(
    place: Place,
    span: Span,
    fps: float | None,
    stream: int | None,
    levels: Levels | None,
    reconnect: float | None = None,
) -> Source:
    name = place.name
    if levels is not None:
        raise InputError(
            f"levels are for images of more than 8 bits and arrays, not for the video {name}; leave them out"
        )
    if fps is not None:
        raise InputError(
            f"fps is {fps!r}: the video {name} has its own clock; leave fps out, or take fewer frames with every"
        )
    if place.kind == "file" or (place.kind == "network" and not place.live and has_an_end(place)):
        return FileSource(place, span, stream)
    if place.kind == "network":
        place = replace(place, live=True)
    return StreamSource(place, span, stream, PATIENCE if reconnect is None else reconnect)
