"""`ovvis models export`, and a file of it as `--model`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from command import call
from ovvis.benchmark.records import read_record
from ovvis.masks import decode
from ovvis.models.measured import measured
from ovvis.outputs.formats.tracks_json import load_tracks
from ovvis.paths import DEMO_VIDEO


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["clip-vis-stickerz", "x.onnx"], "did you mean clip-vis-stickers"),
        (["clip-vis-stickers", "x.pt"], "must end in .onnx"),
        (
            ["clip-vis-stickers", "x.onnx", "--size", "480"],
            "--size '480': it must be HEIGHTxWIDTH in pixels, such as 480x864",
        ),
        (["clip-vis-stickers", "x.onnx", "--size", "480x853"], "such as 480x864"),
        (["clip-vis-stickers", "x.onnx", "--size", "16x32"], "each edge must be 32 to 8192 pixels"),
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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--calibrate", "x.mp4"], "--calibrate x.mp4: it is for --int8; give both or none"),
        (["--int8", "--weights", "x.pt"], "--int8: clip-vis-stickers needs frames like those that it will see"),
    ],
)
def test_8_bits_want_frames(monkeypatch, capsys, tmp_path, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "models", "export", "clip-vis-stickers", "x.onnx", *arguments) == 2
    assert says in " ".join(capsys.readouterr().err.split())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return the packaged model as a file for one size."""
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("small") / "small.onnx"
    with pytest.MonkeyPatch.context() as patch:
        assert call(patch, "models", "export", "clip-vis-stickers", path, "--size", "256x384") == 0
    return path


EXPORTING = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.mark.slow
@EXPORTING
def test_the_packaged_model_finds_the_same_in_a_part_of_the_demo(small, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = []
    for model in ("clip-vis-stickers", small):
        out = tmp_path / f"of-{Path(model).name}"
        arguments = ["--model", model, "--labels", "elephant, airplane, penguin", "--max-frames", "6", "--no-video"]
        assert call(monkeypatch, "segment", DEMO_VIDEO, "--output", out, *arguments) == 0
        found.append(load_tracks(out / "tracks.json"))
    assert "small.onnx: clip-vis-stickers, float32, through ONNX Runtime" in " ".join(capsys.readouterr().err.split())
    plain, exported = found
    assert "runtime" not in plain.settings and "CPUExecutionProvider" in exported.settings["runtime"]
    assert [(t.id, t.label) for t in plain.tracks] == [(t.id, t.label) for t in exported.tracks]
    np.testing.assert_allclose([t.score for t in plain.tracks], [t.score for t in exported.tracks], atol=1e-4)
    for one, other in zip(plain.tracks, exported.tracks, strict=True):
        for first, second in zip(one.masks, other.masks, strict=True):
            if first is not None:
                assert (decode(first) != decode(second)).mean() < 1e-4
    # What `ovvis models` shows of a model is PyTorch's time alone.
    assert len(measured()) <= 1


@pytest.mark.slow
@EXPORTING
def test_a_live_stream_through_a_file(small, monkeypatch, capsys):
    arguments = ["--model", small, "--labels", "elephant, airplane, penguin", "--no-view", "--all-frames"]
    assert call(monkeypatch, "live", DEMO_VIDEO, "--end", "3f", "--lines", "-", *arguments) == 0
    said = capsys.readouterr()
    assert "small.onnx: clip-vis-stickers, float32, through ONNX Runtime" in " ".join(said.err.split())
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert "CPUExecutionProvider" in json.dumps(lines[0])
    assert len(lines) >= 4


@pytest.mark.slow
@EXPORTING
def test_a_file_beside_pytorch_in_one_benchmark(small, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")  # a path is not folded
    arguments = ["--size", "256x384", "--words", "5", "--frames", "2", "--precision", "float32", "--device", "cpu"]
    assert call(monkeypatch, "benchmark", "clip-vis-stickers", small, *arguments, "--repeats", "1", "--no-costs") == 0
    plain, exported = read_record("ovvis-benchmark/benchmark.json").results
    assert (plain.row.model, exported.row.model) == ("clip-vis-stickers", str(small))
    assert plain.stages["backbone"] > 0 and "backbone" not in exported.stages and exported.stages["network"] > 0
    assert "small.onnx" in " ".join(capsys.readouterr().out.split())
    assert [one.model for one in measured()] in ([], ["clip-vis-stickers"])


@pytest.mark.slow
@EXPORTING
def test_a_job_of_the_page_through_a_file(small, tmp_path):
    from ovvis.web import segmenting, work

    class Told:
        cancelled = False

        def check(self):
            pass

        def tell(self, *what):
            pass

        def step(self, done, total=None):
            pass

    video = shutil.copy(DEMO_VIDEO, tmp_path / "upload")
    task = work.Task("demo.mp4", "elephant, airplane", str(small), 60, Path(video), None, tmp_path, 60.0)
    done = segmenting.segment(task, work.Models("cpu", "auto"), Told())
    assert done["model"] == "clip-vis-stickers"
    assert "CPUExecutionProvider" in load_tracks(tmp_path / "tracks.json").settings["runtime"]
