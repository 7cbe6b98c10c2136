"""`ovvis benchmark`: its files, its words, and how it ends; with a worker that measures nothing."""

import json
import sys
from pathlib import Path

import pytest

from benchmark_made_up import MACHINE, record, result
from ovvis.benchmark import crew, machine
from ovvis.benchmark.records import as_json, read_record
from ovvis.cli import main
from ovvis.models.measured import measured

STUB = (sys.executable, str(Path(__file__).parents[1] / "benchmark_made_up.py"))
SMALL = ["--size", "64x96", "--words", "5", "--precision", "float32", "--device", "cpu", "--repeats", "5"]


@pytest.fixture
def ovvis(monkeypatch, tmp_path, capsys):
    """Return what runs the command in an empty folder; gives code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(crew, "WORKER", STUB)
    monkeypatch.setattr(machine, "this_machine", lambda accelerator="": MACHINE)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["ovvis", "benchmark", *words])
        with pytest.raises(SystemExit) as leave:
            main.run()
        said = capsys.readouterr()
        return leave.value.code, said.out, said.err

    return run


def test_everything_is_written_and_shown(ovvis, tmp_path):
    code, shown, _ = ovvis(*SMALL, "--frames", "8,9", "--text")
    assert code == 0
    folder = tmp_path / "ovvis-benchmark"
    assert sorted(p.name for p in folder.iterdir()) == [f"benchmark.{kind}" for kind in ("json", "md", "png", "svg")]
    made = read_record(folder / "benchmark.json")
    assert [(r.row.task, r.row.frames, r.seconds) for r in made.results] == [
        ("video", 8, [9, 8, 8, 8, 8]),
        ("video", 9, [10, 9, 9, 9, 9]),
        ("text", 0, [2, 1, 1, 1, 1]),
    ]
    assert made.machine == MACHINE and len(made.yardstick) == 5 and len(made.costs) == 1
    assert "Seconds a frame, clip-vis-stickers, 64x96, 5 words, float32" in shown and "Results:" in shown
    assert [(one.seconds, one.frames) for one in measured()] == [(9.0, 45)]  # `ovvis models` shows the last
    assert ovvis(*SMALL)[0] == 0 and (tmp_path / "ovvis-benchmark-2").is_dir()


def test_an_earlier_run_again_without_models(ovvis, tmp_path):
    before = tmp_path / "before.json"
    before.write_bytes(as_json(record(result([4.0, 4.1, 4.2, 4.3, 4.4], frames=2), yardstick=[1.0, 1.0])))
    code, shown, _ = ovvis("--compare", str(before), "--no-costs", "-o", "now")
    assert code == 0
    made = read_record(tmp_path / "now" / "benchmark.json")
    assert [r.row for r in made.results] == [r.row for r in read_record(before).results]
    assert "faster" in shown and "faster" in (tmp_path / "now" / "benchmark.md").read_text()


def test_two_runs_that_were_made(ovvis, tmp_path):
    for name, seconds in (("a.json", [1.0, 1.1, 1.2, 1.3, 1.4]), ("b.json", [2.0, 2.1, 2.2, 2.3, 2.4])):
        (tmp_path / name).write_bytes(as_json(record(result(seconds))))
    code, shown, _ = ovvis("--read", "b.json", "--compare", "a.json")
    assert code == 0 and "slower" in shown and not (tmp_path / "ovvis-benchmark").exists()


def test_a_row_that_fell_over(ovvis, tmp_path):
    code, _, errors = ovvis(*SMALL, "--frames", "8,13", "-o", "out")
    assert code == 3 and "not measured to the end: the process ended with 7: it fell over" in errors
    assert json.loads((tmp_path / "out" / "benchmark.json").read_text())["results"][1]["problem"]


def test_ctrl_c_keeps_what_was_measured(ovvis, tmp_path, monkeypatch):
    real, calls = crew.Crew.run, []

    def run(self, row):
        calls.append(row)
        if len(calls) == 5:  # the yardstick, two rows, the yardstick, and now
            raise KeyboardInterrupt
        return real(self, row)

    monkeypatch.setattr(crew.Crew, "run", run)
    code, shown, errors = ovvis(*SMALL, "--frames", "8,9", "-o", "out")
    assert code == 130 and "stopped; what was measured until then is in" in errors and "8 frames" in shown
    assert [len(r.samples) for r in read_record(tmp_path / "out" / "benchmark.json").results] == [1, 1]


def test_ctrl_c_before_anything_was_measured(ovvis, tmp_path, monkeypatch):
    def run(self, row):
        raise KeyboardInterrupt

    monkeypatch.setattr(crew.Crew, "run", run)
    code, _, errors = ovvis(*SMALL, "-o", "out")
    assert code == 130 and "nothing was written" in errors and not (tmp_path / "out").exists()


OTHER = record(result([1.0]), machine=MACHINE.__class__(processor="b", cores=2, threads=2, memory_gib=8.0))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["clip-vis-r5"], "clip-vis-r50"),
        (["gone.onnx"], "gone.onnx' does not exist"),
        (["--size", "480"], "HEIGHTxWIDTH"),
        (["--words", "none"], "--words"),
        (["--precision", "float8"], "--precision 'float8'"),
        (["--device", "tpu"], "tpu"),
        (["--tracker", "magic"], "--tracker 'magic'"),
        (["--sweep", "colour"], "--sweep 'colour'"),
        (["--compare", "nowhere.json"], "nowhere.json"),
        (["--compare", "other.json"], "another machine (processor b, here 'a')"),
        (["clip-vis-r50", "--read", "other.json"], "leave the models out"),
    ],
)
def test_what_is_refused(words, told, ovvis, tmp_path):
    (tmp_path / "other.json").write_bytes(as_json(OTHER))
    code, _, errors = ovvis(*words)
    assert code == 2 and told.replace("processor b", "processor 'b'") in errors
    assert errors.count("\n") <= 2 and not (tmp_path / "ovvis-benchmark").exists()


@pytest.mark.slow
def test_a_real_worker(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--size", "64x96", "--words", "5", "--frames", "2", "--precision", "float32", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["ovvis", "benchmark", *words, "--repeats", "1", "--no-costs"])
    with pytest.raises(SystemExit) as leave:
        main.run()
    assert leave.value.code == 0, capsys.readouterr().err
    (found,) = read_record("ovvis-benchmark/benchmark.json").results
    assert found.row.weights == "own" and found.peak_mib > 50 and found.stages["backbone"] > 0
