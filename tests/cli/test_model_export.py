"""`ovvis models export`, and a file of it as `--model`."""

import sys

import numpy as np
import pytest

from ovvis.cli import main as cli
from ovvis.masks import decode
from ovvis.outputs.formats.tracks_json import load_tracks
from ovvis.paths import DEMO_VIDEO


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ovvis", *map(str, arguments)])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    return int(leave.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["clip-vis-stickerz", "x.onnx"], "did you mean clip-vis-stickers"),
        (["clip-vis-stickers", "x.pt"], "must end in .onnx"),
        (["clip-vis-stickers", "x.onnx", "--size", "480"], "--size 480: give height x width in pixels"),
        (["clip-vis-stickers", "x.onnx", "--size", "480x853"], "such as 480x864"),
    ],
)
def test_what_cannot_be_exported_is_told_at_once(monkeypatch, capsys, tmp_path, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "models", "export", *arguments) == 2
    told = capsys.readouterr().err
    assert says in " ".join(told.split()) and "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "gone.onnx"], "gone.onnx' does not exist"),
        (["--model", "there.onnx", "--weights", "x.pth"], "there.onnx holds its own"),
        (["--model", "there.onnx"], "was not written by ovvis"),
    ],
)
def test_a_file_that_is_no_model_is_told(monkeypatch, capsys, tmp_path, arguments, says):
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.onnx").write_bytes(b"\x08\x0a")
    assert call(monkeypatch, "segment", DEMO_VIDEO, "--labels", "dog", "--output", "out", *arguments) == 2
    assert says in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_packaged_model_finds_the_same_in_a_part_of_the_demo(monkeypatch, capsys, tmp_path):
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "models", "export", "clip-vis-stickers", "small.onnx", "--size", "256x384") == 0
    assert "frames of 256x384" in capsys.readouterr().out
    found = []
    for model in ("clip-vis-stickers", "small.onnx"):
        arguments = ["--model", model, "--labels", "elephant, airplane, penguin", "--max-frames", "6", "--no-video"]
        assert call(monkeypatch, "segment", DEMO_VIDEO, "--output", f"of-{model}", *arguments) == 0
        found.append(load_tracks(tmp_path / f"of-{model}" / "tracks.json"))
    assert "small.onnx: clip-vis-stickers, float32, through ONNX Runtime" in " ".join(capsys.readouterr().err.split())
    plain, exported = found
    assert "runtime" not in plain.settings and "CPUExecutionProvider" in exported.settings["runtime"]
    assert [(t.id, t.label) for t in plain.tracks] == [(t.id, t.label) for t in exported.tracks]
    np.testing.assert_allclose([t.score for t in plain.tracks], [t.score for t in exported.tracks], atol=1e-4)
    for one, other in zip(plain.tracks, exported.tracks, strict=True):
        for first, second in zip(one.masks, other.masks, strict=True):
            if first is not None:
                assert (decode(first) != decode(second)).mean() < 1e-4
