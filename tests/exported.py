"""A small result with all that exports stumble over, and its frames."""

from fractions import Fraction

import numpy as np

from ovvis.masks import decode, encode
from ovvis.structures import Frame, Track, VideoResult

SIZE = (24, 32)


def box_mask(top, left, bottom, right, hole=None, also=None):
    mask = np.zeros(SIZE, dtype=bool)
    mask[top:bottom, left:right] = True
    if hole:
        mask[hole[0] : hole[2], hole[1] : hole[3]] = False
    if also:
        mask[also[0] : also[2], also[1] : also[3]] = True
    return encode(mask)


def result(**changes) -> VideoResult:
    """Return frames 0, 2, 4, 6: a dog with a hole and in two parts, a cat over it, under a second name too."""
    dog = [
        box_mask(2, 2, 12, 14, hole=(5, 5, 8, 8)),
        box_mask(2, 3, 12, 15, also=(18, 20, 22, 25)),
        None,
        box_mask(2, 5, 12, 17),
    ]
    cat = [None, box_mask(6, 10, 20, 24), box_mask(6, 11, 20, 25), encode(np.zeros(SIZE, dtype=bool))]
    named = (("cat", 0.8), ("wild cat", 0.5))
    values = {
        "tracks": [
            Track(3, "dog", 1, 0.9, (("dog", 0.9),), dog),
            Track(7, "cat", 0, 0.8, named, cat),
            Track(7, "wild cat", 2, 0.5, named, cat),
            Track(9, "dog", 1, 0.1, (("dog", 0.1),), [box_mask(0, 0, 2, 2)] * 4),
        ],
        "source": "my video.mp4",
        "height": SIZE[0],
        "width": SIZE[1],
        "fps": 12.0,
        "frame_indices": [0, 2, 4, 6],
        "frame_times": [0.0, 1 / 6, 2 / 6, 3 / 6],
        "labels": ("cat", "dog", "wild cat"),
    }
    return VideoResult(**(values | changes))


def frames(count=8, size=SIZE):
    """Yield frames whose red is their number."""
    for i in range(count):
        image = np.full((*size, 3), 90, dtype=np.uint8)
        image[..., 0] = 20 * i
        image[:, ::2, 1] = 140
        yield Frame(image, i, i / 24)


def dense(tracks, position):
    """Return masks by id where something is seen, as arrays."""
    found = {track.id: track.masks[position] for track in tracks}
    return {id: decode(mask) for id, mask in found.items() if mask is not None and decode(mask).any()}


def anamorphic() -> VideoResult:
    return result(pixel_aspect=Fraction(64, 45))
