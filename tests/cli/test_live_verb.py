"""`ovvis live` from its arguments to what it leaves, and every way that a run can end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
import requests

from ovvis.cli import live as verb
from ovvis.cli import main as cli
from ovvis.errors import InputError
from ovvis.models import load
from ovvis.outputs import render, webhook
from ovvis.outputs.render import VideoWriter

FRAMES = 20
WORDS = ("--labels", "dog, cat|kitten", "--show-above", "0", "--all-frames")


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    rng = np.random.default_rng(0)
    with VideoWriter(path, 50.0, (64, 96)) as video:
        for _ in range(FRAMES):
            video.write(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
    return path


@pytest.fixture
def quick(monkeypatch, tiny_model):
    """Let the command load a tiny model at once."""
    monkeypatch.setattr(load, "load_model", lambda *args, **kwargs: tiny_model)


@pytest.fixture
def seen(monkeypatch):
    """Every query shows an object: an untrained network is sure of none."""
    from ovvis.inference import live_tubes

    monkeypatch.setattr(live_tubes.LiveSettings.__init__, "__defaults__", (10.0, 0.0, 2.0, 300))


def live(monkeypatch, source, *more):
    monkeypatch.setattr(sys, "argv", ["ovvis", "live", str(source), *map(str, more)])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    return int(leave.value.code or 0)


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def shown(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_run_leaves_lines_a_video_and_a_table(quick, seen, monkeypatch, clip, tmp_path, capsys):
    assert live(monkeypatch, clip, *WORDS, "--no-view", "--output", tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["live.jsonl", "live.mp4"]
    start, *frames, end = lines(tmp_path / "out" / "live.jsonl")
    assert start["labels"] == ["dog", "cat"] and start["source"] == "clip.mp4" and start["settings"]["model"]
    assert [frame["frame"] for frame in frames] == list(range(FRAMES))
    assert all(frame["instances"] and "mask" in frame["instances"][0] for frame in frames)
    assert (end["frames"], end["left_out"], end["problem"]) == (FRAMES, 0, None)
    assert shown(tmp_path / "out" / "live.mp4") == FRAMES
    said = capsys.readouterr().out
    assert "objects" in said and f"{FRAMES} frames in" in said and "(p95)" in said and "live.mp4" in said
    assert live(monkeypatch, clip, *WORDS, "--no-view", "--output", tmp_path / "out") == 2  # never over older ones
    assert live(monkeypatch, clip, *WORDS, "--no-view", "--no-video", "--overwrite", "--output", tmp_path / "out") == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["live.jsonl"]


def test_lines_to_standard_output_have_it_for_themselves(quick, seen, monkeypatch, clip, capfdbinary):
    assert live(monkeypatch, clip, *WORDS, "--no-view", "--no-masks", "--lines", "-") == 0
    out, err = capfdbinary.readouterr()
    records = [json.loads(line) for line in out.splitlines()]
    assert len(records) == FRAMES + 2 and "mask" not in records[1]["instances"][0]
    assert b"20 frames in" in err


def test_several_places(quick, seen, monkeypatch, clip, tmp_path):
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    assert live(monkeypatch, clip, *WORDS, "--no-view", "--lines", one, "--lines", two) == 0
    assert len(lines(one)) == len(lines(two)) == FRAMES + 2
    assert live(monkeypatch, clip, *WORDS, "--no-view", "--lines", one) == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--no-view",), "--no-view: nothing else was asked for"),
        (("--no-view", "--browser"), "--browser needs the view"),
        (("--no-view", "--lines", "ftp://x/y"), "must begin with http"),
        (("--no-view", "--lines", "nowhere/x.jsonl"), "cannot be written"),
        (("--batch", "4"), "takes frames one by one"),
        (("--forget", "0"), "forget 0"),
        (("--patience", "0"), "patience 0"),
        (("--show-above", "2"), "--show-above 2"),
        (("--host", "192.0.2.1"), "--host must be this machine's"),
        (("--tracker", "offline"), "offline"),
    ],
)
def test_refused_before_anything_is_written(quick, monkeypatch, clip, tmp_path, capsys, more, said):
    monkeypatch.chdir(tmp_path)
    assert live(monkeypatch, clip, "--labels", "dog", *more) == 2
    assert said in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_camera_that_is_not_there(quick, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert live(monkeypatch, "camera:77", "--labels", "dog", "--output", "out", "--no-view") == 2
    said = capsys.readouterr().err
    assert "camera" in said and "77" in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_breaks_off_leaves_what_came_and_code_3(quick, seen, monkeypatch, clip, tmp_path, capsys):
    class Broken(type(verb.open_source(clip))):
        def __iter__(self):
            for frame in super().__iter__():
                if frame.index == 7:
                    raise InputError("the cable was pulled")
                yield frame

    source = verb.open_source(clip)
    object.__setattr__(source, "__class__", Broken)
    monkeypatch.setattr(verb, "open_source", lambda *_, **__: source)
    assert live(monkeypatch, clip, *WORDS, "--no-view", "--output", tmp_path / "out") == 3
    assert lines(tmp_path / "out" / "live.jsonl")[-1]["problem"] == "the cable was pulled"
    assert shown(tmp_path / "out" / "live.mp4") == 7
    assert "Used in part: the cable was pulled" in capsys.readouterr().err


def test_a_full_disk_ends_one_output_and_not_the_others(quick, seen, monkeypatch, clip, tmp_path, capsys):
    write = render.VideoWriter.write

    def full(self, image, time=None):
        if self._last > 0 and time and time > 0.2:
            raise OSError(28, "No space left on device")
        write(self, image, time)

    monkeypatch.setattr(render.VideoWriter, "write", full)
    assert live(monkeypatch, clip, *WORDS, "--no-view", "--output", tmp_path / "out") == 3
    said = capsys.readouterr().err
    assert "live.mp4 took no more (no space left on the disk); what was written stays usable, the others go on" in said
    assert len(lines(tmp_path / "out" / "live.jsonl")) == FRAMES + 2
    assert shown(tmp_path / "out" / "live.mp4") == 11


def test_the_run_ends_where_no_output_is_left(quick, seen, monkeypatch, clip, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = time.monotonic()
    assert live(monkeypatch, clip, *WORDS, "--no-view", "--lines", "/dev/full") == 3
    assert time.monotonic() - before < 30


def test_a_webhook_that_is_down_is_told_and_holds_nothing_up(quick, seen, monkeypatch, clip, tmp_path, capsys):
    monkeypatch.setattr(webhook, "_FAREWELL", 0.2)
    more = ("--lines", "http://127.0.0.1:9/x", "--output", tmp_path / "out", "--no-video")
    assert live(monkeypatch, clip, *WORDS, "--no-view", *more) == 3
    assert f"does not answer (ConnectionError): {FRAMES + 2} lines lost" in capsys.readouterr().err
    assert len(lines(tmp_path / "out" / "live.jsonl")) == FRAMES + 2


def test_a_webhook_gets_every_line(quick, seen, monkeypatch, clip):
    bodies = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        where = f"http://127.0.0.1:{server.server_port}/"
        assert live(monkeypatch, clip, *WORDS, "--no-view", "--lines", where) == 0
        server.shutdown()
    assert len(b"".join(bodies).splitlines()) == FRAMES + 2


def test_a_file_of_labels_is_read_again_when_it_changes(quick, seen, monkeypatch, clip, tmp_path):
    monkeypatch.setattr(verb, "_LOOK_AGAIN", 0.02)
    words = tmp_path / "words.txt"
    words.write_text("dog\ncat\n")
    picture = verb.Outputs.write

    def slowly(self, live, image, latency):
        picture(self, live, image, latency)
        if live.frame.index == 5:
            words.write_text("horse\ncow\npig\n")
            time.sleep(0.8)

    monkeypatch.setattr(verb.Outputs, "write", slowly)
    more = ("--show-above", "0", "--all-frames", "--no-view", "--lines", tmp_path / "x.jsonl")
    assert live(monkeypatch, clip, "--labels", f"@{words}", *more) == 0
    records = lines(tmp_path / "x.jsonl")
    (changed,) = [i for i, record in enumerate(records) if record["kind"] == "labels"]
    assert records[changed]["labels"] == ["horse", "cow", "pig"]
    before = {one["label"] for record in records[1:changed] for one in record["instances"]}
    after = {one["label"] for record in records[changed + 1 : -1] for one in record["instances"]}
    assert before <= {"dog", "cat"} and after <= {"horse", "cow", "pig"}


RUN = """
import sys, torch
sys.path[:0] = sys.argv.pop(1).split(":")
import open_clip
from conftest import TINY_CLIPS
open_clip.factory._MODEL_CONFIGS.update(TINY_CLIPS)
from fakes import build_tiny
from ovvis.models import load
from ovvis.inference import live_tubes
live_tubes.LiveSettings.__init__.__defaults__ = (10.0, 0.0, 2.0, 300)
model = build_tiny()
load.load_model = lambda *args, **kwargs: model
from ovvis.cli.main import run
run()
"""


def begun(clip, folder, *more):
    """Return a run on a long stream, once it has written some of it."""
    where = ":".join([str(Path(__file__).parents[1]), str(Path(__file__).parent)])
    words = ["live", str(clip), "--labels", "dog", "--show-above", "0", "--output", str(folder), *more]
    process = subprocess.Popen([sys.executable, "-c", RUN, where, *words], stdout=-1, stderr=-1, text=True)
    end = time.monotonic() + 60
    while not (folder / "live.jsonl").exists() or (folder / "live.jsonl").read_bytes().count(b"\n") < 40:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    return process


@pytest.fixture
def endless(tmp_path):
    path = tmp_path / "long.mp4"
    with VideoWriter(path, 50.0, (64, 96)) as video:
        for i in range(2000):
            video.write(np.full((64, 96, 3), i % 200, np.uint8))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_closes_everything_whole(endless, tmp_path, number):
    process = begun(endless, tmp_path / "out", "--no-view")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    records = lines(tmp_path / "out" / "live.jsonl")
    assert records[-1]["kind"] == "end" and records[-1]["frames"] == len(records) - 2
    assert shown(tmp_path / "out" / "live.mp4") == len(records) - 2
    assert "from capture to picture" in out and "Traceback" not in err


def test_a_killed_run_leaves_what_plays(endless, tmp_path):
    process = begun(endless, tmp_path / "out", "--no-view")
    process.kill()
    process.communicate()
    records = lines(tmp_path / "out" / "live.jsonl")
    assert shown(tmp_path / "out" / "live.mp4") >= 5
    assert records[-1]["kind"] == "frame"


def test_the_view_is_served_while_it_runs_and_labels_change_from_it(endless, tmp_path):
    process = begun(endless, tmp_path / "out", "--port", "0")
    try:
        url = process.stderr.readline().split("The view: ")[1].strip()
        with requests.get(f"{url}/stream", stream=True, timeout=20) as answer:
            assert answer.raw.readline() == b"--ovvis-picture\r\n"
        figures = requests.get(f"{url}/figures", timeout=20).json()
        assert figures["source"] == "long.mp4" and figures["labels"] == ["dog"] and figures["frames"] > 0
        changed = requests.post(f"{url}/labels", json={"labels": "horse, cow|ox"}, timeout=20).json()
        assert changed == {"labels": ["horse", "cow"]}
        assert requests.get(f"{url}/figures", timeout=20).json()["labels"] == ["horse", "cow|ox"]
        written, end = tmp_path / "out" / "live.jsonl", time.monotonic() + 20
        while b'"kind":"labels"' not in written.read_bytes():
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "Looking for: horse, cow" in err
    kinds = [record["kind"] for record in lines(tmp_path / "out" / "live.jsonl")]
    assert kinds.count("labels") == 1 and kinds[-1] == "end"
