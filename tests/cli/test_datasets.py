"""`ovvis datasets`, `check` and `convert`."""

import errno
import json
import sys

import numpy as np
import pytest
from PIL import Image

from ovvis.cli import main as cli
from ovvis.datasets.catalog import entries


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ovvis", "datasets", *map(str, arguments)])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    return int(leave.value.code or 0)


@pytest.fixture
def home(tmp_path):
    for folder, values in (("frames", np.zeros((4, 5, 3))), ("masks", np.eye(4, 5))):
        (tmp_path / folder).mkdir()
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / folder / "0.png")
    return tmp_path


def test_the_list(monkeypatch, capsys, tmp_path):
    assert call(monkeypatch, "--data-root", tmp_path) == 0
    printed = capsys.readouterr().out
    for entry in entries():
        assert entry.name in printed and entry.page in printed and entry.licence in printed
        assert str(tmp_path / entry.annotations[0]) in printed
    assert call(monkeypatch, "--json", "--data-root", tmp_path) == 0
    told = json.loads(capsys.readouterr().out)
    assert {(row["name"], row["state"]) for row in told} == {(entry.name, "not here") for entry in entries()}


def test_convert_then_check(monkeypatch, capsys, home):
    assert call(monkeypatch, "convert", home, home / "own.json") == 0
    assert "1 video, 1 frame, 1 instance of 1 category" in capsys.readouterr().out
    assert call(monkeypatch, "check", home / "own.json") == 0
    assert "nothing is wrong" in capsys.readouterr().out

    (home / "frames" / "0.png").unlink()
    assert call(monkeypatch, "check", home / "own.json", "--frames", home / "frames") == 2
    printed = capsys.readouterr().out
    assert "missing frame" in printed and "1 track," in printed
    assert f"looked for below {home / 'frames'}: --frames says where else" in printed
    assert call(monkeypatch, "check", home / "own.json", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["sound"], told["problems"][0]["kind"], told["problems"][0]["count"]) == (False, "missing frame", 1)
    assert call(monkeypatch, "check", home / "own.json", "--no-frames") == 0


def test_a_place_that_cannot_be_written(monkeypatch, capsys, home):
    assert call(monkeypatch, "convert", home, home) == 2
    assert f"{home} must be a JSON file to write, and is a folder: add a file's name" in capsys.readouterr().err

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("ovvis.files.hidden._own", refuse)
    assert call(monkeypatch, "convert", home, home / "own.json") == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and "own.json cannot be written (Permission denied): choose another place" in told[0]
    assert not (home / "own.json").exists()


def test_an_older_file_is_replaced_only_when_asked(monkeypatch, capsys, home):
    target = home / "own.json"
    target.write_text("old")
    assert call(monkeypatch, "convert", home, target) == 2
    assert f"{target} is there already" in capsys.readouterr().err and target.read_text() == "old"
    assert call(monkeypatch, "convert", home, target, "--overwrite") == 0
    assert target.read_text().startswith("{")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "lvvis_vla"], "did you mean lvvis_val"),
        (["check", "none.json"], "none.json does not exist"),
        (["check", "lvvis_val"], "get it from https"),
        (["convert", "none", "a.json"], "none must be a folder with frames and masks"),
        (["convert", ".", "a.json", "--names", "none.json"], "must hold a folder of frames"),
        (["chekc"], "No such command"),
    ],
)
def test_errors_are_one_line(monkeypatch, capsys, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OVVIS_DATA", raising=False)
    assert call(monkeypatch, *arguments) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert words in told[0]
