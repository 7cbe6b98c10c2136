"""The viewer's measures: pictures a second with many tracks, and the page of a long video.

python benchmarks/viewer.py play [--tracks 50]     the browser shows 20 s of 720p; needs chromium and Selenium
python benchmarks/viewer.py write [--minutes 60]   how long a page takes to write, how large it is, how soon it opens
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ovvis import masks
from ovvis.outputs.render import VideoWriter
from ovvis.structures import Track, VideoResult
from ovvis.viewer import write_viewer

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
SIZE, FPS = (720, 1280), 30
SHAPES = 96  # of a track; more than a piece has frames, so that no mask repeats within one


class Turning(Sequence[Any]):
    """Masks of a track over any number of frames: its shapes, one after another and again."""

    def __init__(self, shapes: list[Any], count: int) -> None:
        self.shapes, self.count = shapes, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: Any) -> Any:
        return self.shapes[index % len(self.shapes)]


def shapes(seed: int) -> list[Any]:
    """Return a blob of about 90 pixels that moves and whose border trembles, as those of a network do."""
    rng = np.random.default_rng(seed)
    height, width = SIZE
    rows, columns = np.mgrid[:height, :width]
    centre, step = rng.uniform((120, 160), (600, 1120)), rng.uniform(-2, 2, 2)
    radius, waves = rng.uniform(25, 65), rng.normal(0, 0.06, 8)
    made = []
    for i in range(SHAPES):
        y, x = centre + step * (i if i < SHAPES // 2 else SHAPES - i)
        top, left = max(int(y - 110), 0), max(int(x - 110), 0)
        part = slice(top, int(y + 110)), slice(left, int(x + 110))
        dy, dx = rows[part] - y, columns[part] - x
        angle = np.arctan2(dy, dx)
        border = radius * (1 + sum(w * np.sin((k + 1) * angle + 0.05 * i * k) for k, w in enumerate(waves)))
        border += rng.normal(0, 0.4, 361)[np.rint(np.degrees(angle) + 180).astype(int)]
        made.append(masks.encode_crop(np.hypot(dy, dx) < border, (top, left), SIZE))
    return made


def result(tracks: int, frames: int) -> VideoResult:
    """Return a result in which every track is seen in every frame."""
    found = [
        Track(
            i + 1, f"object {i}", i, 0.9 - i / 100, ((f"object {i}", 0.9 - i / 100),), Turning(shapes(i), frames), SIZE
        )
        for i in range(tracks)
    ]
    labels = tuple(f"object {i}" for i in range(tracks))
    times = [i / FPS for i in range(frames)]
    return VideoResult(found, "made.mp4", *SIZE, FPS, list(range(frames)), times, labels)


def browser(folder: Path) -> Any:
    """Return a browser with an empty page."""
    from browser import fresh, open_browser

    return fresh(open_browser(folder, folder / "profile"), folder)


def play(tracks: int, seconds: int = 20) -> None:
    """Print pictures a second while the video plays, and what drawing the masks of one takes."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rng = np.random.default_rng(0)
        still = np.kron(rng.integers(0, 255, (45, 80, 3), dtype=np.uint8), np.ones((16, 16, 1), np.uint8))
        with VideoWriter(folder / "made.mp4", FPS, SIZE) as writer:
            for i in range(seconds * FPS):
                writer.write(np.roll(still, 3 * i, axis=1), i / FPS)
        write_viewer(result(tracks, seconds * FPS), folder / "page.html", folder / "made.mp4")
        driver = browser(folder)
        driver.get((folder / "page.html").as_uri())
        time.sleep(3)
        program = """
            const done = arguments[0], v = ovvisViewer, own = v.clock.onframe, spent = [], lags = [];
            v.clock.onframe = (now) => {
              const begun = performance.now();
              own(now);
              spent.push(performance.now() - begun);
              lags.push(v.seen.length);
            };
            const begun = performance.now(), first = v.now.time;
            v.clock.play();
            setTimeout(() => {
              const quality = document.getElementById("video").getVideoPlaybackQuality();
              v.clock.pause();
              spent.sort((a, b) => a - b);
              done({
                pictures: spent.length / ((performance.now() - begun) / 1000), played: v.now.time - first,
                middle: spent[spent.length >> 1], late: spent[Math.floor(spent.length * 0.95)],
                dropped: quality.droppedVideoFrames, masks: Math.min(...lags),
              });
            }, 15000);
        """
        found = driver.execute_async_script(program)
        driver.quit()
    print(
        f"{tracks} tracks at {SIZE[1]}x{SIZE[0]}: {found['pictures']:.1f} pictures a second of {FPS}, masks and all; "
        f"a picture's masks take {found['middle']:.1f} ms (95% under {found['late']:.1f} ms); "
        f"{found['dropped']} dropped"
    )


def write(tracks: int, minutes: float) -> None:
    """Print what the page of a long video takes."""
    frames = round(minutes * 60 * FPS)
    long = result(tracks, frames)
    code_bytes = sum(len(s["counts"]) for t in long.tracks for s in t.masks.shapes) / SHAPES * frames  # type: ignore
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        begun = time.perf_counter()
        written = write_viewer(long, folder / "page.html", source=False)
        spent = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        driver = browser(folder)
        driver.set_page_load_timeout(300)
        begun = time.perf_counter()
        driver.execute_cdp_cmd("Page.navigate", {"url": (folder / "page.html").as_uri()})
        ready = "return Boolean(globalThis.ovvisViewer && ovvisViewer.painted.position !== null)"
        while not driver.execute_script(ready):
            time.sleep(0.05)
        first = time.perf_counter() - begun
        while driver.execute_script("return document.readyState") != "complete":
            time.sleep(0.05)
        whole = time.perf_counter() - begun
        begun = time.perf_counter()
        there = "return ovvisViewer.painted.position === arguments[0]"
        driver.execute_script("ovvisViewer.clock.seek(arguments[0])", frames - 100)
        while not driver.execute_script(there, frames - 100):
            time.sleep(0.01)
        jump = time.perf_counter() - begun
        driver.quit()
    print(
        f"{minutes:g} minutes, {tracks} tracks, {frames * tracks:,} masks ({code_bytes / 1e6:,.0f} MB of codes): "
        f"{written.size / 1e6:,.0f} MB, written in {spent:.0f} s with {peak:.1f} GiB at most; in the browser the first "
        f"masks after {first:.1f} s, whole after {whole:.1f} s, a jump to the end {jump * 1000:.0f} ms"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["play", "write"])
    parser.add_argument("--tracks", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60)
    given = parser.parse_args()
    if given.what == "play":
        play(given.tracks)
    else:
        write(given.tracks, given.minutes)
