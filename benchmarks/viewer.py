"""The viewer's measures: pictures a second with many tracks, and a long video as a page and by `ovvis view`.

All need chromium and Selenium.

python benchmarks/viewer.py play [--tracks 50]                  the browser shows 20 s of 720p
python benchmarks/viewer.py write [--minutes 60] [--folder DIR] a page: how long it takes to write, how large it is, how
                                                                soon it opens
python benchmarks/viewer.py serve [--minutes 60] [--folder DIR] the same result by `ovvis view`, from its tracks.json

With --folder the page or tracks.json stays there, and the next run measures the browser alone.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ovvis import masks
from ovvis.outputs.formats.tracks_json import save_tracks
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
        if index >= self.count:
            raise IndexError(index)
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


FIRST = """
    globalThis.shownAfter = null;
    const wait = setInterval(() => {
      if (!globalThis.ovvisViewer || ovvisViewer.painted.position === null) return;
      globalThis.shownAfter = performance.now() / 1000;
      clearInterval(wait);
    }, 10);
"""


def looked_at(folder: Path, address: str, frames: int) -> str:
    """Return what a browser takes to open a page and to go from moment to moment."""
    driver = browser(folder)
    driver.set_page_load_timeout(300)
    driver.set_script_timeout(300)
    before = held()
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": FIRST})
    begun = time.perf_counter()
    driver.execute_cdp_cmd("Page.navigate", {"url": address})
    most = 0.0
    while driver.execute_script("return document.readyState") != "complete":  # not before the page is whole
        most = max(most, held())
        time.sleep(0.1)
    whole = time.perf_counter() - begun
    while (first := driver.execute_script("return shownAfter")) is None:
        time.sleep(0.05)
    most = max(most, held())
    jumps = []
    for position in (frames - 100, frames // 2, 300, frames * 3 // 4):
        begun = time.perf_counter()
        driver.execute_script("ovvisViewer.clock.seek(arguments[0])", position)
        while not driver.execute_script("return ovvisViewer.painted.position === arguments[0]", position):
            time.sleep(0.01)
        jumps.append(1000 * (time.perf_counter() - begun))
    driver.quit()
    return (
        f"in the browser the first masks after {first:.1f} s, whole after {whole:.1f} s, jumps of "
        f"{min(jumps):.0f} to {max(jumps):.0f} ms, {most - before:.1f} GiB more than without it at most"
    )


def held() -> float:
    """Return the GiB that all processes of browsers hold; what they share is counted once."""
    total = 0
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if b"chromium" in (place / "cmdline").read_bytes():
                total += int(re.findall(r"Pss: +(\d+)", (place / "smaps_rollup").read_text())[0])
        except (OSError, IndexError):
            continue  # it has just gone
    return total / 2**20


def write(tracks: int, minutes: float, folder: Path) -> None:
    """Print what the page of a long video takes."""
    frames, page = round(minutes * 60 * FPS), folder / "page.html"
    said = "written before"
    if not page.exists():
        begun = time.perf_counter()
        written = write_viewer(result(tracks, frames), page, source=False)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        said = f"written in {time.perf_counter() - begun:.0f} s with {peak:.1f} GiB at most; {written.says[0]}\n"
    size = page.stat().st_size / 1e6
    print(
        f"{minutes:g} minutes, {tracks} tracks, {frames * tracks:,} masks: a page of {size:,.0f} MB, {said}", flush=True
    )
    print(looked_at(folder, page.as_uri(), frames))


def save_repeated(long: VideoResult, path: Path) -> None:
    """Write a result as `save_tracks` does, sooner: its masks are some shapes again and again."""
    rounds, rest = divmod(len(long.frame_indices), SHAPES)
    shapes = [replace(track, masks=track.masks.shapes) for track in long.tracks]  # type: ignore[attr-defined]
    save_tracks(replace(long, tracks=shapes), path)
    short = json.loads(path.read_text())
    with path.open("w", encoding="ascii") as file:
        file.write(json.dumps(short | {"tracks": []}).removesuffix("]}"))
        for i, track in enumerate(short["tracks"]):
            lists = {name: track.pop(name) for name in ("segmentations", "boxes", "areas")}
            file.write(("," if i else "") + json.dumps(track).removesuffix("}"))
            for name, values in lists.items():
                texts = [json.dumps(value) for value in values]
                parts = [", ".join(texts)] * rounds + ([", ".join(texts[:rest])] if rest else [])
                file.write(f', "{name}": [')
                for number, part in enumerate(parts):
                    file.write((", " if number else "") + part)
                file.write("]")
            file.write("}")
        file.write("]}")


def serve(tracks: int, minutes: float, folder: Path) -> None:
    """Print what `ovvis view` takes for the result of a long video."""
    frames, saved = round(minutes * 60 * FPS), folder / "tracks.json"
    if not saved.exists():
        save_repeated(result(tracks, frames), saved)
    begun = time.perf_counter()
    command = [sys.executable, "-m", "ovvis", "view", str(saved), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        found = None
        while found is None:
            line = program.stdout.readline()
            assert line, "ovvis view ended"
            found = re.search(r"http://\S+", line)
        ready = time.perf_counter() - begun
        seen = looked_at(folder, found[0], frames)
        status = Path(f"/proc/{program.pid}/status").read_text()
        program.terminate()
    peak = int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 2**20
    size = saved.stat().st_size / 1e6
    print(
        f"{minutes:g} minutes, {tracks} tracks, a tracks.json of {size:,.0f} MB: ovvis view is there after "
        f"{ready:.0f} s, {peak:.1f} GiB at most; {seen}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["play", "write", "serve"])
    parser.add_argument("--tracks", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.what == "play":
        play(given.tracks)
    else:
        with TemporaryDirectory() as scratch:
            place = (given.folder or Path(scratch)).absolute()
            {"write": write, "serve": serve}[given.what](given.tracks, given.minutes, place)
