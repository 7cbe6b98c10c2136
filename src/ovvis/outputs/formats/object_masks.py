"""A black and white PNG for each instance and frame: `Annotations/VIDEO/003-dog/00000.png`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from ovvis import masks
from ovvis.outputs.chosen import Chosen, file_name
from ovvis.outputs.pictures import write_frames


def write(chosen: Chosen, target: Path) -> None:
    """Write the masks: 255 inside. A frame without the instance is black, so that "not seen" is not "not said"."""
    nothing = Image.fromarray(np.zeros(chosen.size, dtype=np.uint8))
    names = {}
    for track in chosen.each_track():
        name = f"{track.id:03d}-{file_name(track.label, 'object')}"
        names[name] = track.label
        folder = target / "Annotations" / chosen.name / name
        folder.mkdir(parents=True)
        for position, mask in enumerate(track.masks):
            image = nothing if mask is None else Image.fromarray(masks.decode(mask).view(np.uint8) * np.uint8(255))
            image.save(folder / f"{chosen.frame_name(position)}.png")
    (target / "names.json").write_text(json.dumps({chosen.name: names}, indent=1) + "\n", encoding="utf-8")
    write_frames(chosen, target / "JPEGImages" / chosen.name)
