"""What lies between an image and the network's input, in training and inference alike: size, padding, normalisation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

STRIDE = 32  # pixels; the network's coarsest
SQUARE = Fraction(1)  # width of a pixel by its height


def shown_size(height: int, width: int, pixel_aspect: Fraction) -> tuple[float, float]:
    """Return the size at which a frame looks as it should in square pixels: one edge grows, none shrinks.

    Args:
        height: of the frame, pixels.
        width: likewise.
        pixel_aspect: width of a pixel by its height.

    >>> shown_size(576, 720, Fraction(64, 45))
    (576, 1024.0)
    >>> shown_size(480, 720, Fraction(8, 9))
    (540.0, 720)
    """
    if pixel_aspect >= 1:
        return height, width if pixel_aspect == 1 else float(width * pixel_aspect)
    return float(height / pixel_aspect), width


def network_size(
    height: int, width: int, short_edge: int | None, long_edge: int, pixel_aspect: Fraction = SQUARE
) -> tuple[int, int]:
    """Return the size a frame is resized to: its short edge to `short_edge`, its long one at most `long_edge`.

    The network sees square pixels, as a person does.

    Args:
        height: of the frame, pixels.
        width: likewise.
        short_edge: pixels; None keeps the frame's own size (`shown_size`, where its pixels are not square).
        long_edge: pixels; only asked with a short edge.
        pixel_aspect: width of a pixel of the frame by its height.

    >>> network_size(720, 1280, 480, 1333)
    (480, 853)
    >>> network_size(100, 1000, 480, 1333)
    (133, 1333)
    >>> network_size(576, 720, 480, 1333, Fraction(64, 45))
    (480, 853)
    """
    new_height, new_width = shown_size(height, width, pixel_aspect)
    if short_edge is None:
        return max(int(new_height + 0.5), 1), max(int(new_width + 0.5), 1)
    scale = short_edge / min(new_height, new_width)
    new_height, new_width = (
        (float(short_edge), scale * new_width) if new_height < new_width else (scale * new_height, float(short_edge))
    )
    if max(new_height, new_width) > long_edge:
        shrink = long_edge / max(new_height, new_width)
        new_height, new_width = new_height * shrink, new_width * shrink
    return max(int(new_height + 0.5), 1), max(int(new_width + 0.5), 1)


def clip_view(image: NDArray[np.uint8], side: int, pixel_aspect: Fraction = SQUARE) -> Tensor:
    """Return an image as CLIP's image encoder wants it: its short edge resized to `side`, the middle square of that.

    CLIP's own way: Pillow's bicubic filter, then a centre crop.

    Args:
        image: H, W, 3; RGB.
        side: pixels.
        pixel_aspect: width of a pixel of the image by its height.

    Returns:
        3, side, side; uint8.
    """
    height, width = shown_size(image.shape[0], image.shape[1], pixel_aspect)
    size = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    resized = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    square = np.asarray(resized.crop((left, top, left + side, top + side)))
    return torch.from_numpy(square.copy()).permute(2, 0, 1)


def padded_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return height and width padded to multiples of the network's coarsest stride.

    >>> padded_size((480, 853))
    (480, 864)
    """
    return size[0] + -size[0] % STRIDE, size[1] + -size[1] % STRIDE


def pad(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return images or masks (..., H, W) with zeros at their right and bottom, up to a height and width."""
    height, width = images.shape[-2:]
    if (height, width) == size:
        return images
    return F.pad(images, (0, size[1] - width, 0, size[0] - height))


def normalise(images: Tensor, kept: tuple[int, int], mean: Tensor, std: Tensor) -> Tensor:
    """Return what the network takes: (image - mean) / std, and zero in the padding, as the released code has it.

    Args:
        images: (..., 3, H, W), uint8, padded.
        kept: height and width without the padding.
        mean: (3, 1, 1), of the colour channels in [0, 255].
        std: likewise.
    """
    pixels = (images.float() - mean) / std
    pixels[..., kept[0] :, :] = 0
    pixels[..., kept[1] :] = 0
    return pixels
