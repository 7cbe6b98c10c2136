"""Each instance cut out of each frame by its box: `003-dog/00000.jpg`, or `.png` without its background."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ovvis import masks
from ovvis.outputs.chosen import Chosen, file_name
from ovvis.outputs.pictures import write_jpeg


def write_crops(chosen: Chosen, target: Path) -> None:
    """Write the boxes' pixels, background and all."""
    _write(chosen, target, transparent=False)


def write_crops_transparent(chosen: Chosen, target: Path) -> None:
    """Write the boxes' pixels; those outside the mask are transparent and black."""
    _write(chosen, target, transparent=True)


def _write(chosen: Chosen, target: Path, transparent: bool) -> None:
    for position, frame, shown in chosen.each_picture():
        for track, mask in shown:
            folder = target / f"{track.id:03d}-{file_name(track.label, 'object')}"
            folder.mkdir(exist_ok=True)
            left, top, width, height = map(int, masks.box(mask))
            part = slice(top, top + height), slice(left, left + width)
            image = frame.image[part]
            if transparent:
                inside = masks.decode(mask)[part]
                alpha = inside.view(np.uint8) * np.uint8(255)
                cut = np.dstack([image * inside[..., None], alpha])
                Image.fromarray(cut).save(folder / f"{chosen.frame_name(position)}.png")
            else:
                write_jpeg(np.ascontiguousarray(image), folder / f"{chosen.frame_name(position)}.jpg")
