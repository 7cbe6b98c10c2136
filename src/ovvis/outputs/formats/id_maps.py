"""Palette PNGs whose values are the instances, in DAVIS's folders (F. Perazzi et al., CVPR 2016; J. Pont-Tuset, 2017).

`Annotations/VIDEO/00000.png`, `names.json` for `ovvis datasets convert --names`, and `JPEGImages/VIDEO/00000.jpg` where
frames go in.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from ovvis.outputs.chosen import Chosen
from ovvis.outputs.layers import owners
from ovvis.outputs.pictures import write_frames

MOST = 254
"""The largest number of an instance in 8 bits: 255 is what readers leave out."""


def palette() -> bytes:
    """Return PASCAL VOC's palette, which DAVIS uses: red, green and blue of 256 indices."""
    index = np.arange(256)
    channels = [sum((index >> (3 * bit + c) & 1) << (7 - bit) for bit in range(3)) for c in range(3)]
    return np.stack(channels, axis=1).astype(np.uint8).tobytes()


def write(chosen: Chosen, target: Path) -> None:
    """Write the maps. Where instances overlap, the best score has the pixel; ids above 254 are numbered anew."""
    numbers = _numbers(chosen)
    folder = target / "Annotations" / chosen.name
    folder.mkdir(parents=True)
    colours, wide = palette(), len(numbers) > MOST
    for position, shown in chosen.each_frame():
        table = np.array([0, *(numbers[track.id] for track, _ in shown)], dtype=np.uint16 if wide else np.uint8)
        image = Image.fromarray(table[owners(chosen, shown)])
        if not wide:
            image.putpalette(colours)
        image.save(folder / f"{chosen.frame_name(position)}.png")
    names = {str(numbers[track.id]): track.label for track in chosen.tracks}
    (target / "names.json").write_text(json.dumps({chosen.name: names}, indent=1) + "\n", encoding="utf-8")
    write_frames(chosen, target / "JPEGImages" / chosen.name)


def _numbers(chosen: Chosen) -> dict[int, int]:
    """Return the value of each instance: its id, where all fit."""
    ids = sorted(track.id for track in chosen.tracks)
    if len(ids) > MOST:
        chosen.notes[f"instances, more than the {MOST} that 8 bits hold: the PNGs have 16 bits and no palette"] = len(
            ids
        )
    if not ids or ids[-1] <= MOST:
        return {id: id for id in ids}
    chosen.notes["instances numbered anew, from 1, since an id is above 254; names.json has the labels"] = len(ids)
    return {id: number for number, id in enumerate(ids, 1)}
