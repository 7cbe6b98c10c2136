"""Kill every verb at random moments, run it again, and look whether anything is lost, left or said amiss.

    python benchmarks/kills.py --kills 200

A run is a fork of this process, which has PyTorch and a tiny network already, so that it takes a second. Each verb
runs once undisturbed; that is what it must come to after a kill, too. Then, in turns over verbs and signals, a run is
sent a signal at a random moment, polite ones sometimes two or three, and the same command is given again until it is
done. What is looked at:

- lost: the end differs from that of the undisturbed run (times and rates apart), or an older result is gone;
- left: a hidden file or a lock, after a polite end at once and after SIGKILL once the command has run again; a process;
- said: a traceback, or another exit code than 128 and the signal's number, or that of a run that was done before.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
import open_clip
import torch
import yaml
from PIL import Image

from conftest import TINY_CLIPS
from fakes import authors_checkpoint, build_tiny, tiny_config
from ovvis.cli import demo, entry, reproduce, world
from ovvis.cli.lazy import load as load_verb
from ovvis.datasets import stickers
from ovvis.datasets.stickers import SPLITS
from ovvis.masks import encode
from ovvis.models import load, zoo
from ovvis.outputs.render import VideoWriter
from tiny_world import tiny_sprites

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PATIENCE = 120  # seconds for a run
REFUSED = 2
SLOW = ("segment, its start", "demo", "train", "reproduce")  # killed a third as often as the others
TRIES = 5
FRESH = 4.0  # seconds of a new Python's run in which it is killed

NETWORK = {"clip": "tiny-resnet", "width": 32, "queries": 6, "pixel_layers": 1, "decoder_layers": 2, "heads": 4}
NETWORK |= {"points": 2, "pixel_hidden": 32, "decoder_hidden": 32}
RECIPE = {
    "model": {"weights": "untrained", "network": NETWORK},
    "data": {"augment": {"resize": "short_edge", "short_edges": [64], "long_edge": 96}},
    "loss": {"points": 64},
    "run": {"steps": 3, "batch": 2, "workers": 1, "log_every": 1, "save_every": 2, "precision": "32-true"},
    "validation": {"every": 3, "agnostic": True, "short_edge": 64, "long_edge": 96, "pictures": 1},
}


@dataclass
class Case:
    """A verb: its arguments, below a folder with all inputs, and what is to come of it."""

    words: list[str]
    result: Callable[[Path], Any]  # what must be the same, of the folder that it worked in
    goes_on: bool = False  # what a stopped run leaves is used by the next
    fresh: bool = False  # the killed run is a new Python, most of whose time is spent on imports


def inputs(home: Path) -> None:
    """Make what the verbs read."""
    rng = np.random.default_rng(0)
    with VideoWriter(home / "clip.mp4", 10.0, (64, 96)) as video:
        for _ in range(12):
            video.write(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
    content: dict[str, Any] = {"videos": [], "annotations": [], "categories": [{"id": 1, "name": "square"}]}
    results = []
    for id in range(1, 4):
        names, codes = [], []
        for t in range(3):
            mask = np.zeros((64, 96), bool)
            mask[10 * id : 10 * id + 20, 20 + 10 * t : 50 + 10 * t] = True
            image = np.where(mask[..., None], (250, 200, 40 * id), (20, 30, 40)).astype(np.uint8)
            for folder, pixels in (("JPEGImages", image), ("Annotations", mask.astype(np.uint8))):
                (home / "own" / folder / f"{id}").mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(home / "own" / folder / f"{id}" / f"{t}.png")
            names.append(f"{id}/{t}.png")
            rle = encode(mask)
            codes.append({"size": rle["size"], "counts": rle["counts"].decode()})
        content["videos"].append({"id": id, "file_names": names, "height": 64, "width": 96, "length": 3})
        known = {"video_id": id, "category_id": 1, "segmentations": codes}
        content["annotations"].append({"id": id, "iscrowd": 0, "areas": [600] * 3, **known})
        results.append({"score": 0.5, **known})
    (home / "own.json").write_text(json.dumps(content))
    (home / "found.json").write_text(json.dumps(results))
    (home / "tiny.yaml").write_text(yaml.safe_dump(RECIPE))
    torch.save(authors_checkpoint(build_tiny().state_dict()), home / "authors.pth")


def files(folder: Path) -> dict[str, bytes]:
    """Return a folder's files."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def tracks(folder: Path) -> Any:
    """Return what is in a file of tracks, times apart, and the size of the video beside it."""
    found = json.loads((folder / "tracks.json").read_text())
    return [found.pop("seconds") and None, found, (folder / "overlay.mp4").read_bytes()]


def metrics(folder: Path) -> Any:
    """Return all figures of a scoring."""
    found = files(folder)
    return [found[name] for name in sorted(found) if name.endswith((".json", ".csv"))]


