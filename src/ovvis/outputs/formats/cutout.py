"""Instances on nothing: videos with an alpha channel, to be laid over others.

WebM with VP9 plays in browsers and is small; QuickTime with ProRes 4444 is what editing programs take. Alpha is whole
or nothing, as masks are; the colours of what is outside are black.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ovvis import masks
from ovvis.masks import BoolArray
from ovvis.outputs.chosen import Chosen, Shown, file_name
from ovvis.outputs.render import Encoding, Image, VideoWriter, is_variable

VP9 = Encoding(
    "webm",
    "libvpx-vp9",
    "yuva420p",
    {"crf": "24", "b:v": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1", "auto-alt-ref": "0"},
    channels=4,
)
PRORES = Encoding("mov", "prores_ks", "yuva444p10le", {"profile": "4444", "alpha_bits": "16"}, channels=4)
LOSSY = "frames whose colours and edges of alpha a codec approximates"
TOGETHER = 8  # videos that are written at once: each holds its encoder


def write_cutout(chosen: Chosen, target: Path) -> None:
    """Write one video of all instances; the file's ending chooses WebM or QuickTime."""
    encoding = PRORES if target.suffix == ".mov" else VP9
    result = chosen.result
    timed = is_variable(result.frame_times, result.fps)
    with VideoWriter(target, result.fps, chosen.size, result.pixel_aspect, encoding) as writer:
        first: float | None = None
        for _, frame, shown in chosen.each_picture():
            first = frame.time if first is None else first
            writer.write(cut(frame.image, union(chosen, shown)), frame.time - first if timed else None)
            chosen.notes[LOSSY] += 1


def write_cutouts(chosen: Chosen, target: Path) -> None:
    """Write a WebM for each instance, of the whole video's size and length; the frames are read once for each eight."""
    result, tracks, frames = chosen.result, chosen.tracks, chosen.frames
    timed = is_variable(result.frame_times, result.fps)
    try:
        for begin in range(0, len(tracks), TOGETHER):
            chosen.tracks = tracks[begin : begin + TOGETHER]
            with ExitStack() as stack:
                writers = {}
                for track in chosen.tracks:
                    path = target / f"{track.id:03d}-{file_name(track.label, 'object')}.webm"
                    writer = VideoWriter(path, result.fps, chosen.size, result.pixel_aspect, VP9)
                    writers[track.id] = stack.enter_context(writer)
                first: float | None = None
                for _, frame, shown in chosen.each_picture():
                    first = frame.time if first is None else first
                    for id, writer in writers.items():
                        own = [(track, mask) for track, mask in shown if track.id == id]
                        writer.write(cut(frame.image, union(chosen, own)), frame.time - first if timed else None)
                        chosen.notes[LOSSY] += 1
    finally:
        chosen.tracks, chosen.frames = tracks, frames


def union(chosen: Chosen, shown: Shown) -> BoolArray:
    """Return where any of some instances is (H, W)."""
    out = np.zeros(chosen.size, dtype=bool)
    for _, mask in shown:
        out |= masks.decode(mask)
    return out


def cut(image: Image, inside: BoolArray) -> Image:
    """Return an image (H, W, 3) with alpha (H, W, 4), black and transparent outside a mask."""
    return np.dstack([image * inside[..., None], inside.view(np.uint8) * np.uint8(255)])
