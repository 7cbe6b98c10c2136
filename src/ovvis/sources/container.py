"""Video containers as libav sees them: opening, choosing a stream, decoding past damage from any place."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from itertools import dropwhile
from typing import Any, Protocol

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from ovvis.errors import InputError
from ovvis.sources.not_video import what_it_is
from ovvis.sources.place import Place

MAX_DELAY = 64
"""Packets that a decoder may hold before it hands out a frame: reordering (up to 16) and its threads."""

MATROSKA, MP4, TRANSPORT = "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mpegts"

STDIN = "pipe:0"
"""The location of standard input."""

_APPEARING = 64
"""Streams that may appear in the middle of a file, as where recordings are joined."""

# Titles in other encodings are no reason to refuse a file. From 19 on PyAV thinks so, too, and cannot be told.
_LENIENT: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.partition(".")[0]) < 19 else {}
_HOLE = 64
"""Bytes between two packets of Matroska that no header between them explains."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A container that is open, and the video stream chosen in it."""

    container: InputContainer
    stream: VideoStream
    number: int  # of the stream among the video streams, from 0
    choices: int  # how many video streams there are
    place: Place


class Watcher(Protocol):
    """Who keeps account of what a decoder is given and what is lost."""

    def fed(self, packet: av.Packet[VideoStream]) -> None:
        """Note a packet of the stream, in the order of decoding; also one that is not decoded as it is damaged."""

    def failed(self, reason: str) -> None:
        """Note that a frame could not be read, some frames ahead of its place."""

    def doubted(self, reason: str) -> None:
        """Note that data are missing before the packet that is fed next; whether frames are, the clock tells."""

    def broke(self, reason: str) -> None:
        """Note that the data cannot be read on."""


