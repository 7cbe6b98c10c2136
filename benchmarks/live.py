"""A long live run from a generated camera: memory, latency, pictures a second, frames left out, identities.

    python benchmarks/live.py --frames 20000 --fps 80

The camera shows the world's scenes one after another, each with objects of its own that come and go; its frames come at
their own pace, taken or not. Each picture is painted, written into a growing video and as a line of JSON. Since the
truth is known, it counts ids that stood for more than one object, and objects that had more than one id. Needs the
sprites of `ovvis world build`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

import ovvis
from ovvis import masks
from ovvis.datasets.stickers import SPLITS
from ovvis.freed_memory import keep_freed_memory
from ovvis.inference.live import Live
from ovvis.inference.live_tubes import LiveSettings
from ovvis.outputs.live_lines import LinesFile, frame_line
from ovvis.outputs.render import Painted, VideoWriter, paint
from ovvis.sources.source import Source
from ovvis.structures import Frame, LiveFrame, SourceInfo
from ovvis.world.sprites import load_sprites
from ovvis.world.video import Videos

SCENE, SCENES = 120, 8  # frames of each, and how many there are before the first comes again


class Camera(Source):
    """Scenes of the world in turn, at a pace of their own; drawn beforehand, so that the camera costs nothing.

    Args:
        videos: the scenes.
        frames: how many there are in all.
        fps: a second.
        waits: for whoever reads them, in place of their own pace.
    """

    endless = live = True
    rereadable = False

    def __init__(self, videos: Videos, frames: int, fps: float, waits: bool) -> None:
        self.info = SourceInfo("generated camera", videos.config.height, videos.config.width, fps, None)
        self._frames, self._fps, self._waits = frames, fps, waits
        self._drawn = [frame for scene in range(SCENES) for frame in videos.video(5, scene)]

    def truth(self, index: int) -> tuple[int, np.ndarray]:
        """Return a frame's scene, another each time it is shown, and who owns its pixels."""
        return index // SCENE, self._drawn[index % len(self._drawn)].owner

    def __iter__(self) -> Iterator[Frame]:
        begun = time.monotonic()
        for index in range(self._frames):
            early = begun + index / self._fps - time.monotonic()
            if early > 0 and not self._waits:
                time.sleep(early)
            yield Frame(self._drawn[index % len(self._drawn)].image, index, index / self._fps)


class Identities:
    """Counts which ids stood for which objects."""

    def __init__(self) -> None:
        self.objects: dict[int, Counter[tuple[int, int]]] = defaultdict(Counter)  # of each id

    def add(self, live: LiveFrame, truth: tuple[int, np.ndarray]) -> None:
        """Take a frame: an instance shows the object that owns more than half of its mask."""
        scene, owner = truth
        for one in live.instances:
            inside = owner[masks.decode(one.mask)]
            best, cells = Counter(inside.tolist()).most_common(1)[0]
            if best and cells * 2 > len(inside):
                self.objects[one.id][scene, best] += 1

    def told(self) -> str:
        """Return the counts as text."""
        shown = {number: {o for o, frames in seen.items() if frames >= 2} for number, seen in self.objects.items()}
        mixed = sum(len(objects) > 1 for objects in shown.values())
        ids = Counter(o for objects in shown.values() for o in objects)
        frames = sum(seen.total() for seen in self.objects.values())
        stray = sum(seen.total() - max(seen.values()) for seen in self.objects.values())
        return (
            f"{len(self.objects)} ids for {len(ids)} objects; {mixed} ids stood for more than one object in two frames "
            f"or more, in {stray} of {frames} instances; {sum(n > 1 for n in ids.values())} objects had several ids"
        )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--fps", type=float, default=80.0)
    parser.add_argument("--all-frames", action="store_true", help="the camera waits for the network")
    parser.add_argument("--model", default="clip-vis-stickers")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--short-edge", type=int)
    parser.add_argument("--forget", type=float, default=LiveSettings().forget)
    parser.add_argument("--other", type=float, default=LiveSettings().other)
    asked = parser.parse_args()
    keep_freed_memory()
    split = SPLITS["val-long"].config
    videos = Videos(load_sprites(), replace(split, frames=SCENE, objects=(2, 5)))
    words = [c.name for c in load_sprites().categories][:100]
    segmenter = ovvis.VideoSegmenter(
        ovvis.load_model(asked.model, precision=asked.precision), words, short_edge=asked.short_edge
    )
    camera = Camera(videos, asked.frames, asked.fps, asked.all_frames)
    settings = LiveSettings(forget=asked.forget, other=asked.other)
    live = Live(segmenter, camera, settings=settings, keep_up=not asked.all_frames)
    process, identities, held, least, busy = psutil.Process(), Identities(), [], 0, time.process_time()
    size = (camera.info.height, camera.info.width)
    with tempfile.TemporaryDirectory() as folder, LinesFile(Path(folder) / "live.jsonl") as lines:
        with VideoWriter(Path(folder) / "live.mp4", asked.fps, size, growing=True) as video:
            for seen in live:
                drawn = [Painted(i.id, i.label, i.score, masks.decode(i.mask)) for i in seen.instances]
                video.write(paint(seen.frame.image, drawn), seen.time)
                lines.write(frame_line(seen, live.meter.picture(seen)))
                identities.add(seen, camera.truth(seen.frame.index))
                if seen.frame.index >= least:
                    least += asked.frames // 10
                    held.append(process.memory_info().rss / 2**20)
        written = [path.stat().st_size / 2**20 for path in sorted(Path(folder).iterdir())]
    meter = live.meter
    print(f"{meter.frames + live.meter.left_out} frames of the camera in {meter.seconds:.0f} s; {meter.frames} taken, ")
    print(f"{meter.left_out} left out; {meter.frames / meter.seconds:.1f} pictures a second, ", end="")
    print(f"{(time.process_time() - busy) / meter.frames * 1000:.0f} ms of processor time each")
    print(f"latency {meter.latency_of_all(0.5) * 1000:.0f} ms (p50), {meter.latency_of_all(0.95) * 1000:.0f} ms (p95)")
    print(f"memory, MiB, at each tenth: {', '.join(f'{value:.0f}' for value in held)}")
    print(f"lines {written[0]:.1f} MiB, video {written[1]:.1f} MiB")
    print(identities.told())


if __name__ == "__main__":
    main()
