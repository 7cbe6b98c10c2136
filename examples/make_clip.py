"""Write a short clip of moving shapes: something to segment on a machine that has no video.

Usage: python examples/make_clip.py CLIP.mp4 [SECONDS]
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ovvis.io.render import VideoWriter

SIZE = (360, 640)  # height, width
FPS = 12.0


def frame(time: float) -> np.ndarray:
    """Return the picture at a time (seconds): a ball, a box and a bar before a soft background."""
    height, width = SIZE
    y, x = np.mgrid[0:height, 0:width]
    shade = 110 + 40 * np.sin(x / 90) * np.cos(y / 70)
    image = Image.fromarray(np.stack([shade, shade + 15, shade + 30], -1).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    ball = (120 + 90 * time, 180 + 90 * math.sin(2.2 * time))
    draw.ellipse((ball[0] - 45, ball[1] - 45, ball[0] + 45, ball[1] + 45), fill=(205, 40, 45))
    box = (500 - 70 * time, 200)
    draw.rectangle((box[0] - 50, box[1] - 50, box[0] + 50, box[1] + 50), fill=(40, 70, 200))
    draw.rectangle((300 + 30 * math.cos(time), 40, 330 + 30 * math.cos(time), 320), fill=(50, 160, 70))
    return np.asarray(image)


def main(path: Path, seconds: float = 2.0) -> None:
    """Write the clip, h264, twelve frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, FPS, SIZE) as video:
        for i in range(round(seconds * FPS)):
            video.write(frame(i / FPS))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *map(float, sys.argv[2:]))
