"""Pictures of a result: a frame, a frame painted, what is cut out of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovvis import masks
from ovvis.errors import InputError
from ovvis.outputs.painting import paint
from ovvis.outputs.render import seen_in
from ovvis.results.reopening import source_of
from ovvis.structures import Track, VideoResult

Pixels = NDArray[np.uint8]


def image_of(result: VideoResult, position: int, given: Any = None) -> Pixels:
    """Return a frame's picture (H, W, 3; RGB): what is given, else the source's.

    Raises:
        InputError: the source is not here, or the picture is not the result's.
    """
    index = result.frame_indices[position]
    image = source_of(result).frame(index).image if given is None else np.asarray(given)
    expected = (result.height, result.width, 3)
    if image.shape != expected or image.dtype != np.uint8:
        what = "x".join(map(str, image.shape[1::-1])) if image.ndim > 1 else f"of shape {image.shape}"
        raise InputError(
            f"the picture of frame {index} is {what} ({image.dtype}): it must be {expected[1]}x{expected[0]} pixels of"
            " 8-bit RGB, as the video that was segmented; give that one"
        )
    return image


def crop(result: VideoResult, track: Track, position: int, margin: int, background: bool, given: Any = None) -> Pixels:
    """Return what a frame shows of a track; see `VideoResult.crop`."""
    if isinstance(margin, bool) or not isinstance(margin, int) or margin < 0:
        raise InputError(f"margin {margin!r} must be a whole number of pixels, 0 or more")
    code = track.seen(position)
    if code is None:
        return np.zeros((0, 0, 3 if background else 4), dtype=np.uint8)
    left, top, width, height = map(int, masks.box(code))
    part = (
        slice(max(top - margin, 0), top + height + margin),
        slice(max(left - margin, 0), left + width + margin),
    )
    image = image_of(result, position, given)[part]
    if background:
        return image.copy()
    inside = masks.decode(code)[part]
    return np.dstack([image * inside[..., None], inside.astype(np.uint8) * np.uint8(255)])


def plot(result: VideoResult, position: int, min_score: float, style: Any, given: Any = None) -> Image.Image:
    """Return a painted frame; see `VideoResult.plot`."""
    seen = seen_in(result.best_tracks(min_score), position)  # a closed result says so before the source is opened
    painted = Image.fromarray(paint(image_of(result, position, given), seen, style))
    if result.pixel_aspect == 1:
        return painted
    return painted.resize((max(round(result.width * result.pixel_aspect), 1), result.height), Image.Resampling.BICUBIC)