class Reasons:
    """A watcher that keeps why anything was lost, and nothing else."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def fed(self, packet: av.Packet[VideoStream]) -> None:
        """Note nothing."""

    def failed(self, reason: str) -> None:
        """Keep the reason."""
        self.reasons.append(reason)

    def doubted(self, reason: str) -> None:
        """Keep the reason."""
        self.reasons.append(reason)

    def broke(self, reason: str) -> None:
        """Keep the reason."""
        self.reasons.append(reason)


@contextmanager
def open_video(place: Place, stream: int | None = None) -> Iterator[Opened]:
    """Open a container for reading and choose its video stream.

    Args:
        place: what to open.
        stream: which of its video streams, from 0; None for the one that the container calls its default,
            else the largest.

    Raises:
        InputError: it cannot be opened, is no video, or has no such video stream; calls it by the place's name.
    """
    name = place.name
    with ExitStack() as stack:
        container = stack.enter_context(_container(place, stack))
        # The cover picture of a song is a video stream to libav, and so is a text file ("tty").
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if container.format.name == "tty":
            raise InputError(f"{name} is a text file: the source must be a video; give a video file")
        if not streams and not container.streams and place.kind == "network":
            raise InputError(
                f"{name} told of no video before it ended or {_silent(place)}: check the address and the network, or"
                " download it first"
            )
        if not container.streams:
            raise InputError(what_it_is(place, "it holds nothing"))
        if not streams:
            kinds = ", ".join(sorted({s.type for s in container.streams}))
            raise InputError(f"{name} has no video stream, only {kinds}: the source must be a video; give another file")
        streams = [s for s in streams if s.codec_context is not None]
        if not streams:
            raise InputError(
                f"{name} is encoded in a way that is not known here, or its header is damaged: encode it again, for"
                " example as H.264"
            )
        if stream is not None and not 0 <= stream < len(streams):
            has = "1 video stream, number 0" if len(streams) == 1 else f"video streams 0 to {len(streams) - 1}"
            raise InputError(f"stream is {stream}: {name} has {has}; give one of these, or leave it out")
        number = _default(streams) if stream is None else stream
        streams[number].thread_type = "SLICE" if place.live else "AUTO"  # threads a frame each hold frames back
        yield Opened(container, streams[number], number, len(streams), place)


def has_an_end(place: Place) -> bool:
    """Return whether a place on the network is a file: of a known length or size, and not what somebody is sending.

    Raises:
        InputError: it cannot be opened.
    """
    with open_video(place) as opened:
        container = opened.container
        size = container.size or 0  # an unknown one is None since PyAV 19, and was negative before
        return bool(container.duration) or (not container.format.name.startswith("hls") and size > 0)


def _container(place: Place, stack: ExitStack) -> InputContainer:
    """Return a place's container, open.

    Raises:
        InputError: it cannot be opened.
    """
    name, source = place.name, place.location
    try:
        what: Any = stack.enter_context(_pipe(source)) if place.kind == "pipe" else source
        opened: InputContainer = av.open(
            what, format=place.format, options=dict(place.options), timeout=place.patience, **_LENIENT
        )
        return opened
    except PermissionError as error:
        raise InputError(f"{name} may not be read: permission denied; change the file's permissions") from error
    except _SILENT as error:
        raise InputError(f"{name} {_silent(place)}: check the address and the network, or download it first") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(what_it_is(place, reason(error))) from error


def _pipe(location: str) -> FileIO:
    """Return a pipe that gives what has come without waiting for more, and that Ctrl-C ends."""
    return FileIO(0, closefd=False) if location == STDIN else FileIO(location)


def _silent(place: Place) -> str:
    return f"sent nothing for {place.silence or 0:g} s"


_SILENT = (av.error.ExitError, av.error.TimeoutError)  # PyAV's own clock, and that of a protocol


def _default(streams: list[VideoStream]) -> int:
    """Return the number of the stream that a player would show."""

    def rank(number: int) -> tuple[bool, bool, int]:
        stream = streams[number]
        marks = stream.disposition
        preview = bool(marks & (Disposition.timed_thumbnails | Disposition.still_image))
        return not preview, bool(marks & Disposition.default), stream.width * stream.height

    return max(range(len(streams)), key=rank)  # the first of equals


def reason(error: Exception, place: Place | None = None) -> str:
    """Return libav's own words for an error, on one line; for a place's silence ours."""
    if place is not None and isinstance(error, _SILENT):
        return f"the source {_silent(place)}"
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def decode(
    place: Place, watcher: Watcher, stream: int | None = None, start_at: int | None = None
) -> Generator[av.VideoFrame, None, None]:
    """Yield a video's readable frames in the order of time.

    Args:
        place: what to open.
        watcher: is told of packets and losses.
        stream: as for `open_video`.
        start_at: the pts of a keyframe; begin there or at a keyframe before it, if the container can seek.

    Raises:
        InputError: the container cannot be opened.
    """
    with open_video(place, stream) as opened:
        if start_at is not None:
            try:
                opened.container.seek(start_at, stream=opened.stream)
            except av.FFmpegError:
                return
        found = packets(opened, watcher)
        if start_at is not None:
            found = dropwhile(lambda packet: packet is not None and not packet.is_keyframe, found)
        yield from decoded(opened, watcher, found)


def decoded(
    opened: Opened, watcher: Watcher, found: Iterator[av.Packet[VideoStream] | None]
) -> Generator[av.VideoFrame, None, None]:
    """Yield the readable frames of packets in the order of time; see `decode`."""
    # In a transport stream, HLS's pieces too, the mark only says that a counter jumped, as where recordings are joined.
    trusts_marks = opened.container.format.name not in (TRANSPORT, "hls")
    for packet in found:
        if packet is not None:
            if packet.is_corrupt and not trusts_marks:
                watcher.doubted("the data are incomplete")
            watcher.fed(packet)
            if packet.is_corrupt and trusts_marks:
                watcher.failed("the data are incomplete")
                continue
        try:
            frames = opened.stream.decode(packet)
        except av.FFmpegError as error:
            watcher.failed(reason(error))
            continue
        for frame in frames:
            if frame.is_corrupt:
                watcher.failed("the data are damaged")
            else:
                yield frame


def _demuxed(opened: Opened, all_streams: bool) -> Iterator[av.Packet[Any]]:
    """Yield packets, also behind a place where a stream appears: PyAV stops there, and goes on when asked again."""
    for _ in range(_APPEARING):
        try:
            yield from opened.container.demux() if all_streams else opened.container.demux(opened.stream)
            return
        except IndexError:
            continue


def packets(opened: Opened, watcher: Watcher) -> Iterator[av.Packet[VideoStream] | None]:
    """Yield the stream's packets, then None, which makes the decoder hand out what it still holds."""
    matroska = opened.container.format.name == MATROSKA
    index, behind = opened.stream.index, None
    try:
        # Matroska's reader passes over damage without a word: bytes that are in no stream's packet betray it.
        for packet in _demuxed(opened, all_streams=matroska):
            if not packet.size:
                continue
            if matroska and packet.pos is not None:
                if behind is not None and packet.pos - behind > _HOLE:
                    watcher.doubted("the file is damaged")
                behind = packet.pos + packet.size
            if packet.stream_index == index:
                yield packet
    except av.FFmpegError as error:
        watcher.broke(reason(error, opened.place))
    yield None
