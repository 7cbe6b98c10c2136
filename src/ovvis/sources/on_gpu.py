"""Video files decoded by a GPU's own decoder, through torchcodec, where that shows what PyAV shows.

PyAV stays the one who says how many frames there are and when each is shown, from the packets. A file that torchcodec
may show in another way, or does show so in its first frames, is decoded as always, and a note says why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from typing import Any, Protocol, final

import numpy as np

from ovvis.errors import InputError
from ovvis.sources.container import Reasons, open_video, packets
from ovvis.sources.levels import Image8
from ovvis.sources.source import TIME_SLACK, Source
from ovvis.sources.video_file import FileSource
from ovvis.structures import Frame

CHECKED = 8
"""First frames that are compared."""

MEAN, FAR, FAR_SHARE = 2.0, 16, 0.01
"""How far two decoders' colours may lie apart, of 255: in the mean; and the share of values that may by more."""

_AT_ONCE = 8  # frames that lie on the GPU until they are copied from it
_PIXELS = ("yuv420p", "yuvj420p", "nv12")  # what every GPU's decoder makes


class Frames(Protocol):
    """What torchcodec gives of several frames."""

    data: Any  # N, H, W, 3; uint8; a tensor on the device
    pts_seconds: Any  # N; a tensor


class Decoder(Protocol):
    """What is used of torchcodec's `VideoDecoder`."""

    cpu_fallback: Any  # true where the CPU decodes

    def __len__(self) -> int:
        """Return the number of frames."""

    def get_frames_in_range(self, start: int, stop: int, step: int = 1) -> Frames:
        """Return frames by their numbers."""


Opens = Callable[[str, int, str], Decoder]
"""Opens a file, of it a stream by its index among all streams, on a device."""


def check_decode(decode: str | None) -> str | None:
    """Return the device that is to decode; None for the CPU.

    Raises:
        InputError: it is none that can.
    """
    if decode in (None, "cpu"):
        return None
    if not re.fullmatch(r"cuda(:\d+)?", str(decode)):
        raise InputError(f"decode is {decode!r}: it must be cpu, cuda or cuda:N; leave it out for cpu")
    return decode


def decoded_on(device: str, usual: Source, opens: Opens | None = None) -> Source:
    """Return a source of the same frames that a GPU decodes; where it might show others, the source itself.

    A note says which of the two it is, and why.

    Args:
        device: "cuda", "cuda:1", ...
        usual: a source as it was opened.
        opens: opens a file; None takes torchcodec.
    """
    try:
        if not isinstance(usual, FileSource) or usual.place.path is None:
            raise _NotSoError("only video files on this machine are decoded elsewhere")
        return _GpuSource(device, usual, opens or _torchcodec)
    except _NotSoError as error:
        usual.notes = [*usual.notes, f"{usual.info.name} is decoded on the CPU, not by {device}: {error}"]
        return usual


class _NotSoError(Exception):
    """Why a file is not decoded by a GPU."""


