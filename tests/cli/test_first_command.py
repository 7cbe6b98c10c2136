"""A fresh machine's first command, in one line of input; benchmarks/first_command.py does the same at full size."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes import authors_checkpoint, build_tiny, tiny_config
from misbehaving import serving
from ovvis.cli import main as cli
from ovvis.models import reach, transfer, zoo
from ovvis.models.default import FETCHED
from ovvis.models.sources import Hub
from ovvis.outputs.render import VideoWriter
from parity_weights import make_state

MODEL = FETCHED[0]
FILE = "/bytes/them/weights/w.pth"


@pytest.fixture(scope="module")
def content(tmp_path_factory, _tiny_clips):
    """A checkpoint in the authors' format, filled as the parity cases are."""
    path = tmp_path_factory.mktemp("made") / "w.pth"
    checkpoint = authors_checkpoint(build_tiny().state_dict())
    shapes = {name: list(tensor.shape) for name, tensor in checkpoint["model"].items() if tensor.is_floating_point()}
    checkpoint["model"] |= make_state(shapes, 0)
    torch.save(checkpoint, path)
    return path.read_bytes()


@pytest.fixture
def server(content, monkeypatch, tmp_path):
    """A server that is shaped like the Hub; a folder to work in, with a video."""
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    monkeypatch.setattr(reach, "getproxies", dict)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    with VideoWriter(tmp_path / "dog.mp4", 10.0, (64, 96)) as video:
        for _ in range(3):
            video.write(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
    with serving() as running:
        running.repositories["them/weights"] = {"w.pth": content, "README.md": b"#"}
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setitem(zoo.ZOO, MODEL, tiny_entry())
        yield running


def tiny_entry():
    """The model that is fetched, of a size that a test can have."""
    return replace(zoo.ZOO[MODEL], config=tiny_config(), sources=(Hub("them/weights", "w.pth"),), parameters=1)


def fresh(monkeypatch, name):
    monkeypatch.setenv("OVVIS_CACHE", str(Path.cwd() / name))


def ovvis(monkeypatch, capsys, *words):
    """Run the command and return what it said on standard error."""
    monkeypatch.setattr(sys, "argv", ["ovvis", *map(str, words)])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    said = capsys.readouterr().err
    assert not leave.value.code, said
    return said


COMMAND = ("segment", "dog.mp4", "--labels", "dog, frisbee", "--short-edge", 64)


def tracks(folder):
    text = (Path(folder) / "tracks.json").read_text()
    assert f'"model": "{MODEL}"' in text.replace('":"', '": "') and (Path(folder) / "overlay.mp4").is_file()
    return text.partition('"tracks"')[2].partition('"seconds"')[0]


def test_the_first_command_then_a_mirror_without_a_network_then_a_cut(server, monkeypatch, capsys, content):
    fresh(monkeypatch, "first")
    said = ovvis(monkeypatch, capsys, *COMMAND)
    assert f"fetching {MODEL} once, about 4 MB: no published weights are here" in said
    assert "LV-VIS val AP 32.2; weights: Apache-2.0" in said and "illustrated objects" not in said
    assert server.ranges(FILE) == [None]
    one = tracks("ovvis-dog")

    ovvis(monkeypatch, capsys, "models", "fetch", MODEL, "--to", "mirror")
    server.asked.clear()
    fresh(monkeypatch, "second")
    monkeypatch.setenv("OVVIS_OFFLINE", "1")
    said = ovvis(monkeypatch, capsys, *COMMAND, "--mirror", "mirror")
    assert f"taking {MODEL}: the best of the published models whose weights are here" in said
    assert server.asked == [] and tracks("ovvis-dog-2") == one
    for name in ("OVVIS_OFFLINE", "OVVIS_MIRROR"):
        monkeypatch.delenv(name)

    fresh(monkeypatch, "third")
    server.wrong[FILE] = "cut"
    ovvis(monkeypatch, capsys, *COMMAND)
    whole, rest = server.ranges(FILE)
    assert whole is None and 0 < rest <= len(content) // 2
    assert tracks("ovvis-dog-3") == one


PROGRAM = """
import sys
import open_clip, torch
from conftest import TINY_CLIPS
from test_first_command import MODEL, tiny_entry
from ovvis.cli import main
from ovvis.models import reach, transfer, zoo
reach.getproxies = dict
open_clip.factory._MODEL_CONFIGS.update(TINY_CLIPS)
zoo.ZOO[MODEL] = tiny_entry()
main.run()
"""


def test_a_process_that_is_killed_in_the_fetch_leaves_what_had_come(server, monkeypatch, capsys, content):
    fresh(monkeypatch, "cache")
    server.wrong[FILE] = "halting"
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(tests), str(tests / "cli")])}
    words = [sys.executable, "-c", PROGRAM, *map(str, COMMAND)]
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not came():
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert came() and process.wait() == -signal.SIGKILL, process.stderr.read()
    server.wrong.clear()
    server.asked.clear()
    said = ovvis(monkeypatch, capsys, *COMMAND)
    assert "of them here already" in said and server.ranges(FILE)[0] > 0 and len(server.ranges(FILE)) == 1
    tracks("ovvis-dog")


def came():
    return sum(file.stat().st_size for file in Path("cache").glob("weights/.begun-*/file*"))


@pytest.mark.parametrize("network", [{"OVVIS_OFFLINE": "1"}, {}])
def test_where_nothing_can_be_had_the_small_model_runs_and_says_so_at_both_ends(network, server, monkeypatch, capsys):
    fresh(monkeypatch, "none")
    for name, value in {"HF_ENDPOINT": "http://127.0.0.1:9", **network}.items():
        monkeypatch.setenv(name, value)
    lines = ovvis(monkeypatch, capsys, *COMMAND).splitlines()
    why = "OVVIS_OFFLINE=1" if network else "127.0.0.1: the connection was refused"
    assert f"none can be fetched ({why}); it is the small model in the package" in lines[0]
    assert "520 kinds" in lines[1] and lines[1] == lines[-1]
