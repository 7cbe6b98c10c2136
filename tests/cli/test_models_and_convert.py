"""`ovvis models`, `ovvis convert`, `ovvis --version`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ovvis.cli import main as cli
from ovvis.models.zoo import ZOO
from ovvis.version import __version__


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["ovvis", *map(str, arguments)])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    return int(leave.value.code or 0)


def test_models_lists_the_zoo(monkeypatch, capsys):
    assert call(monkeypatch, "models") == 0
    printed = capsys.readouterr().out
    for entry in ZOO.values():
        assert entry.name in printed and entry.url in printed
        assert entry.data_licence in printed and entry.training_data in printed
        assert all(f"{ap:.1f}" in printed for ap in [*entry.published_ap.values(), *entry.image_ap.values()])
    assert "not here yet" in printed


def test_models_says_what_is_here(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("OVVIS_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "clip-vis-r50.safetensors").write_bytes(b"")
    assert call(monkeypatch, "models") == 0
    assert f"here: {tmp_path}" in capsys.readouterr().out


def test_version(monkeypatch, capsys):
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.strip() == f"ovvis {__version__}"


def test_without_a_verb_the_help_is_shown(monkeypatch, capsys):
    assert call(monkeypatch) == 2
    assert "segment" in capsys.readouterr().out


def test_unknown_verb(monkeypatch, capsys):
    assert call(monkeypatch, "segmnt") == 2
    assert "segmnt" in capsys.readouterr().err


def test_convert_refuses_what_is_no_checkpoint(monkeypatch, capsys, tmp_path: Path):
    assert call(monkeypatch, "convert", tmp_path / "gone.pth", tmp_path / "out.safetensors") == 2
    error = capsys.readouterr().err.strip()
    assert "gone.pth" in error and "\n" not in error
    assert not list(tmp_path.iterdir())
