"""The picture behind the masks: the source itself where browsers play it frame by frame, else a copy that they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ovvis.errors import InputError
from ovvis.outputs.render import H264, VideoWriter
from ovvis.paths import find_source, user_path
from ovvis.sources.container import MATROSKA, MP4, Reasons, open_video, packets
from ovvis.sources.facts import facts
from ovvis.sources.place import file_place
from ovvis.sources.turn import display_turn
from ovvis.sources.video import Source, open_source
from ovvis.structures import Frame, VideoResult

TYPES = {MP4: "video/mp4", MATROSKA: "video/webm"}
PLAYED = {"h264": MP4, "vp8": MATROSKA, "vp9": MATROSKA, "av1": ""}  # every browser of today; "": in both containers
PIXELS = ("yuv420p", "yuvj420p")
SLACK = 0.0006  # seconds by which a frame's time may differ from the file's: what a millisecond's rounding makes
_OPTIONS = ("fps", "stream", "levels")
_TICK = 1 / 90_000
_SMALLER = replace(H264, options={**H264.options, "crf": "23"})  # sharp enough to look at

Kind = Literal["source", "copy", "painted"]


@dataclass(frozen=True, slots=True)
class Media:
    """A video that a browser plays."""

    path: Path
    kind: Kind  # source: the file itself; copy: its frames again; painted: with masks and names painted in
    type: str  # as HTTP names it
    width: int  # pixels that a frame is stored with, upright; a copy of odd size is one larger
    height: int
    times: list[float] = field(repr=False)  # of each frame that belongs to the result, seconds from the first
    step: float = 0.04  # seconds between the closest two frames of the file
    positions: list[int] | None = field(default=None, repr=False)  # of these frames in the result; None: all in order
    says: str = ""  # a sentence for the user: what plays, and why it is not the source itself

    def facts(self) -> dict[str, Any]:
        """Return what the page is told of it."""
        return {
            "kind": self.kind,
            "type": self.type,
            "width": self.width,
            "height": self.height,
            "times": [round(time, 7) for time in self.times],
            "positions": self.positions,
            "step": self.step,
            "says": self.says,
        }


def choose_media(
    result: VideoResult,
    copy_to: Path,
    source: str | PathLike[str] | Iterable[Frame] | None = None,
    painted: Path | None = None,
    on_frame: Callable[[], None] | None = None,
) -> Media | None:
    """Return what the page plays: the source itself if browsers play it and each frame's time is the result's.

    Args:
        result: what was found in it.
        copy_to: where a copy is written if one is needed (mp4).
        source: what was segmented: a path that `open_source` takes, or its frames; None: the file that the result
            says it came from, if it is here.
        painted: the painted video of the result, which is played if the source is not here.
        on_frame: called after each frame of a copy.

    Returns:
        None if nothing is here that could be played.

    Raises:
        InputError: the source cannot be read, or is not the result's.
    """
    own = source is None
    if source is None:
        source = find_source(result.opened_as.get("source"), Path())
    if source is None:
        return _painted(result, painted, "the source is not here")
    if not isinstance(source, (str, PathLike)):
        return copied(result, source, copy_to, "they come from memory", on_frame)
    path = user_path(source)
    reason = "their source is no video file"
    if path.is_file():
        played = playable(path, result)
        if isinstance(played, Media):
            return played
        reason = played
    try:
        return copied(result, _opened(result, source), copy_to, reason, on_frame)
    except InputError as error:
        if own and (found := _painted(result, painted, str(error))) is not None:
            return found
        raise


def _painted(result: VideoResult, path: Path | None, reason: str) -> Media | None:
    found = playable(path, result, "painted") if path is not None and path.is_file() else None
    if not isinstance(found, Media):
        return None
    return replace(found, says=f"The painted video is played, with masks and names in its picture: {reason}.")


def _opened(result: VideoResult, source: str | PathLike[str]) -> Source:
    """Return every frame of a source: its stream and how its values become colours are the run's."""
    options = {name: value for name, value in result.opened_as.items() if name in _OPTIONS}
    if isinstance(options.get("levels"), list):
        options["levels"] = tuple(options["levels"])
    return open_source(source, **options)


