"""Image files that hold several pictures: PNG, GIF, WebP and AVIF, how long each is shown, and what a viewer shows.

Every part of an animation is blended over, or put in place of, what was there before.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from ovvis.sources.deep import frame_values
from ovvis.sources.image_file import open_image, unreadable, why
from ovvis.sources.levels import Values

_SHORTEST, _SHOWN = 0.0105, 0.1  # seconds: browsers show what asks for less than the first for the second


@dataclass(frozen=True, slots=True)
class Timing:
    """How long each picture of a file is shown."""

    durations: tuple[float, ...]  # seconds
    cut: str | None = None  # why there are fewer than the file announces


def timing(path: Path, kind: str) -> Timing | None:
    """Return the timing of an animated file, without decoding a picture where the format allows; None for a still.

    Args:
        path: the file.
        kind: "PNG", "GIF", "WEBP" or "AVIF".

    Raises:
        FrameError: it cannot be read, or declares too large a size.
    """
    try:
        found = _READERS[kind](path)
    except (OSError, struct.error, ValueError, MemoryError) as error:
        raise unreadable(path, why(error, path)) from error
    if found is not None:
        with open_image(path):  # its size is checked
            pass
    return found


def animated(path: Path, kind: str) -> Iterator[Values]:
    """Yield every picture of an animated file in order, in RGB; transparent parts over white, as on a page.

    Raises:
        FrameError: the next one cannot be read.
    """
    found = _by_libav(path, "apng" if kind == "PNG" else "gif") if kind in ("PNG", "GIF") else _by_pillow(path)
    for values in found:
        yield _over_white(values)


def _over_white(values: Values) -> Values:
    if values.ndim == 2 or values.shape[2] not in (2, 4):
        return values
    alpha, colours = values[..., -1:], values[..., :-1]
    full = np.iinfo(values.dtype).max
    if (alpha == full).all():
        return colours
    share = alpha.astype(np.float32) / full
    return np.rint(colours * share + full * (1 - share)).astype(values.dtype)


def _by_libav(path: Path, form: str) -> Iterator[Values]:
    try:
        with av.open(f"file:{path}", format=form) as container:
            for frame in container.decode(video=0):
                yield frame_values(frame)
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise unreadable(path, why(error, path)) from error


def _by_pillow(path: Path) -> Iterator[Values]:
    with open_image(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            yield np.asarray(image.convert("RGBA"))


def _png(path: Path) -> Timing | None:
    """Look for the chunk that makes a PNG an animation, which stands before the pixels."""
    announced = 0
    with path.open("rb") as file:
        for kind, data in _png_chunks(file):
            if kind == b"acTL":
                (announced,) = struct.unpack(">I", data[:4])
                break
    if not announced:
        return None
    found = _by_packets(path, "apng")
    if len(found) < announced:
        return Timing(found, f"the file ends after {len(found)} of {announced} pictures")
    return Timing(found)


def significant_bits(path: Path) -> int | None:
    """Return how many bits of a PNG's samples its sBIT chunk calls significant (the most of a channel), or None."""
    with path.open("rb") as file:
        for kind, data in _png_chunks(file):
            if kind == b"sBIT" and data:
                return max(data)
    return None


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the first bytes of each chunk before the pixels."""
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
        (length,) = struct.unpack(">I", head[:4])
        data = file.read(min(length, 16))
        yield head[4:], data
        file.seek(length - len(data) + 4, 1)


def _gif(path: Path) -> Timing | None:
    found = _by_packets(path, "gif")
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 16), 2)
        whole = b";" in file.read()  # some programs append a few bytes
    if len(found) < 2 and whole:
        return None
    return Timing(found, None if whole else f"the file ends early, after {len(found)} pictures")


def _by_packets(path: Path, form: str) -> tuple[float, ...]:
    """Return how long each picture is shown, from the packets: nothing is decoded."""
    durations = []
    try:
        with av.open(f"file:{path}", format=form) as container:
            stream = container.streams.video[0]
            for packet in container.demux(stream):
                if packet.size:
                    durations.append(float((packet.duration or 0) * (packet.time_base or 0)))
    except (av.FFmpegError, IndexError) as error:
        if not durations:
            raise ValueError(why(error, path)) from error
    return tuple(_shown(seconds) for seconds in durations)


def _webp(path: Path) -> Timing | None:
    """Walk the chunks of a WebP: ANMF holds a picture and, in milliseconds, how long it is shown."""
    durations = []
    with path.open("rb") as file:
        size = path.stat().st_size
        (told,) = struct.unpack("<I", file.read(12)[4:8])
        while len(head := file.read(8)) == 8:
            kind, length = struct.unpack("<4sI", head)
            start = file.tell()
            if kind == b"ANMF" and start + length <= size:
                durations.append(int.from_bytes(file.read(16)[12:15], "little") / 1000)
            file.seek(start + length + length % 2)
    if not durations:
        return None
    cut = None if told + 8 <= size + 1 else f"the file ends early, after {len(durations)} pictures"
    return Timing(tuple(_shown(seconds) for seconds in durations), cut)


def _avif(path: Path) -> Timing | None:
    """Read an AVIF once: only its decoder tells the times."""
    with open_image(path) as image:
        count = getattr(image, "n_frames", 1)
        if count < 2:
            return None
        durations = []
        for number in range(count):
            image.seek(number)
            image.load()
            durations.append(image.info.get("duration", 0) / 1000)
    return Timing(tuple(_shown(seconds) for seconds in durations))


def _shown(seconds: float) -> float:
    return seconds if seconds > _SHORTEST else _SHOWN


_READERS: dict[str, Callable[[Path], Timing | None]] = {"PNG": _png, "GIF": _gif, "WEBP": _webp, "AVIF": _avif}
