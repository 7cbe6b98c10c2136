import errno
import json
import os
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

from ovvis.errors import InputError
from ovvis.files.output import OutputFolder
from ovvis.masks import encode
from ovvis.outputs import webhook
from ovvis.outputs.live_lines import LinesFile, end_line, frame_line, labels_line, start_line
from ovvis.outputs.render import VideoWriter
from ovvis.outputs.webhook import Webhook
from ovvis.structures import Frame, Instance, LiveFrame, SourceInfo
from servers import until

SIZE = (32, 48)
MASK = encode(np.eye(32, 48, dtype=bool))


def frame(i):
    return np.full((*SIZE, 3), i * 5 % 256, np.uint8)


def decoded(path):
    with av.open(str(path)) as container:
        return [round(float(f.pts * f.time_base), 3) for f in container.decode(video=0)]


# --- the painted video that grows


def test_a_growing_video_plays_at_every_moment_and_is_whole_at_its_end(tmp_path):
    path = tmp_path / "live.mp4"
    with VideoWriter(path, 10, SIZE, growing=True) as writer:
        for i in range(60):
            writer.write(frame(i), i / 10 + (i > 30) * 2)  # a gap, as where frames were left out
            if i in (25, 45):
                so_far = decoded(path)
                assert i - 11 <= len(so_far) <= i + 1 and so_far == [
                    round(n / 10 + (n > 30) * 2, 3) for n in range(len(so_far))
                ]
    assert len(decoded(path)) == 60
    with av.open(str(path)) as container:
        assert float(container.duration / av.time_base) == pytest.approx(8, abs=0.11)


KILLED = """
import sys, time, numpy as np
from pathlib import Path
from ovvis.outputs.render import VideoWriter
with VideoWriter(Path(sys.argv[1]), 10, (32, 48), growing=True) as writer:
    for i in range(10**6):
        writer.write(np.full((32, 48, 3), i % 256, np.uint8), i / 10)
        if i == 50:
            print("fifty", flush=True)
            time.sleep(60)
"""


def test_a_killed_program_leaves_a_video_that_plays(tmp_path):
    path = tmp_path / "live.mp4"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"fifty\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(decoded(path)) >= 40


FULL = """
import resource, signal, sys, numpy as np
from pathlib import Path
from ovvis.outputs.render import VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
dice = np.random.default_rng(0)
with VideoWriter(Path(sys.argv[1]), 10, (128, 128), growing=True) as writer:
    for i in range(10**4):
        writer.write(dice.integers(0, 256, (128, 128, 3), dtype=np.uint8), i / 10)
"""


def test_a_full_disk_leaves_a_video_that_plays(tmp_path):
    path = tmp_path / "live.mp4"
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "OSError" in done.stderr
    assert len(decoded(path)) >= 10


# --- the folder whose files have their names from the beginning


def test_growing_files_have_their_names_at_once_and_stay(tmp_path):
    folder = OutputFolder(tmp_path / "out", ["a.txt"], growing=True)
    with pytest.raises(ZeroDivisionError), folder:
        folder.file("a.txt").write_text("so far")
        assert (tmp_path / "out" / "a.txt").read_text() == "so far"
        with (
            pytest.raises(InputError, match="another process"),
            OutputFolder(tmp_path / "out", ["a.txt"], growing=True),
        ):
            pass
        _ = 1 / 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.txt"]
    with pytest.raises(InputError, match=r"a\.txt already"), OutputFolder(tmp_path / "out", ["a.txt"], growing=True):
        pass
    with OutputFolder(tmp_path / "out", ["a.txt"], growing=True, overwrite=True) as again:
        assert not (tmp_path / "out" / "a.txt").exists()
        again.file("a.txt").write_text("anew")
    with OutputFolder(tmp_path / "out", ["a.txt"], growing=True, another=True) as other:
        assert other.path.name == "out-2"


# --- lines


def live(i=3, labels=("dog", "cat")):
    one = Instance(7, "dog", 0.87654321, MASK, (0.0, 0.0, 32.0, 32.0))
    return LiveFrame(Frame(frame(i), i, 0.3), (one,), labels, time.monotonic(), 2, 0.3)