def tables(folder: Path) -> Any:
    """Return the figures of a reproduction, rates and memory apart."""
    found = json.loads((folder / "figures.json").read_text())["tables"]
    for row in (row for table in found for row in table["rows"]):
        row.pop("frames_per_second")
        row.pop("peak_bytes")
    return found


def trained(folder: Path) -> Any:
    """Return a run's model, its checkpoints' names and the steps of its log."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    return [(folder / "model.safetensors").read_bytes(), names, [line["step"] for line in lines]]


TINY = ["--weights", "untrained", "--device", "cpu", "--short-edge", "64"]
SEGMENT = ["segment", "clip.mp4", "--labels", "dog, cat", *TINY, "--output", "out"]
CASES = {
    "segment": Case(SEGMENT, tracks),
    "segment, its start": Case(SEGMENT, tracks, fresh=True),
    "demo": Case(["demo"], tracks),  # without --output: the next free folder
    "predict": Case(["predict", "own.json", "--frames", "own/JPEGImages", *TINY, "--output", "out"], files, True),
    "train": Case(
        [
            "train",
            "tiny.yaml",
            "--data",
            "own.json",
            "--frames",
            "own/JPEGImages",
            "--device",
            "cpu",
            "--output",
            "out",
        ],
        trained,
        True,
    ),
    "evaluate": Case(
        ["evaluate", "own.json", "found.json", "--explain", "--frames", "own/JPEGImages", "--output", "out"], metrics
    ),
    "world write": Case(["world", "write", "val", "out", "--videos", "2"], files),
    "reproduce": Case(
        [
            "reproduce",
            "stickers",
            "--tables",
            "splits",
            "--seeds",
            "0",
            "--videos",
            "2",
            "--long-videos",
            "1",
            "--model",
            "clip-vis-r50",
            *TINY,
            "--output",
            "out",
        ],
        tables,
        True,
    ),
    "datasets convert": Case(["datasets", "convert", "own", "out"], lambda path: path.read_bytes()),
    "convert": Case(["convert", "authors.pth", "out"], lambda path: path.read_bytes()),
}


def prepare() -> None:
    """Give the verbs a tiny network and a tiny world, and import what they need."""
    torch.set_num_threads(1)
    open_clip.factory._MODEL_CONFIGS.update(TINY_CLIPS)
    small = {
        name: replace(split, config=replace(split.config, frames=3), videos=min(split.videos, 30))
        for name, split in SPLITS.items()
    }
    reproduce.SPLITS = small  # type: ignore[attr-defined]
    stickers.SPLITS.update(small)
    for module in (reproduce, world):
        module.load_sprites = tiny_sprites  # type: ignore[attr-defined]
    zoo.ZOO["clip-vis-r50"] = replace(zoo.ZOO["clip-vis-r50"], config=tiny_config())
    for verb in ("segment", "predict", "train", "evaluate", "world", "reproduce", "datasets", "convert", "demo"):
        load_verb(verb)


def start(words: list[str], home: Path, fresh: bool = False) -> int:
    """Begin a command in a process of its own and return its number; what it says goes into `home/err`.

    Args:
        words: its arguments.
        home: the folder that it works in.
        fresh: a new Python, and no fork of this one, with all of the network.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS[1:])  # libraries have work of their own after a fork
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return child
    try:
        os.setsid()
        os.chdir(home)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a script's background ignores it
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.environ.update(OVVIS_CACHE=str(home.parent / "cache"), TMPDIR=str(home / "tmp"))
        tempfile.tempdir = str(home / "tmp")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(home / "err", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        if fresh:
            os.execv(sys.executable, [sys.executable, "-m", "ovvis", *words])
        if words[0] in ("segment", "predict", "reproduce", "demo"):
            load.load_model = lambda *_, **__: build_tiny(short_edge=64)  # type: ignore[assignment]
        demo.VIDEO = home / "clip.mp4"
        sys.argv = ["ovvis", *words]
        entry.run()
    except SystemExit as leave:
        os._exit(leave.code if isinstance(leave.code, int) else 1)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def finish(child: int) -> int:
    """Wait for a process and return its status; it is killed when it takes too long."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            done, status = os.waitpid(child, os.WNOHANG)
        except ChildProcessError:  # it was waited for
            return 0
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1000


def left(home: Path) -> list[str]:
    """Return what should not be there."""
    names = [str(path.relative_to(home)) for path in home.rglob("*") if ".partial" in path.name or ".lock" in path.name]
    return names + [f"tmp/{path.name}" for path in (home / "tmp").iterdir() if not path.name.startswith("pymp-")]


def place(verb: str, home: Path) -> Path:
    """Return where the last whole result of a verb lies."""
    if verb != "demo":
        return home / "out"
    return max(home.glob("ovvis-demo*"), key=lambda path: path.stat().st_mtime_ns)


class Trial:
    """One kill of one verb, and what came of it."""

    def __init__(
        self, verb: str, number: signal.Signals, source: Path, home: Path, wanted: Any, seconds: dict[str, float]
    ) -> None:
        self.verb, self.number, self.source, self.home = verb, number, source, home
        self.wanted, self.seconds = wanted, seconds
        self.case, self.faults = CASES[verb], list[str]()
        self.when = ""  # the signal came: "before" the command could take one, "within" the work, "after" it

    def run(self, dice: random.Random) -> None:
        """Kill a run, then run it to the end."""
        code = self._kill(dice)
        polite = self.number != signal.SIGKILL
        if self.when == "before":
            (self.home / "err").write_text("")  # Python's own words
        elif code == 0:
            self.when = "after"
        elif code != (128 + self.number if polite else -self.number):
            self.faults.append(f"exit code {code}")
        if polite and (rest := left(self.home)):
            self.faults.append(f"left at once: {rest}")
        again = finish(start(self.case.words, self.home))
        if again == REFUSED and not self.case.goes_on and (self.home / "out").exists():
            again = 0  # the results were in place before the signal came
        if again != 0:
            self.faults.append(f"exit code {again} of the second run")
        if rest := left(self.home):
            self.faults.append(f"left: {rest}")
        said = (self.home / "err").read_text(errors="replace")
        if "Traceback" in said or "Exception ignored" in said:
            self.faults.append(f"said: {said[-2000:]}")
        try:
            if self.case.result(place(self.verb, self.home)) != self.wanted:
                self.faults.append("lost: the result differs")
        except (OSError, ValueError, KeyError) as error:
            self.faults.append(f"lost: {error}")

    def _kill(self, dice: random.Random) -> int:
        for _ in range(TRIES):
            began = time.monotonic()
            child = start(self.case.words, self.home, self.case.fresh)
            end = began + dice.uniform(0.01, self.seconds[self.verb])
            while time.monotonic() < end and os.waitpid(child, os.WNOHANG) == (0, 0):
                time.sleep(0.001)
            if time.monotonic() >= end:
                break
            # It was done before; runs are faster than they were.
            self.seconds[self.verb] = time.monotonic() - began
            shutil.rmtree(self.home)
            shutil.copytree(self.source, self.home)
        self.when = "within" if _listens(child) else "before"
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, self.number)
            if self.number != signal.SIGKILL:
                for _ in range(dice.randrange(3)):
                    time.sleep(dice.uniform(0, 0.03))
                    os.kill(child, self.number)
        return finish(child)


def _listens(child: int) -> bool:
    """Return whether a process takes SIGTERM itself, or is no longer there; on Linux."""
    try:
        lines = Path(f"/proc/{child}/status").read_text().splitlines()
    except OSError:
        return True
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt")), "f" * 16)
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1) or any("zombie" in line for line in lines)


def main() -> None:
    """Run the trials and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", nargs="*", default=list(CASES))
    parser.add_argument("--minutes", type=float, default=8.0, help="stop after so long")
    options = parser.parse_args()
    dice, began = random.Random(options.seed), time.monotonic()
    prepare()
    turns = [verb for third in range(3) for verb in options.verbs if verb not in SLOW or third == 0]
    counts: Counter[tuple[str, str]] = Counter()
    faults: list[str] = []
    when: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "inputs"
        (source / "tmp").mkdir(parents=True)
        inputs(source)
        undisturbed, seconds = {}, dict[str, float]()
        for verb in options.verbs:
            home = Path(shutil.copytree(source, Path(scratch) / "home"))
            finish(start(CASES[verb].words, home))  # warms the caches
            shutil.rmtree(home)
            shutil.copytree(source, home)
            started = time.monotonic()
            code = finish(start(CASES[verb].words, home))
            if code:
                sys.exit(f"{verb}: exit code {code}: {(home / 'err').read_text()}")
            seconds[verb] = FRESH if CASES[verb].fresh else time.monotonic() - started
            undisturbed[verb] = CASES[verb].result(place(verb, home))
            shutil.rmtree(home)
        for turn in range(options.kills):
            if time.monotonic() - began > 60 * options.minutes:
                break
            verb, number = turns[turn % len(turns)], SIGNALS[turn // len(turns) % len(SIGNALS)]
            home = Path(shutil.copytree(source, Path(scratch) / "home"))
            trial = Trial(verb, number, source, home, undisturbed[verb], seconds)
            trial.run(dice)
            when[trial.when] += 1
            counts[verb, number.name] += 1
            for fault in trial.faults:
                faults.append(f"{verb}, {number.name}, turn {turn}: {fault}")
                print(faults[-1], flush=True)
            shutil.rmtree(home)
    names = [number.name for number in SIGNALS]
    print("| verb |", " | ".join(names), "| a run takes (s) |")
    print("| --- |", " | ".join("---" for _ in names), "| --- |")
    for verb in options.verbs:
        print(f"| {verb} |", " | ".join(f"{counts[verb, name]}" for name in names), f"| {seconds[verb]:.1f} |")
    print(
        f"{counts.total()} kills, {len(faults)} faults; {when['within']} came within the work, {when['after']} when it "
        f"was done, {when['before']} before the command could take a signal"
    )
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