@final
class _GpuSource(Source):
    """A video file's frames from a GPU's decoder, copied to the CPU's memory. Arguments as in `decoded_on`."""

    rereadable = True

    def __init__(self, device: str, usual: FileSource, opens: Opens) -> None:
        if odd := _odd(usual):
            raise _NotSoError(odd)
        self._usual, self._device, self.files = usual, device, usual.files
        self._alone = False  # one frame is asked for
        index, self._ticks = _packets(usual)
        first, base = self._ticks[0], usual.facts.base
        assert base is not None
        self._times = [float((tick - first) * base) for tick in self._ticks]
        try:
            self._decoder = opens(str(usual.place.path), index, device)
            if self._decoder.cpu_fallback:
                raise _NotSoError(f"its decoder does not take such a file ({self._decoder.cpu_fallback})")
            count = len(self._decoder)
        except _NotSoError:
            raise
        except Exception as error:  # whatever a missing library, a driver or a codec has to say
            raise _NotSoError(_words(error)) from error
        if count != len(self._ticks):
            raise _NotSoError(f"torchcodec counts {count} frames, PyAV {len(self._ticks)}")
        self._wanted = self._chosen()
        self._compare()
        self.info = replace(usual.info, frame_count=len(self._wanted))
        said = f"{usual.info.name} is decoded by {device}, whose colours may differ from the CPU's by rounding; damage"
        self.notes = [*usual.notes, f"{said} inside of a frame's data is not told there"]

    def _chosen(self) -> range:
        """Return the numbers of the frames asked for."""
        span, stop = self._usual.span, len(self._times)
        if (end := span.end) is not None:
            stop = next((i for i, time in enumerate(self._times) if end.reached(i, time)), stop)
        chosen = range(0, stop, span.every)
        if not chosen:
            raise _NotSoError("no frame is asked for")
        return chosen if span.max_frames is None else chosen[: span.max_frames]

    def _compare(self) -> None:
        """Raise where the first frames are not those that PyAV shows."""
        known = list(self._usual.first_frames(CHECKED))
        found = self._images(range(len(known)))
        for frame, image in zip(known, found, strict=True):
            if image.shape != frame.image.shape:
                size, other = (f"{x.shape[1]}x{x.shape[0]}" for x in (image, frame.image))
                raise _NotSoError(f"its frames are {size} there, not {other}")
            apart = np.abs(image.astype(np.int16) - frame.image)
            mean, far = float(apart.mean()), float((apart > FAR).mean())
            if mean > MEAN or far > FAR_SHARE:
                raise _NotSoError(
                    f"frame {frame.index} has other colours there, by {mean:.1f} of 255 in the mean, by more than"
                    f" {FAR} in {far:.1%}"
                )

    def __iter__(self) -> Iterator[Frame]:
        self.problem = None
        return iter(self._usual) if self._alone else self._read()

    def _only(self, index: int) -> None:
        self._usual, self._alone = self._usual.only(index), True

    def _read(self) -> Iterator[Frame]:
        """Yield the frames; where the GPU fails, the rest is PyAV's."""
        given = 0
        for start in range(0, len(self._wanted), _AT_ONCE):
            part = self._wanted[start : start + _AT_ONCE]
            try:
                images = self._images(part)
            except _NotSoError as error:
                lost = f"{self.info.name}: from frame {part[0]} on it is decoded on the CPU: {error}"
                self.notes = [*self.notes, lost]
                break
            for index, image in zip(part, images, strict=True):
                yield Frame(image, index, self._times[index])
            given += len(part)
        else:
            return
        for place, frame in enumerate(self._usual):
            if place >= given:
                yield frame
        self.problem = self._usual.problem

    def _images(self, part: range) -> list[Image8]:
        """Return frames by their numbers, as they lie in the CPU's memory.

        Raises:
            _NotSoError: they cannot be had, or are not shown when PyAV shows them.
        """
        base = self._usual.facts.base
        assert base is not None
        try:
            with _stream(self._device):
                found = self._decoder.get_frames_in_range(part.start, part.stop, part.step)
                images: Sequence[Image8] = found.data.cpu().numpy()
                times: list[float] = found.pts_seconds.tolist()
        except Exception as error:  # whatever a driver or a codec has to say
            raise _NotSoError(_words(error)) from error
        if len(times) != len(part):
            raise _NotSoError(f"it gave {len(times)} of {len(part)} frames")
        for index, time in zip(part, times, strict=True):
            meant = float(self._ticks[index] * base)
            if not abs(time - meant) <= TIME_SLACK:
                raise _NotSoError(f"frame {index} is shown at {time:.3f} s there, not at {meant:.3f} s")
        return list(images)


def _odd(usual: FileSource) -> str:
    """Return what of a file torchcodec may show in another way; empty where nothing is."""
    known, first = usual.facts, usual.facts.first
    reasons = {
        "frames before the first one asked for are left out": usual.span.start is not None,
        "its pictures are turned": usual.turned,
        "its colours are converted (HDR, or a wide gamut)": usual.converted,
        "it is interlaced": first.interlaced_frame,
        f"its pixel format is {first.format.name}": first.format.name not in _PIXELS,
        "not every packet of it is one frame with a time": not known.by_rank,
    }
    return next((reason for reason, so in reasons.items() if so), "")


def _packets(usual: FileSource) -> tuple[int, list[int]]:
    """Return the index of a file's stream, and when each frame is shown, ticks, in their order.

    Raises:
        _NotSoError: they do not tell it, or look damaged.
    """
    known, lost = usual.facts, Reasons()
    ticks: list[int] = []
    decoded: list[int] = []
    with open_video(usual.place, known.number) as opened:
        index = opened.stream.index
        for packet in packets(opened, lost):
            if packet is None or packet.is_discard:
                continue
            if packet.is_corrupt or packet.pts is None:
                raise _NotSoError("it is damaged")
            ticks.append(packet.pts)
            if packet.dts is not None:
                decoded.append(packet.dts)
    if lost.reasons:
        raise _NotSoError("it is damaged")
    ticks.sort()
    if any(later <= earlier for earlier, later in [*pairwise(ticks), *pairwise(decoded)]):
        raise _NotSoError("its clock does not go on evenly")
    if not ticks or ticks[0] != known.first.pts:
        raise _NotSoError("its first frames cannot be read")
    left = (
        0.0 if known.length is None or known.base is None else known.length - float((ticks[-1] - ticks[0]) * known.base)
    )
    if known.announced not in (None, len(ticks)) or left > max(3 / known.rate, 0.01 * (known.length or 0)):
        raise _NotSoError("it holds not what its header announces")
    return index, ticks


def _torchcodec(path: str, index: int, device: str) -> Decoder:
    """Return torchcodec's decoder of a file's stream."""
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, OSError, RuntimeError) as error:
        raise _NotSoError(f"torchcodec is not installed, or does not work here ({_words(error)})") from error
    made: Decoder = VideoDecoder(path, stream_index=index, dimension_order="NHWC", device=device, seek_mode="exact")
    return made


def _stream(device: str) -> Any:
    """Return a block in which a GPU works beside the network, and is waited for alone."""
    if not device.startswith("cuda"):
        return nullcontext()
    import torch

    return torch.cuda.stream(torch.cuda.Stream(device))


def _words(error: Exception) -> str:
    """Return the first line of what another program's error says, without the place in its own code."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"^\w+, \S+:\d+, ", "", lines[0] if lines else type(error).__name__)[:200]
