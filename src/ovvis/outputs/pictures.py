"""Pictures beside annotations: a video's frames as JPEGs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovvis.outputs.chosen import Chosen

QUALITY = 95
"""Of JPEGs; at 95 what a network sees hardly changes."""


def write_jpeg(image: NDArray[np.uint8], path: Path) -> None:
    """Write an image (H, W, 3; RGB) as a JPEG without subsampled colours."""
    Image.fromarray(image).save(path, quality=QUALITY, subsampling=0)


def write_frames(chosen: Chosen, folder: Path) -> None:
    """Write a result's frames into a folder, each under its number in the source, where frames were given."""
    if chosen.frames is None:
        return
    folder.mkdir(parents=True)
    for position, frame in chosen.each_given():
        write_jpeg(frame.image, folder / f"{chosen.frame_name(position)}.jpg")
