"""What many videos cost: workers beside each other, workers killed, a million names, a million hours.

    python benchmarks/scale.py efficiency            # frames a second with 1 to N workers of this machine
    python benchmarks/scale.py long                  # the same of one long video, and what its stretches weigh
    python benchmarks/scale.py stretches             # what they take beside one pass, in seconds of the processor
    python benchmarks/scale.py kills --videos 300    # three nodes, ten random kills: results, bytes, memory
    python benchmarks/scale.py names                 # memory of the command with a million names
    python benchmarks/scale.py plan --hours 1e6 --seconds-a-frame 0.04 --price 2.0

`kills` starts a cluster of three nodes on this machine (Ray's own for tests) and the command beside it, kills workers,
a node and the command itself at random moments, gives the command again, and compares every file with those that one
process makes. All but the last print a table and write their figures with --json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/cluster")]

SMALL = ["--labels", "dog, cat, car", "--model", "clip-vis-stickers", "--device", "cpu", "--no-video"]


def films(folder: Path, count: int, frames: int) -> Path:
    """Make short videos, and return the list of them."""
    from clips import Clip

    folder.mkdir(parents=True)
    for number in range(count):
        Clip(f"v{number:04}.mp4", count=frames + number % 3).make(folder)
    listed = folder.with_suffix(".txt")
    listed.write_text("".join(f"{folder}/v{number:04}.mp4\n" for number in range(count)))
    return listed


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "ovvis", "segment", *map(str, words)]


def content(folder: Path) -> dict[str, bytes]:
    """Return all files, without the seconds that they took."""
    return {
        path.relative_to(folder).as_posix(): re.sub(rb'\n"seconds": \{[^}]*\},', b"", path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass
class Memory:
    """The memory of processes over time, in MiB: private, and their share of what they share."""

    seconds: list[float]
    all: list[float]  # the command, and everything of the cluster
    driver: list[float]
    largest: list[float]  # of a worker


@contextmanager
def watched(cluster: Any, driver: list[Any]) -> Iterator[Memory]:
    """Take the memory of everything once a second."""
    import psutil
    from ray_cluster import workers

    memory, over, began = Memory([], [], [], []), threading.Event(), time.monotonic()

    def held(process: Any) -> float:
        try:
            return float(process.memory_full_info().pss) / 2**20
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return 0.0

    def watch() -> None:
        while not over.wait(1.0):
            raylets = [psutil.Process(node.all_processes["raylet"][0].process.pid) for node in cluster.list_all_nodes()]
            tree = [child for raylet in raylets for child in [raylet, *raylet.children(recursive=True)]]
            own = held(driver[0]) if driver else 0.0
            memory.seconds.append(time.monotonic() - began)
            memory.driver.append(own)
            memory.all.append(own + sum(map(held, tree)))
            memory.largest.append(max(map(held, workers(cluster)), default=0.0))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        over.set()
        thread.join()


def kills(options: argparse.Namespace) -> dict[str, Any]:
    """Kill workers, a node and the command at random, and see what comes of it."""
    import psutil
    from ray_cluster import NODE, small_cluster, workers

    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="ovvis-scale-") as scratch:
        home = Path(scratch)
        listed = films(home / "films", options.videos, options.frames)
        words = [listed, *SMALL, "--short-edge", "32"]
        began = time.monotonic()
        subprocess.run(command(*words, "--output", home / "alone"), check=True, stdout=subprocess.DEVNULL)
        alone = time.monotonic() - began
        out, driver, killed = home / "out", list[Any](), list[str]()
        with small_cluster(3) as cluster, watched(cluster, driver) as memory:

            def start() -> subprocess.Popen[bytes]:
                said = (home / "said").open("ab")
                run = subprocess.Popen(
                    command(*words, "--output", out, "--ray", cluster.address), stdout=said, stderr=said
                )
                driver[:] = [psutil.Process(run.pid)]
                return run

            def done() -> int:
                return len(list(out.glob("*/tracks.json")))

            began, run = time.monotonic(), start()
            moments = sorted(dice.sample(range(2, options.videos - 5), options.kills))
            kinds = ["the command", "a node"] + ["a worker"] * (options.kills - 2)
            dice.shuffle(kinds)
            for moment, kind in zip(moments, kinds, strict=True):
                while done() < moment and run.poll() is None:
                    time.sleep(dice.uniform(0.0, 0.1))
                if kind == "the command":
                    run.kill()
                    run.wait()
                    run = start()
                elif kind == "a node":
                    node = dice.choice(cluster.list_all_nodes()[1:])  # the first one is the cluster's head
                    cluster.remove_node(node, allow_graceful=False)
                    cluster.add_node(**NODE)
                else:
                    while not (here := workers(cluster)) and run.poll() is None:
                        time.sleep(0.05)
                    if here:
                        dice.choice(here).send_signal(signal.SIGKILL)
                killed.append(f"{kind} at {done()} videos")
                print(killed[-1], flush=True)
            code = run.wait()
            seconds = time.monotonic() - began
        one, many = content(home / "alone"), content(out)
        if options.keep:
            shutil.copy(home / "said", options.keep)
        differ = sorted(name for name in one.keys() | many.keys() if one.get(name) != many.get(name))
        left = [str(path.relative_to(out)) for path in out.rglob(".*")]
    third = len(memory.all) // 3
    return {
        "videos": options.videos,
        "exit code": code,
        "kills": killed,
        "files": len(one),
        "files that differ": differ,
        "left over": left,
        "seconds alone": round(alone, 1),
        "seconds on the cluster": round(seconds, 1),
        "MiB of all processes, most in each third": [
            round(max(memory.all[i * third : (i + 1) * third], default=0)) for i in range(3)
        ],
        "MiB of the command, most in each third": [
            round(max(memory.driver[i * third : (i + 1) * third], default=0)) for i in range(3)
        ],
        "MiB of the largest worker, most in each third": [
            round(max(memory.largest[i * third : (i + 1) * third], default=0)) for i in range(3)
        ],
    }


def segmenting(out: Path, short_edge: int, spread: int = 0) -> Any:
    """Return what makes workers that segment with the small model."""
    from functools import partial

    from ovvis.cluster.homes import home_of
    from ovvis.cluster.segmenting import Segmenting, SegmentJob
    from ovvis.cluster.videos import _load, _made, _open
    from ovvis.results.video_folder import Painting
    from ovvis.vocabulary import Vocabulary

    home, words = home_of(out), Vocabulary.parse("dog, cat, car")
    home.begin()
    load = partial(_load, "clip-vis-stickers", None, "cpu", "float32", words, {"short_edge": short_edge})
    job = SegmentJob(
        home=home,
        load=load,
        made=_made,
        open=_open,
        bounded=False,
        painting=Painting(video=False),
        spread=spread,
    )
    return partial(Segmenting, job)


def efficiency(options: argparse.Namespace) -> dict[str, Any]:
    """Measure frames a second with 1 to N workers, each of one core."""
    from ray_cluster import small_cluster

    from ovvis.cluster.crew import Crew
    from ovvis.cluster.ray_hands import RayHands
    from ovvis.cluster.segmenting import VideoTask

    rows: dict[str, Any] = {}
    most = options.workers or os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="ovvis-scale-") as scratch, small_cluster(most):
        videos = films(Path(scratch) / "films", options.videos, options.frames).read_text().split()
        for number in range(1, most + 1):
            tasks = [VideoTask(video, Path(video).stem) for video in videos]
            with RayHands("auto", segmenting(Path(scratch) / f"out{number}", options.short_edge)) as hands:
                crew = Crew(hands, agree=lambda *_: None, say=print, workers=number)
                began = frames = 0
                for outcome in crew.run(tasks):
                    if not began and len(crew.busy) + len(crew.idle) == number:
                        began, frames = time.monotonic(), 0  # all of them have loaded
                    frames += outcome.answer.frames or 0
                rows[f"{number}"] = round(frames / (time.monotonic() - began), 2)
    return _compared(rows)


def _compared(rows: dict[str, float]) -> dict[str, Any]:
    first = rows["1"]
    return {
        "frames a second, by workers": rows,
        "efficiency": {number: round(rate / first / int(number), 3) for number, rate in rows.items()},
    }


def stretches(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what looking at stretches and following them take beside one pass, in seconds of this process."""
    from contextlib import nullcontext

    from ovvis.cluster.videos import _load
    from ovvis.inference.stretches import follow_stretches, write_stretch
    from ovvis.models.zoo import SMALL_MODEL
    from ovvis.sources.video import open_source
    from ovvis.vocabulary import Vocabulary

    words = Vocabulary.parse("dog, cat, car")
    segmenter = _load(SMALL_MODEL, None, "cpu", "float32", words, {"short_edge": options.short_edge}, None)
    taken, rounds = {"one pass": 0.0, "looking": 0.0, "following": 0.0}, options.rounds

    def timed(what: str, act: Any) -> Any:
        began = time.process_time()
        done = act()
        taken[what] += time.process_time() - began
        return done

    with tempfile.TemporaryDirectory(prefix="ovvis-scale-") as scratch:
        film, home = ROOT / "src/ovvis/demo/stickers.mp4", Path(scratch)
        source = open_source(film, max_frames=options.frames)
        cut = source.stretches(options.spread)
        frames, names = sum(stretch.count for stretch in cut), [str(number) for number in range(len(cut))]

        def read(name: str) -> Any:
            return nullcontext(home / name)

        for _ in range(rounds):  # in turn, so that what else the machine does meets all of them
            timed("one pass", lambda: segmenter(open_source(film, max_frames=options.frames))).close()
            for number, stretch in enumerate(cut):
                path = home / str(number)
                timed("looking", lambda s=stretch, p=path: write_stretch(segmenter, source.stretch(s), p, p.name))
            timed("following", lambda: follow_stretches(segmenter, source, names, read)).close()
        weight = sum((home / name).stat().st_size for name in names)
    return {
        "frames": frames,
        "ms a frame": {what: round(1000 * seconds / frames / rounds, 1) for what, seconds in taken.items()},
        "of one pass": {what: round(seconds / taken["one pass"], 3) for what, seconds in taken.items()},
        "bytes a frame of stretches": round(weight / frames),
    }


