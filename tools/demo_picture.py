"""Make README's moving picture from the painted video that the demo wrote.

Usage: python tools/demo_picture.py demo/result/overlay.mp4 docs/demo.webp [--every 2] [--quality 45]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image

from ovvis.files.output import whole_file
from ovvis.sources.video import open_source

MOST = 3_000_000  # bytes


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--every", type=int, default=2, help="take each N-th frame")
    parser.add_argument("--quality", type=int, default=45, help="of WebP, 0 to 100")
    asked = parser.parse_args(words)
    source = open_source(asked.video, every=asked.every)
    frames = [Image.fromarray(frame.image) for frame in source]
    pause = round(1000 / source.info.fps)  # milliseconds; the rate is that of the frames taken
    with whole_file(asked.picture) as partial:
        frames[0].save(
            partial,
            format="WEBP",
            save_all=True,
            append_images=frames[1:],
            duration=pause,
            loop=0,
            quality=asked.quality,
            method=6,
        )
        size = partial.stat().st_size
        if size > MOST:
            sys.exit(f"demo_picture: {size:,} bytes is more than {MOST:,}; take fewer frames or a lower quality")
    print(f"{asked.picture}: {len(frames)} frames of {pause} ms, {size:,} bytes")


if __name__ == "__main__":
    main()
