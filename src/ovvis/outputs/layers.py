"""Masks of a frame laid over each other, where a format lets a pixel belong to one instance alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ovvis import masks
from ovvis.masks import Rle
from ovvis.outputs.chosen import Chosen, Shown
from ovvis.structures import Track

OVERLAP = "pixels that several instances claim, given to the one that scores best"
COVERED = "masks that others cover whole, left out"


def owners(chosen: Chosen, shown: Shown) -> NDArray[np.int32]:
    """Return whose each pixel is (H, W): 0 nobody's, else the place in `shown`, from 1; the best score wins.

    What was given to one of several is noted.
    """
    out = np.zeros(chosen.size, dtype=np.int32)
    for place in range(len(shown), 0, -1):
        code = shown[place - 1][1]
        left, top, width, height = map(int, masks.box(code))
        part = slice(top, top + height), slice(left, left + width)
        mask, below = masks.decode(code)[part], out[part]
        if taken := int(np.count_nonzero(below[mask])):
            chosen.notes[OVERLAP] += taken
        below[mask] = place
    return out


def apart(chosen: Chosen, shown: Shown) -> list[tuple[Track, Rle]]:
    """Return what is seen in a frame with masks that share no pixel; the best score wins."""
    if len(shown) < 2:
        return shown
    codes = [mask for _, mask in shown]
    shared = masks.overlap(codes, codes)
    np.fill_diagonal(shared, 0)
    if not shared.any():
        return shown
    whose = owners(chosen, shown)
    found = [(track, masks.encode(whose == place)) for place, (track, _) in enumerate(shown, 1)]
    kept = [(track, mask) for track, mask in found if masks.area(mask)]
    if len(kept) < len(found):
        chosen.notes[COVERED] += len(found) - len(kept)
    return kept