def test_lines(tmp_path):
    info = SourceInfo("camera 0", *SIZE, 30.0, None)
    path = tmp_path / "live.jsonl"
    with LinesFile(path) as file:
        file.write(start_line(info, ("dog",), {"model": "small"}))
        file.write(frame_line(live(), 0.05))
        assert len(path.read_text().splitlines()) == 2  # before it is closed
        file.write(labels_line(live()))
        file.write(frame_line(live(), 0.05, masks=False))
        file.write(end_line({"frames": 2}, "the camera went away"))
    start, first, labels, second, end = map(json.loads, path.read_text().splitlines())
    assert start == {
        "kind": "start", "source": "camera 0", "height": 32, "width": 48, "fps": 30.0, "labels": ["dog"],
        "settings": {"model": "small"},
    }  # fmt: skip
    box = {"id": 7, "label": "dog", "score": 0.8765, "box": [0.0, 0.0, 32.0, 32.0]}
    whole = box | {"mask": {"size": [32, 48], "counts": MASK["counts"].decode()}}
    common = {"kind": "frame", "frame": 3, "time": 0.3, "latency": 0.05, "left_out": 2}
    assert first == common | {"instances": [whole]} and second == common | {"instances": [box]}
    assert labels == {"kind": "labels", "frame": 3, "labels": ["dog", "cat"]}
    assert end == {"kind": "end", "frames": 2, "problem": "the camera went away"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_full_disk_is_an_os_error():
    with LinesFile(Path("/dev/full")) as file, pytest.raises(OSError) as caught:
        file.write(b"{}\n")
    assert caught.value.errno == errno.ENOSPC


LINES_FULL = """
import resource, signal, sys
from pathlib import Path
from ovvis.outputs.live_lines import LinesFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (105, 105))
file = LinesFile(Path(sys.argv[1]))
while True:
    file.write(b"ten bytes" + chr(10).encode())
"""


def test_a_full_disk_leaves_whole_lines(tmp_path):
    path = tmp_path / "live.jsonl"
    done = subprocess.run([sys.executable, "-c", LINES_FULL, str(path)], capture_output=True, text=True, check=False)
    assert "OSError" in done.stderr and path.read_bytes() == b"ten bytes\n" * 10


# --- the webhook


class Listener:
    """A web address that answers as a test wants."""

    def __init__(self):
        self.bodies, self.answer = [], 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.answer == 200:
                    outer.bodies.append((self.headers["Content-Type"], body))
                self.send_response(outer.answer)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/seen"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def lines(self):
        return b"".join(body for _, body in self.bodies).splitlines()


@pytest.fixture
def listener():
    listener = Listener()
    yield listener
    listener.server.shutdown()
    listener.server.server_close()


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(webhook, "_PAUSES", (0.02,))
    monkeypatch.setattr(webhook, "_FAREWELL", 0.3)


def test_lines_are_posted_in_their_order(listener, hasty):
    hook = Webhook(listener.url)
    for i in range(250):
        hook.write(b"%d\n" % i)
    hook.close()
    assert listener.lines == [b"%d" % i for i in range(250)]
    assert {kind for kind, _ in listener.bodies} == {"application/x-ndjson"}
    assert (hook.sent, hook.lost, hook.trouble) == (250, 0, None)


def test_an_address_that_is_down_gets_its_lines_when_it_is_back(listener, hasty):
    listener.answer = 503
    hook = Webhook(listener.url)
    hook.write(b"one\n")
    until(lambda: hook.trouble is not None)
    assert hook.trouble == "answers 503 Service Unavailable"
    hook.write(b"two\n")
    listener.answer = 200
    until(lambda: hook.sent == 2)
    hook.close()
    assert listener.lines == [b"one", b"two"] and (hook.lost, hook.trouble) == (0, None)


def test_lines_wait_within_bounds_and_the_lost_are_counted(hasty, monkeypatch):
    monkeypatch.setattr(webhook, "WAITING", 10)
    hook = Webhook("http://127.0.0.1:9/nobody")
    for i in range(100):
        hook.write(b"%d\n" % i)
    until(lambda: hook.trouble is not None)
    assert "does not answer" in hook.trouble and len(hook._queue) <= 10
    hook.close()
    assert (hook.sent, hook.lost) == (0, 100)


def test_a_refusal_is_not_repeated(listener, hasty):
    listener.answer = 404
    hook = Webhook(listener.url)
    hook.write(b"one\n")
    until(lambda: hook.lost == 1)
    assert hook.trouble == "answers 404 Not Found"
    hook.close()
    assert (hook.sent, hook.lost) == (0, 1)


@pytest.mark.parametrize("url", ["nowhere", "ftp://here/x", "http://"])
def test_no_address(url):
    with pytest.raises(InputError, match="webhook"):
        Webhook(url)