def long(options: argparse.Namespace) -> dict[str, Any]:
    """Measure frames a second of one long video with 1 to N workers of one core, and what its stretches weigh."""
    from ray_cluster import small_cluster

    from clips import Clip
    from ovvis.cluster.crew import Crew
    from ovvis.cluster.ray_hands import RayHands
    from ovvis.cluster.segmenting import VideoTask

    rows: dict[str, float] = {}
    weight: dict[str, int] = {}
    most, results = options.workers or os.cpu_count() or 1, list[dict[str, bytes]]()
    following = 0.0
    with tempfile.TemporaryDirectory(prefix="ovvis-scale-") as scratch, small_cluster(most):
        film = Clip("film.mp4", count=options.frames).make(Path(scratch), size=(240, 320))
        for number in range(1, most + 1):
            out = Path(scratch) / f"out{number}"
            with RayHands("auto", segmenting(out, options.short_edge, options.spread)) as hands:
                crew = Crew(hands, agree=lambda *_: None, say=print, workers=number, spread=number > 1)
                began = before = followed = 0.0

                def tick(crew: Any = crew, hands: Any = hands, number: int = number, out: Path = out) -> None:
                    nonlocal began, before, followed
                    if not began and len(crew.busy) + len(crew.idle) == number and not crew.loading:
                        began, before = time.monotonic(), crew.in_parts + hands.under_way()  # all of them have loaded
                    weight.update({path.name: path.stat().st_size for path in out.glob(".*/*.windows")})
                    if not followed and any(job.whole and job.task is job.whole.then for job in crew.busy.values()):
                        followed = time.monotonic()

                crew.tick = tick
                (outcome,) = crew.run([VideoTask(str(film), "film")])
                assert outcome.problem is None, outcome.problem
                ended = time.monotonic()
                if not began:
                    raise SystemExit(f"{number} workers had not all loaded before the end: give more --frames")
                rows[f"{number}"] = round((outcome.answer.frames - before) / (ended - began), 2)
                following = ended - followed if followed else 0.0
            results.append(content(out))
    return _compared(rows) | {
        "frames": options.frames,
        "seconds of following": round(following, 1),
        "bytes a frame of stretches": round(sum(weight.values()) / options.frames),
        "results are the same": all(result == results[0] for result in results),
    }