def playable(path: Path, result: VideoResult, kind: Kind = "source") -> Media | str:
    """Return a file as it is to be played, or why it cannot be: browsers play few kinds, and not by our clock.

    Args:
        path: a video file.
        result: whose frames its frames are.
        kind: "source", whose frames have the result's numbers; "painted", whose frames are the result's in order.
    """
    place = file_place(path)
    try:
        known = facts(place)
        with open_video(place) as opened:
            container, stream = opened.container.format.name, opened.stream
            codec, pixels = stream.codec_context.name.removeprefix("lib").replace("dav1d", "av1"), stream.pix_fmt
            if container not in TYPES or (container == MATROSKA and path.suffix.lower() != ".webm"):
                return f"browsers do not open its container ({container.split(',')[0]})"
            if PLAYED.get(codec, "none") not in ("", container) or pixels not in PIXELS:
                return f"not every browser plays {codec} ({pixels}) in its container"
            base = known.base
            found = [packet.pts for packet in packets(opened, Reasons()) if packet and not packet.is_discard]
    except InputError as error:
        return str(error)
    if known.choices > 1:
        return f"it has {known.choices} video streams, and a browser chooses by itself"
    turn = display_turn(known.first)
    if (turn.flip_x == turn.flip_y) == turn.transpose:
        return "it is to be shown mirrored, which browsers do not do"
    if base is None or known.order is not None or not found or None in found:
        return "its frames carry no times of their own"
    ticks = np.sort(np.array(found, dtype=np.int64))
    times = (ticks - ticks[0]) * float(base)
    if (np.diff(ticks) <= 0).any():
        return "two of its frames have the same time"
    indices = np.arange(len(result.frame_indices)) if kind == "painted" else np.array(result.frame_indices)
    if kind == "painted" and len(times) != len(indices):
        return f"it has {len(times)} frames and the result {len(indices)}"
    if indices.min(initial=0) < 0 or indices.max(initial=0) >= len(times):
        return f"it has {len(times)} frames and the result counts to {indices.max(initial=0) + 1}"
    own = times[indices]
    if kind == "source" and np.abs(own - np.array(result.frame_times)).max(initial=0) > SLACK:
        return "the times of its frames are not those of the result"
    height, width = known.first.height, known.first.width
    if turn.transpose:
        height, width = width, height
    even = (result.height + result.height % 2, result.width + result.width % 2)
    if (height, width) != (even if kind == "painted" else (result.height, result.width)):
        return f"its frames are {width}x{height}, the result's {result.width}x{result.height}"
    step = float(np.diff(times).min(initial=1.0))
    return Media(path, kind, TYPES[container], width, height, own.tolist(), step)


def copied(
    result: VideoResult,
    frames: Iterable[Frame],
    path: Path,
    reason: str | None,
    on_frame: Callable[[], None] | None = None,
) -> Media:
    """Write those frames that belong to a result as a video that every browser plays.

    Args:
        result: whose frames are taken; others are left out.
        frames: in the result's order.
        path: the mp4 file.
        reason: why the source itself is not played, for `Media.says`.
        on_frame: called after each frame that was written.

    Raises:
        InputError: a frame has another size than the masks, or none is the result's.
    """
    wanted = {index: position for position, index in enumerate(result.frame_indices)}
    even = [position / result.fps for position in range(len(wanted))]
    times = [time - result.frame_times[0] for time in result.frame_times]
    uneven = (np.diff(times) < 2 * _TICK).any()  # a clock that stands still or goes back
    clock = even if uneven else times
    size, positions = (result.height, result.width), list[int]()
    with VideoWriter(path, result.fps, size, result.pixel_aspect, _SMALLER) as writer:
        for frame in frames:
            position = wanted.get(frame.index)
            if position is None or (positions and position <= positions[-1]):
                continue
            if frame.image.shape[:2] != size:
                raise InputError(
                    f"frame {frame.index} of {frame.image.shape[1]}x{frame.image.shape[0]} pixels must have the "
                    f"result's size, {size[1]}x{size[0]}: give the video that was segmented"
                )
            if abs(frame.time - result.frame_times[position]) > 2 * SLACK:
                raise InputError(
                    f"frame {frame.index} is shown at {frame.time:.3f} s, that of the result at "
                    f"{result.frame_times[position]:.3f} s: give the video that was segmented"
                )
            writer.write(frame.image, clock[position] - (clock[positions[0]] if positions else clock[position]))
            positions.append(position)
            if on_frame is not None:
                on_frame()
            if len(positions) == len(wanted):
                break
        if not positions:
            raise InputError("none of the result's frames is in the source: give the video that was segmented")
    said = f"The frames were encoded again for the browser: {reason}." if reason else ""
    if len(positions) < len(wanted):
        said += f" {len(wanted) - len(positions)} of the result's {len(wanted)} frames are not in the source."
    if uneven:
        said += " Their times do not go forward steadily, so the copy plays at an even rate."
    shown = [round((clock[position] - clock[positions[0]]) / _TICK) * _TICK for position in positions]
    step = float(np.diff(shown).min(initial=1.0))
    whole = len(positions) == len(wanted)
    height, width = size[0] + size[0] % 2, size[1] + size[1] % 2
    return Media(path, "copy", "video/mp4", width, height, shown, step, None if whole else positions, said.strip())
