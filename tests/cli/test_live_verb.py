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

from ovvis import masks
from ovvis.cli import live as verb
from ovvis.cli import live_page, source_options
from ovvis.cli import main as cli
from ovvis.errors import InputError
from ovvis.outputs import render, webhook
from ovvis.outputs.render import VideoWriter
from ovvis.sources.video import open_source
from ovvis.web.live_view import Screen

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
        (("--token", "short"), "--token: it must have at least 16"),
        (("--fps", "5"), "clip.mp4 has its own clock"),
        (("--levels", "0,9"), "levels are for images"),
        (("--transport", "tcp"), "it is for cameras"),
        (("--every", "0"), "every is 0"),
        (("--roi", "1,2"), "roi"),
        (("--end", "1", "--duration", "1"), "both say where to stop"),
        (("--start", "5", "--end", "2"), "end is 2: it must lie after start"),
        (("--style", "mask"), "did you mean masks"),
        (("--opacity", "1.5"), "opacity 1.5 must lie in [0, 1]"),
    ],
)
def test_refused_before_anything_is_written(quick, monkeypatch, clip, tmp_path, capsys, more, said):
    monkeypatch.chdir(tmp_path)
    assert live(monkeypatch, clip, "--labels", "dog", *more) == 2
    assert said in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_which_frames_and_which_part(quick, seen, monkeypatch, clip, tmp_path):
    more = ("--start", "2f", "--every", "3", "--duration", "12f", "--roi", "48,0,48,64", "--no-view")
    assert live(monkeypatch, clip, *WORDS, *more, "--lines", tmp_path / "x.jsonl") == 0
    frames = [record for record in lines(tmp_path / "x.jsonl") if record["kind"] == "frame"]
    assert [frame["frame"] for frame in frames] == [2, 5, 8, 11]
    found = [masks.decode(one["mask"]) for frame in frames for one in frame["instances"]]
    assert found and all(mask.shape == (64, 96) and not mask[:, :48].any() for mask in found)


def test_what_shows_the_present_has_no_start(quick, monkeypatch, clip, capsys):
    class Camera(type(open_source(clip))):
        live = True

    source = open_source(clip)
    object.__setattr__(source, "__class__", Camera)
    monkeypatch.setattr(source_options, "open_source", lambda *_, **__: source)
    assert live(monkeypatch, "camera:0", "--labels", "dog", "--start", "5", "--port", "0") == 2
    assert capsys.readouterr().err == "ovvis: --start 5: clip.mp4 shows what happens now; leave it out\n"


def pictures(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)


def test_how_it_is_painted(quick, seen, monkeypatch, clip, tmp_path):
    """Each option changes the pictures: fills that hide nothing are the video itself."""
    styles = {
        "plain": ("--style", "fills", "--opacity", "0", "--no-names"),
        "filled": ("--style", "fills", "--opacity", "1", "--no-names"),
        "boxes": ("--style", "fills", "--opacity", "0", "--no-names", "--boxes"),
        "names": ("--style", "fills", "--opacity", "0"),
    }
    painted, original = {}, pictures(clip)
    for name, options in styles.items():
        assert live(monkeypatch, clip, *WORDS, "--no-view", "--output", tmp_path / name, *options) == 0
        painted[name] = np.abs(pictures(tmp_path / name / "live.mp4") - original).mean()
    assert painted["plain"] < 0.7 * min(painted[name] for name in ("filled", "boxes", "names"))


def test_a_camera_that_is_not_there(quick, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert live(monkeypatch, "camera:77", "--labels", "dog", "--output", "out", "--no-view") == 2
    said = capsys.readouterr().err
    assert "camera" in said and "77" in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_breaks_off_leaves_what_came_and_code_3(quick, seen, monkeypatch, clip, tmp_path, capsys):
    class Broken(type(open_source(clip))):
        def __iter__(self):
            for frame in super().__iter__():
                if frame.index == 7:
                    raise InputError("the cable was pulled")
                yield frame

    source = open_source(clip)
    object.__setattr__(source, "__class__", Broken)
    monkeypatch.setattr(source_options, "open_source", lambda *_, **__: source)
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
    end = time.monotonic() + 240
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
    out, err = process.communicate(timeout=120)
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
        written, end = tmp_path / "out" / "live.jsonl", time.monotonic() + 120
        # The record is written before the line is: two frames later it is there, too.
        while written.read_bytes().partition(b'"kind":"labels"')[2].count(b"\n") < 4:
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "Looking for: horse, cow" in err
    kinds = [record["kind"] for record in lines(tmp_path / "out" / "live.jsonl")]
    assert kinds.count("labels") == 1 and kinds[-1] == "end"


def test_labels_from_the_page_open_no_file(monkeypatch, tmp_path):
    """What a browser sends is words, whatever lies where the program was begun."""

    class Run:
        def change_labels(self, labels):
            return labels

    monkeypatch.chdir(tmp_path)
    (tmp_path / "words").mkdir()
    for name in ("words.txt", "words/more.txt"):
        (tmp_path / name).write_text("secret, from a file")
    page = live_page.Page(Screen(), "http://127.0.0.1/")
    with pytest.raises(InputError, match="is being loaded"):
        page.change_labels("dog")
    page.run = Run()
    assert page.change_labels("dog, cat|kitten") == ("dog", "cat")
    for words in ("words.txt", "./words.txt", "@words.txt", str(tmp_path / "words.txt"), "words/more.txt"):
        with pytest.raises(InputError) as refused:
            page.change_labels(words)
        assert "secret" not in str(refused.value)
