"""Make the packaged demo video: the world's painter, with drawings, ways and a background chosen by hand.

Usage: python tools/make_demo.py [VIDEO.mp4]

Noto and Fluent drawings only, so that the video may be passed on under two plain licences (Apache-2.0 and MIT). It
needs the world's sprites (`ovvis world build`).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from ovvis.outputs.render import VideoWriter
from ovvis.paths import DEMO_VIDEO
from ovvis.world.dice import Dice, smooth
from ovvis.world.motion import Object, VideoConfig
from ovvis.world.sprites import Sprites, load_sprites
from ovvis.world.video import Video, Videos

FPS = 24
CONFIG = VideoConfig(height=320, width=480, frames=9 * FPS, objects=(1, 1), reserved_backgrounds=True)
SEED = 14  # of background, camera and light
PACKAGES = ("noto", "fluent-3d")


@dataclass(frozen=True, slots=True)
class Actor:
    """One object. Keys lie evenly over the video; the way between them is smooth."""

    category: str
    package: str
    file: str
    x: tuple[float, ...]  # of its middle, in frame widths
    y: tuple[float, ...]  # in frame heights
    side: tuple[float, ...]  # of its longer side, in frame heights
    turn: tuple[float, ...] = (0.0, 0.0)  # in turns
    mirrored: bool = False


# Far to near. The fire truck wholly hides the owl in the middle of the video, then the elephant for the most part. The
# penguins are the same drawing. The airplane flies over the elephant, leaves and comes back. Novel: elephant, owl,
# octopus, fire truck.
ACTORS = (
    Actor(
        "elephant",
        "noto",
        "elephant",
        (0.15, 0.19, 0.2, 0.24, 0.3),
        (0.45, 0.43, 0.46, 0.44, 0.45),
        (0.5, 0.55),
        mirrored=True,
    ),
    Actor("owl", "noto", "owl", (0.63, 0.62, 0.64, 0.63), (0.51, 0.49, 0.5, 0.49), (0.26, 0.26), (0.01, -0.02, 0.01)),
    Actor(
        "airplane",
        "fluent-3d",
        "2708-fe0f",
        (0.45, 0.3, 0.2, 0.5, 0.6),
        (0.17, 0.1, -0.45, 0.1, 0.17),
        (0.3, 0.28, 0.3),
        (0.02, 0.0, 0.05),
    ),
    Actor(
        "octopus",
        "fluent-3d",
        "1f419",
        (0.9, 0.87, 0.9, 0.86),
        (0.72, 0.7, 0.73, 0.68),
        (0.34, 0.37, 0.34),
        (-0.03, 0.03, -0.03, 0.02),
    ),
    Actor("fire truck", "noto", "fire-engine", (1.5, 1.0, 0.6, 0.35, -0.35), (0.5, 0.5, 0.5, 0.5, 0.52), (0.56, 0.56)),
    Actor(
        "penguin",
        "noto",
        "penguin",
        (0.2, 0.28, 0.34, 0.37, 0.36),
        (0.82, 0.8, 0.82, 0.8, 0.82),
        (0.3, 0.3),
        (0.02, -0.02, 0.02, -0.02, 0.02),
    ),
    Actor(
        "penguin",
        "noto",
        "penguin",
        (0.74, 0.69, 0.63, 0.57, 0.59),
        (0.8, 0.82, 0.8, 0.82, 0.8),
        (0.3, 0.3),
        (-0.02, 0.02, -0.02, 0.02, -0.02),
    ),
)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, nargs="?", default=DEMO_VIDEO)
    target = parser.parse_args(words).video
    video = direct(load_sprites())
    target.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(target, FPS, (CONFIG.height, CONFIG.width), crf=24, preset="slow") as writer:
        for frame in video:
            writer.write(frame.image)
    print(f"{target}: {len(video)} frames, {target.stat().st_size / 1e6:.2f} MB")


def direct(sprites: Sprites) -> Video:
    """Return the video: the painter's own background, camera and light, with these actors."""
    made = Video(Videos(sprites, CONFIG), Dice(SEED))
    made.objects = tuple(_object(sprites, actor) for actor in ACTORS)
    return made


def _object(sprites: Sprites, actor: Actor) -> Object:
    category = next(i for i, known in enumerate(sprites.categories) if known.name == actor.category)
    wanted = category, actor.package, actor.file
    sprite = next(i for i, e in enumerate(sprites.entries) if (e.category, e.drawing.package, e.drawing.file) == wanted)
    width, height, n = float(CONFIG.width), float(CONFIG.height), CONFIG.frames
    return Object(
        sprite,
        category,
        tuple(smooth([x * width for x in actor.x], n)),
        tuple(smooth([y * height for y in actor.y], n)),
        tuple(smooth([side * height for side in actor.side], n)),
        tuple(smooth(list(actor.turn), n)),
        actor.mirrored,
    )


if __name__ == "__main__":
    main()
