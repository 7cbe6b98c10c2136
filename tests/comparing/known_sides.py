"""Results of one video whose masks are squares."""

from dataclasses import replace

import numpy as np

from ovvis import masks
from ovvis.structures import Track, VideoResult

SIZE, FRAMES = (48, 64), 12


def square(left, top=8, side=12):
    found = np.zeros(SIZE, dtype=bool)
    found[top : top + side, left : left + side] = True
    return masks.encode(found)


def track(id, label, left, frames=range(FRAMES), labels=("dog", "cat"), **where):
    held = [square(left, **where) if i in frames else None for i in range(FRAMES)]
    return Track(id, label, labels.index(label), 0.9, ((label, 0.9),), held, SIZE)


def result(*tracks, source="clip.mp4", labels=("dog", "cat"), **changes):
    times = [i / 30 for i in range(FRAMES)]
    made = VideoResult(list(tracks), source, *SIZE, 30.0, list(range(FRAMES)), times, labels)
    return replace(made, **changes)


WHOLE = result(track(1, "dog", 2), track(2, "cat", 40))
