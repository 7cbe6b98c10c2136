"""`--ray` without a cluster: what is refused, and what is said where Ray is not installed."""

from __future__ import annotations

import sys

import pytest

from ovvis.cli import extras
from ovvis.cli import main as cli
from ovvis.cli.ray_options import with_words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ray", "b.mp4"], "--ray b.mp4: it takes auto, HOST:PORT or nothing"),
        (["--ray-workers", "3"], "--ray-workers is for workers of a cluster"),
        (["--spread", "500"], "--spread is for workers of a cluster"),
        (["--ray-gpus", "0.5"], "--ray-gpus is for workers of a cluster"),
        (["--ray"], "pip install 'ovvis[ray]'"),
        (["--ray", "--no-video"], "pip install 'ovvis[ray]'"),
        (["--ray", "auto"], "ovvis segment --ray needs ray: pip install 'ovvis[ray]'"),
        (["--ray=10.0.0.7:6379"], "pip install 'ovvis[ray]'"),
        (["--shard", "3/2"], "shard '3/2'"),
    ],
)
def test_what_is_refused(words, said, monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["ovvis", "segment", "a.mp4", "--labels", "dog", *words])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    assert leave.value.code == 2 and said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_behind_two_dashes_words_are_videos() -> None:
    assert with_words(["--", "--ray"]) == ["--", "--ray"]
