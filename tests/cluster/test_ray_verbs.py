"""`ovvis segment --ray` and `ovvis predict --ray` come to the bytes of one process, whatever is killed meanwhile."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from command import call as ovvis

ray = pytest.importorskip("ray")

from ray_cluster import small_cluster, wait_for, workers  # noqa: E402

from clips import Clip  # noqa: E402
from ovvis.models.zoo import SMALL_MODEL  # noqa: E402

pytestmark = pytest.mark.slow
OPTIONS = ("--model", SMALL_MODEL, "--device", "cpu", "--short-edge", "32")
VIDEOS = 8


@pytest.fixture(scope="module")
def cluster():
    with small_cluster(2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Make a folder of short videos and one that is broken."""
    folder = tmp_path_factory.mktemp("films")
    for number in range(VIDEOS):
        Clip(f"v{number}.mp4", count=3 + number % 3).make(folder)
    (folder / "bad.mp4").write_text("no video")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Return all files, without the seconds that they took."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.name == "tracks.json":
            data, times = re.subn(rb'\n"seconds": \{[^}]*\},', b"", data)
            assert times == 1
        found[path.relative_to(folder).as_posix()] = data
    return found


@pytest.fixture(scope="module")
def alone(films, tmp_path_factory) -> dict[str, bytes]:
    """What one process comes to."""
    out = tmp_path_factory.mktemp("alone") / "out"
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert ovvis(monkeypatch, "segment", films, "--labels", "dog, cat", *OPTIONS, "--output", out) == 3
    found = content(out)
    assert len(found) == 2 * VIDEOS + 2
    return found


def kill_one(cluster, when) -> threading.Thread:
    """Kill an actor's process as soon as something is there."""

    def kill() -> None:
        wait_for(when)
        for process in wait_for(lambda: workers(cluster))[:1]:
            process.send_signal(signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def test_segment_with_a_worker_killed(cluster, films, alone, tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "out"
    run = ("segment", films, "--labels", "dog, cat", *OPTIONS, "--output", out)
    killer = kill_one(cluster, lambda: list(out.glob("*/tracks.json")))
    assert ovvis(monkeypatch, *run, "--ray=auto") == 3
    killer.join()
    said = capsys.readouterr()
    assert content(out) == alone
    assert "bad.mp4 is no video" in said.err and "9 videos" in said.out and "2 machines" in said.out
    assert "1 worker died, whose videos were taken up again" in said.out
    good = [films / f"v{number}.mp4" for number in range(VIDEOS)]
    assert ovvis(monkeypatch, run[0], *good, *run[2:], "--ray=10.0.0.7:9") == 0  # nothing is left: no cluster is wanted
    assert "8 videos had results already" in capsys.readouterr().out and content(out) == alone


def start(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ovvis", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_two_shards_beside_each_other_give_the_same(films, alone, tmp_path) -> None:
    out = tmp_path / "out"
    words = ["segment", films, "--labels", "dog, cat", *OPTIONS, "--output", out]
    with start(*words, "--shard", "1/2") as one, start(*words, "--shard", "2/2") as two:
        said = [run.communicate(timeout=200)[1] for run in (one, two)]
    assert sorted((one.returncode, two.returncode)) == [0, 3], said
    assert content(out) == alone


def test_the_command_stopped_killed_and_given_again(cluster, films, alone, tmp_path, monkeypatch) -> None:
    out = tmp_path / "out"
    words = ("segment", films, "--labels", "dog, cat", *OPTIONS, "--output", out, "--ray-workers", 1)

    def done() -> list[Path]:
        return list(out.glob("*/tracks.json"))

    with start(*words, "--ray", cluster.address) as run:
        wait_for(done)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=100)
    assert run.returncode == 130 and "the same command goes on from there" in said.splitlines()[-1], said
    wait_for(lambda: not workers(cluster))
    assert not [path for path in out.rglob(".*") if path.is_file()]  # nothing half written
    before = len(done())
    with start(*words, "--ray", cluster.address) as run:
        wait_for(lambda: len(done()) > before)
        run.kill()
    wait_for(lambda: not workers(cluster))  # they end with it
    assert len(done()) < VIDEOS
    assert ovvis(monkeypatch, *words, "--ray=auto") == 3
    assert content(out) == alone


def test_results_in_a_bucket(cluster, films, alone, tmp_path, monkeypatch) -> None:
    out = tmp_path / "out"
    pair = [f"local://{films}/v{number}.mp4" for number in (0, 1)]
    words = ("segment", *pair, "--labels", "dog, cat", *OPTIONS, "--output", f"local://{out}", "--ray=auto")
    words += ("--ray-workers", 1)
    assert ovvis(monkeypatch, *words) == 0
    found = content(out)
    wanted = {name: data for name, data in alone.items() if name.startswith(("v0/", "v1/"))}
    for name in ("v0/tracks.json", "v1/tracks.json"):  # where a video can be opened again is not known of a bucket
        wanted[name] = re.sub(rb', "opened_as": \{[^}]*\}', b"", wanted[name])
    assert {name: data for name, data in found.items() if "/" in name} == wanted


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Make a dataset of five videos of noise."""
    rng = np.random.default_rng(0)
    videos = []
    for id in range(1, 6):
        names = [f"v{id}/{i}.png" for i in range(3)]
        (tmp_path / "data/frames" / f"v{id}").mkdir(parents=True)
        for name in names:
            Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(tmp_path / "data/frames" / name)
        videos.append({"id": id, "height": 48, "width": 64, "length": 3, "file_names": names})
    path = tmp_path / "data/five.json"
    path.write_text(json.dumps({"videos": videos, "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]}))
    return path


def test_predict_is_that_of_one_process(cluster, dataset, tmp_path, monkeypatch, capsys) -> None:
    words = ("predict", dataset, *OPTIONS, "--output")
    assert ovvis(monkeypatch, *words, tmp_path / "alone") == 0
    assert ovvis(monkeypatch, *words, tmp_path / "out", "--ray=auto") == 0
    assert content(tmp_path / "out") == content(tmp_path / "alone")
    (tmp_path / "out/results/1.json").unlink()
    capsys.readouterr()
    assert ovvis(monkeypatch, *words, tmp_path / "out", "--ray=auto", "--max-tracks", 3) == 2
    assert "max_tracks was 50 and is now 3" in capsys.readouterr().err


def test_no_process_stays(cluster) -> None:
    wait_for(lambda: not workers(cluster))
    assert psutil.pid_exists(os.getpid())
