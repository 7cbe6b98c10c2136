"""Video containers as libav sees them: opening, decoding past damage, entering in the middle."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import dropwhile

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from ovvis.errors import InputError
from ovvis.io.source import DEFAULT_FPS, Moment

MAX_DELAY = 64
"""Packets that a decoder may hold before it hands out a frame: reordering (up to 16) and its threads."""

_SEEKABLE = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2")
"""Containers that store every frame's time, so that times after a seek are those of a whole reading."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A container that is open, and its video stream."""

    container: InputContainer
    stream: VideoStream

    @property
    def rate(self) -> float:
        """The average rate in frames a second."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        return float(rate) if rate else DEFAULT_FPS

    @property
    def duration(self) -> float | None:
        """The length of the video stream in seconds, as the container announces it."""
        stream = self.stream
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        tag = stream.metadata.get("DURATION", "").split(":")  # Matroska keeps a stream's length in a tag
        try:
            if len(tag) == 3:
                return int(tag[0]) * 3600 + int(tag[1]) * 60 + float(tag[2])
        except ValueError:
            pass
        return self.container.duration / av.time_base if self.container.duration else None


@contextmanager
def open_video(location: str, name: str) -> Iterator[Opened]:
    """Open a container for reading and choose its video stream.

    Raises:
        InputError: it cannot be opened, is no video, or has no video stream; calls it `name`.
    """
    try:
        container = av.open(location, metadata_errors="ignore")
    except PermissionError as error:
        raise InputError(f"{name} may not be read: permission denied; change the file's permissions") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{name} is no video that can be read ({reason(error)}): give a video file, a folder of images or a pattern"
        ) from error
    with container:
        # The cover picture of a song is a video stream to libav, and so is a text file ("tty").
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if container.format.name == "tty":
            raise InputError(f"{name} is a text file: the source must be a video; give a video file")
        if not streams:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise InputError(f"{name} has no video stream, only {kinds}: the source must be a video; give another file")
        streams[0].thread_type = "AUTO"
        yield Opened(container, streams[0])


def reason(error: Exception) -> str:
    """Return libav's own words for an error, on one line."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def decode(
    location: str, name: str, failed: Callable[[str], None], start_at: int | None = None
) -> Generator[av.VideoFrame, None, None]:
    """Yield a video's readable frames in the order of time.

    Args:
        location: what libav opens.
        name: what messages call it.
        failed: is called with the reason for each frame that could not be read, some frames ahead of
            its place.
        start_at: the pts of a keyframe; begin there or at a keyframe before it, if the container can seek.

    Raises:
        InputError: the container cannot be opened.
    """
    with open_video(location, name) as opened:
        stream = opened.stream
        packets = _packets(opened, failed)
        # In a transport stream the mark only says that a counter jumped, as where recordings are joined.
        trusts_marks = opened.container.format.name != "mpegts"
        if start_at is not None:
            try:
                opened.container.seek(start_at, stream=stream)
            except av.FFmpegError:
                return
            packets = dropwhile(lambda packet: packet is not None and not packet.is_keyframe, packets)
        for packet in packets:
            if packet is not None and packet.is_corrupt and trusts_marks:
                failed("the data are incomplete")
                continue
            try:
                frames = stream.decode(packet)
            except av.FFmpegError as error:
                failed(reason(error))
                continue
            for frame in frames:
                if frame.is_corrupt:
                    failed("the data are damaged")
                else:
                    yield frame


def _packets(opened: Opened, failed: Callable[[str], None]) -> Iterator[av.Packet[VideoStream] | None]:
    """Yield the stream's packets, then None, which makes the decoder hand out what it still holds."""
    try:
        for packet in opened.container.demux(opened.stream):
            if packet.size:
                yield packet
    except av.FFmpegError as error:
        failed(reason(error))
    yield None


@dataclass(frozen=True, slots=True)
class Landing:
    """Where to enter a file so that the decoder is ready at a moment in it."""

    key: int  # pts of the last keyframe at the moment or before it
    ranks: dict[int, int]  # pts -> index in the source, of the frames up to the moment and some behind it

    def fits(self, pts: int | None) -> bool:
        """Return whether a first decoded frame lies where it must: at the keyframe or known before it."""
        return pts is not None and pts in self.ranks and pts <= self.key


def landing(location: str, name: str, start: Moment, first_pts: int) -> Landing | None:
    """Return where to enter a file for `start`, or None where reading from the beginning is the sure way.

    It reads the packets up to `start` without decoding them, so that an index is a frame's true place in the
    file whatever its rate. A file whose packets do not tell the order of its frames gives None.
    """
    times: list[int] = []
    keys: list[int] = []
    with open_video(location, name) as opened:
        stream = opened.stream
        base = stream.time_base
        if base is None or opened.container.format.name not in _SEEKABLE or stream.codec_context.name == "vp8":
            return None  # VP8 has packets that show no frame
        last_dts: int | None = None
        try:
            for packet in opened.container.demux(stream):
                pts, dts = packet.pts, packet.dts
                if not packet.size or packet.is_discard:
                    continue
                if pts is None or dts is None or (last_dts is not None and dts <= last_dts):
                    return None
                last_dts = dts
                if pts >= first_pts:
                    times.append(pts)
                    if packet.is_keyframe:
                        keys.append(pts)
                if start.reached(len(times) - MAX_DELAY, float((dts - first_pts) * base)):
                    break
        except av.FFmpegError:
            return None
    times.sort()
    if not times or times[0] != first_pts or len(set(times)) != len(times):
        return None
    target = next((t for i, t in enumerate(times) if start.reached(i, float((t - first_pts) * base))), times[-1])
    key = max((k for k in keys if k <= target), default=first_pts)
    return None if key == first_pts else Landing(key, {pts: rank for rank, pts in enumerate(times)})