def names(options: argparse.Namespace) -> dict[str, Any]:
    """Take the memory of a list of a million names: its names, and handing them out to workers that do nothing."""
    from test_handing_out import ScriptHands

    from ovvis.cli.segment_many import Tasks
    from ovvis.cli.segment_tally import Tally
    from ovvis.cluster.crew import Crew
    from ovvis.cluster.segmenting import Row
    from ovvis.predictions.folder import Shard
    from ovvis.sources.many import videos_of

    def memory() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20

    class Hands(ScriptHands):
        def give(self, hand: Any, task: Any) -> None:
            hand.doing = Row(task.name, 100, 3, 1.0)

    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch) / "list.txt"
        with listed.open("w") as file:
            for number in range(options.count):
                file.write(f"s3://films/{number // 1000:06}/camera-{number % 7}/{number:012}.mp4\n")
        before, began = memory(), time.monotonic()
        tasks, tally = Tasks(videos_of([str(listed)]).sources, Shard()), Tally()
        named, seconds = memory(), time.monotonic() - began
        held, began = [], time.monotonic()
        for outcome in Crew(Hands(room=64), agree=lambda *_: None, say=print).run(tasks):
            tally.add(outcome.answer)
            if tally.total % (options.count // 10) == 0:
                held.append(round(memory() - before))
        return {
            "names": tally.total,
            "seconds to name them": round(seconds, 1),
            "MiB when they are named": round(named - before),
            "MiB at each tenth handed out": held,
            "names handed out a second": round(tally.total / (time.monotonic() - began)),
        }


MONTH = 30 * 86400.0
CLASS_A, LISTED = 5e-6, 1000  # dollars of a PUT or a listing, and names that one listing gives, of S3 as published
STORED = 0.023  # dollars of a GB and month


def plan(options: argparse.Namespace) -> dict[str, Any]:
    """Compute what so many hours of video take, cost, and bring to its limits."""
    videos = options.hours * 3600 / options.video_seconds
    frames = options.hours * 3600 * options.fps
    worker_hours = frames * options.seconds_a_frame / 3600
    wall = worker_hours / options.workers
    results = frames * options.bytes_a_frame
    each = options.video_seconds * options.fps * options.seconds_a_frame  # seconds of a worker in a video
    rate, seen = options.workers / each, videos * 0.03 / 3600  # 30 ms for a question to a bucket
    return {
        "videos": f"{videos:,.0f}",
        "frames": f"{frames:,.0f}",
        "hours of workers": f"{worker_hours:,.0f}",
        f"days with {options.workers:,} workers": f"{wall / 24:,.1f}",
        f"cost of workers at ${options.price:g} an hour": f"${worker_hours * options.price:,.0f}",
        "results": f"{results / 2**40:,.1f} TiB, {2 * videos:,.0f} files",
        "cost of writing them": f"${2 * videos * CLASS_A:,.0f}",
        "cost of keeping them": f"${results / 1e9 * STORED:,.0f} a month",
        "list of names": f"{videos * 80 / 2**30:,.1f} GiB",
        "memory for the names": f"{videos * 24 / 2**30:,.2f} GiB",
        "requests to list them": f"{videos / LISTED:,.0f}, {videos / LISTED * 0.1 / 3600:,.1f} hours one by one",
        "tasks a second": f"{rate:,.1f} (one driver hands out {options.tasks_a_second:,})",
        "to see what is done": f"{seen:,.0f} hours one by one, {seen / options.workers:,.2f} by the workers",
        "drivers wanted": f"{max(1.0, math.ceil(rate / options.tasks_a_second), math.ceil(videos / 2e6)):,.0f}",
        "loading the model": f"{options.load_seconds / (wall * 3600):.4%} of the time",
    }


PARTS = {
    "efficiency": efficiency,
    "long": long,
    "stretches": stretches,
    "kills": kills,
    "names": names,
    "plan": plan,
}


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("efficiency")
    part.add_argument("--workers", type=int, help="most of them; the cores of this machine if not given")
    part.add_argument("--videos", type=int, default=24)
    part.add_argument("--frames", type=int, default=10)
    part.add_argument("--short-edge", type=int, default=128)
    part = parts.add_parser("long")
    part.add_argument("--workers", type=int, help="most of them; the cores of this machine if not given")
    part.add_argument("--frames", type=int, default=400)
    part.add_argument("--spread", type=int, default=40, help="frames of a stretch")
    part.add_argument("--short-edge", type=int, default=192)
    part = parts.add_parser("stretches")
    part.add_argument("--frames", type=int, default=24)
    part.add_argument("--spread", type=int, default=8, help="frames of a stretch")
    part.add_argument("--rounds", type=int, default=3)
    part.add_argument("--short-edge", type=int, default=256)
    part = parts.add_parser("kills")
    part.add_argument("--videos", type=int, default=300)
    part.add_argument("--frames", type=int, default=4)
    part.add_argument("--kills", type=int, default=10)
    part.add_argument("--seed", type=int, default=0)
    part.add_argument("--keep", type=Path, help="where what the command says is kept")
    part = parts.add_parser("names")
    part.add_argument("--count", type=int, default=1_000_000)
    part = parts.add_parser("plan")
    part.add_argument("--hours", type=float, default=1e6)
    part.add_argument("--fps", type=float, default=25.0, help="frames of a second that are looked at")
    part.add_argument("--video-seconds", type=float, default=60.0)
    part.add_argument("--seconds-a-frame", type=float, default=0.04, help="of one worker; measure it: ovvis benchmark")
    part.add_argument("--workers", type=int, default=1000)
    part.add_argument("--price", type=float, default=2.0, help="dollars of a worker's hour")
    part.add_argument("--bytes-a-frame", type=float, default=1500.0, help="of tracks.json")
    part.add_argument("--tasks-a-second", type=int, default=1000, help="that one driver hands out")
    part.add_argument("--load-seconds", type=float, default=20.0)
    options = parser.parse_args()
    figures = PARTS[options.part](options)
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:{width}}  {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
