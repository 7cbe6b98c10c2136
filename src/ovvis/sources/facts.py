"""What is known of a video file before its frames are read: its first frame, clock, rate and length."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av
from av.video.stream import VideoStream

from ovvis.errors import InputError
from ovvis.sources.container import MATROSKA, MP4, Opened, Reasons, decode, open_video, packets
from ovvis.sources.place import Place
from ovvis.sources.rates import frame_rate, is_steady

_ONE_FRAME_A_PACKET = frozenset(
    {
        *("h264", "hevc", "vvc", "vp9", "av1", "mpeg1video", "mpeg2video"),
        *("mjpeg", "prores", "dnxhd", "ffv1", "png", "huffyuv", "utvideo", "rawvideo"),
    }
)
"""Codecs whose every packet shows one frame, in containers that store each frame's time. VP8 and MPEG-4 are not
among them: some of their packets show nothing."""

_PEEK, _PEEK_BYTES = 48, 16 << 20
"""How many packets, and how much of them, are looked at for the clock and the rate."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a video file, or guessed."""

    first: av.VideoFrame  # the first readable frame
    number: int  # of the stream among the video streams
    choices: int  # how many video streams there are
    base: Fraction | None  # seconds of a tick of the clock
    rate: float  # frames a second
    steady: bool  # whether the clock's steps are even
    order: Literal["pts", "dts"] | None  # the packets' times that stand in the order of decoding, as in AVI
    by_rank: bool  # whether each packet is one frame with a time of its own
    announced: int | None  # frames, as the header says
    length: float | None  # seconds, as the header says; the least that it can mean
    stated_aspect: Fraction | None  # width of a pixel by its height, as the file says
    own_length: bool  # whether that is the stream's own, not that of a longer sound

    @property
    def total(self) -> int | None:
        """An estimate of the number of frames, or None."""
        known = [n for n in (self.announced, self.length and round(self.length * self.rate)) if n]
        return min(known, default=None)

    def seconds(self, pts: int) -> float:
        """Return the time of a frame from the first one on, where both have times by the clock."""
        return float((pts - (self.first.pts or 0)) * (self.base or 0))


def facts(place: Place, stream: int | None = None) -> Facts:
    """Return what can be known of a video file without reading it to the end.

    Raises:
        InputError: it cannot be opened, has no such video stream, or no readable frame.
    """
    lost = Reasons()
    with closing(decode(place, lost, stream)) as frames:
        first = next(frames, None)
    if first is None:
        why = f" ({lost.reasons[0]})" if lost.reasons else ""
        raise InputError(f"{place.name} holds no readable frame{why}: it may be empty or damaged; encode it again")
    with open_video(place, stream) as opened:
        return _look(opened, first)


def _look(opened: Opened, first: av.VideoFrame) -> Facts:
    container, stream = opened.container, opened.stream
    base, kind = stream.time_base, container.format.name
    peeked: list[av.Packet[Any]] = []
    held = 0
    for packet in packets(opened, Reasons()):
        if packet is None or len(peeked) >= _PEEK or held > _PEEK_BYTES:
            break
        if not packet.is_discard:
            peeked.append(packet)
            held += packet.size
    shown = [p.pts for p in peeked if p.pts is not None]
    coded = [p.dts for p in peeked if p.dts is not None]
    order: Literal["pts", "dts"] | None = None
    reorders = bool(stream.codec_context.has_b_frames)
    if 2 * len(shown) < len(coded) or (kind == "avi" and reorders):
        order = "dts"
    elif reorders and _steps_back(stream, peeked):
        order = "pts"
    ticks = coded if order == "dts" else shown
    times = [float(tick * base) for tick in ticks] if base else []
    lengths = [float(p.duration * base) for p in peeked if p.duration] if base else []
    rate = frame_rate(_float(stream.average_rate), _float(stream.guessed_rate), times, lengths)
    length, own = _length(opened, first.pts if kind == MATROSKA else min((*coded[:1], *shown[:1]), default=None))
    return Facts(
        first=first,
        number=opened.number,
        choices=opened.choices,
        base=base,
        rate=rate,
        steady=is_steady(times),
        order=order,
        by_rank=order is None
        and kind in (MATROSKA, MP4)
        and stream.codec_context.name.removeprefix("lib").replace("dav1d", "av1") in _ONE_FRAME_A_PACKET
        and first.pts is not None
        and len(shown) == len(peeked)
        and not first.interlaced_frame,  # some files hold a field a packet
        announced=stream.frames or None,
        length=length,
        stated_aspect=stream.sample_aspect_ratio,
        own_length=own,
    )


def _steps_back(stream: VideoStream, peeked: list[av.Packet[Any]]) -> bool:
    """Return whether frames come in another order than their times, as the packets' order was written for them.

    AVI has no other times, and some recorders write such ones into other containers.
    """
    fed = [p.pts for p in peeked if p.pts is not None]
    if len(fed) < 3 or fed != sorted(fed):
        return False  # packets are in another order than their times: these are those of the frames
    came: list[int] = []
    for packet in peeked:
        with suppress(av.FFmpegError):
            came += [frame.pts for frame in stream.decode(packet) if frame.pts is not None]
    return came != sorted(came)


def _length(opened: Opened, begin: int | None) -> tuple[float | None, bool]:
    """Return the least length in seconds that the header can mean, and whether it is the stream's own.

    Args:
        opened: the file.
        begin: where the clock begins, ticks.
    """
    container, stream = opened.container, opened.stream
    base = stream.time_base
    own: float | None = None
    if stream.duration and base:
        own = float(stream.duration * base)
    else:
        tag = stream.metadata.get("DURATION", "").split(":")  # Matroska keeps a stream's length in a tag
        try:
            own = int(tag[0]) * 3600 + int(tag[1]) * 60 + float(tag[2]) if len(tag) == 3 else None
        except ValueError:
            own = None
    length = own or (container.duration / av.time_base if container.duration else None)
    # Matroska and pieces of mp4 announce where the clock ends; it need not begin at 0.
    ends = container.format.name == MATROSKA or (container.format.name == MP4 and not stream.frames)
    start = float(begin * base) if ends and begin is not None and base else 0.0
    if length is not None and 0 < start < length:
        length -= start
    return length, own is not None or len(container.streams) == 1


def _float(rate: Fraction | None) -> float | None:
    return float(rate) if rate else None
