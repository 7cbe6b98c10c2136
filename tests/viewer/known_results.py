"""Results to look at: of a video that is there, with masks that are known."""

import numpy as np

from ovvis import masks
from ovvis.sources.video import open_source
from ovvis.structures import Track, VideoResult


def mask_at(tube, position, size):
    """Return a mask that is another in every frame: holes, single pixels, the picture's edges."""
    height, width = size
    rng = np.random.default_rng([tube, position])
    mask = np.zeros(size, dtype=bool)
    top, left = rng.integers(0, height - 8), rng.integers(0, width - 8)
    mask[top : top + rng.integers(6, height), left : left + rng.integers(6, width)] = True
    mask[top + 2 : top + 4, left + 2 : left + 5] = False
    mask[rng.integers(0, height, 5), rng.integers(0, width, 5)] = True
    return mask


SEEN = {1: lambda i: True, 2: lambda i: i % 5 != 3, 3: lambda i: i >= 4, 4: lambda i: i < 2}


def result_of(path, labels=("dog", "cat"), **options):
    """Return a result of a video's frames: four tubes, the last of a low score."""
    source = open_source(path, **options)
    frames = [(frame.index, frame.time) for frame in source]
    info = source.info
    size = (info.height, info.width)

    def track(id, label, score, names):
        found = [masks.encode(mask_at(id, i, size)) if SEEN[id](i) else None for i in range(len(frames))]
        return Track(id, labels[label], label, score, names, found, size)

    dog, cat = labels
    first = track(1, 0, 0.9, ((dog, 0.9), (cat, 0.4)))
    tracks = [
        first,
        track(2, 1, 0.6, ((cat, 0.6), (dog, 0.2))),
        track(3, 0, 0.5, ((dog, 0.5),)),
        Track(1, cat, 1, 0.4, first.top_labels, first.masks, size),
        track(4, 1, 0.1, ((cat, 0.1),)),
    ]
    return VideoResult(
        tracks=tracks,
        source=info.name,
        height=info.height,
        width=info.width,
        fps=info.fps,
        frame_indices=[index for index, _ in frames],
        frame_times=[time for _, time in frames],
        labels=labels,
        pixel_aspect=info.pixel_aspect,
        opened_as=dict(source.opened_as),
    )
