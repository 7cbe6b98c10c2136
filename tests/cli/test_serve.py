"""`ovvis serve` from its arguments to its end, and what a killed one leaves."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.request import urlopen

import psutil
import pytest

from ovvis.cli import extras
from ovvis.cli import main as cli


def refused(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["ovvis", "serve", *map(str, arguments)])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    assert leave.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--keep", "0"), "--keep '0': it must be a time above 0"),
        (("--max-upload", "many"), "--max-upload 'many'"),
        (("--max-seconds", "-5"), "--max-seconds '-5'"),
        (("--token", "short"), "--token: it must have at least 16"),
        (("--model", "clip-vis-r5"), "did you mean clip-vis-r50"),
        (("--model", "ov2seg-swin-b"), "no weights of it are published"),
        (("--host", "192.0.2.7"), "of 192.0.2.7 cannot be listened at"),
        (("--folder", "/dev/null/x"), "--folder /dev/null/x cannot be made"),
        (("--port", "99999"), "--port"),
        (("--camera", "camera:77"), "camera:77 is not there"),
        (("--camera", "dog.mp4"), "--camera dog.mp4: it must be a camera (camera:0), a screen (screen:) or an address"),
    ],
)
def test_refusals(arguments, said, monkeypatch, capsys):
    assert said in refused(monkeypatch, capsys, *arguments)


def test_a_port_that_is_taken(monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} of 127.0.0.1 cannot be listened at" in refused(monkeypatch, capsys, "--port", port)


def test_without_the_extra_it_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "uvicorn" else object())
    assert "pip install 'ovvis[web]'" in refused(monkeypatch, capsys)


@contextmanager
def serving(folder, *arguments):
    command = [sys.executable, "-m", "ovvis", "serve", "--port", "0", "--folder", str(folder), *arguments]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            yield run, re.search(r"http://\S+", run.stdout.readline())[0]
        finally:
            run.kill()


def test_what_a_killed_server_leaves_is_cleared_by_the_next(tmp_path):
    with serving(tmp_path) as (first, address):
        assert address.startswith("http://127.0.0.1:")  # this machine alone, unless told
        assert b"<title>ovvis</title>" in urlopen(address).read()
        (left,) = tmp_path.iterdir()
        assert left.stat().st_mode & 0o077 == 0  # other users of the machine see nothing
        (left / "result").write_text("somebody's")
        end = time.monotonic() + 120
        while not (helpers := psutil.Process(first.pid).children()):
            assert time.monotonic() < end
        first.kill()
    with serving(tmp_path) as (second, _):
        (there,) = tmp_path.iterdir()
        assert there != left and not (there / "result").exists()
        second.send_signal(signal.SIGINT)
        said = second.communicate(timeout=30)[1]
        assert second.returncode == 128 + signal.SIGINT, said
        assert "stopped; uploads and results are removed" in said
    assert list(tmp_path.iterdir()) == []
    psutil.wait_procs(helpers, timeout=30)
    assert not any(helper.is_running() for helper in helpers)  # the model's process went with its server
