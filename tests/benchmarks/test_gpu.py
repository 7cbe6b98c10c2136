"""The program for the day that there is a GPU: which rows it measures, what it leaves out, and that it runs."""

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark_made_up import record
from ovvis.benchmark.records import read_record

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"
STUB = [sys.executable, str(Path(__file__).parents[1] / "benchmark_made_up.py")]


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("gpu", PROGRAM)
    sys.path.insert(0, str(PROGRAM.parent))
    try:
        module = importlib.util.module_from_spec(spec)
        sys.modules["gpu"] = module  # its dataclasses look themselves up
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(PROGRAM.parent))
    return module


def test_every_model_at_each_size_precision_and_number_of_words(program):
    models = (*program.FIRST, *program.OTHERS)
    rows = program.rows("cuda", models, program.FIRST, program.SIZES)
    assert len(rows) == len(set(rows))
    for model in models:
        own = [row for row in rows if row.model == model and row.batch == 1]
        videos = {(row.height, row.precision, row.words) for row in own if row.task == "video"}
        assert videos == {(h, p, k) for h in (480, 720) for p in ("bfloat16", "float16") for k in (1, 80, 1196, 10_000)}
        assert {(row.height, row.precision) for row in own if row.task == "network"} == {
            (h, p) for h in (480, 720) for p in ("bfloat16", "float16")
        }
        assert {row.accelerate for row in own} >= {program.FAST, program.PLAIN}
    # What has a goal comes first, fast and plainly, end to end and the network alone.
    assert [row.model for row in rows[:12]] == [model for model in program.FIRST for _ in range(4)]


def job(program, folder, work, seconds, repeats=2):
    report = program.Report(checks=[], left_out=[], times=record())
    return program.Job(work, time.monotonic() + program.ENDING + seconds, folder, STUB, report, repeats)


def test_a_model_keeps_its_process_and_what_does_not_fit_is_named(program, tmp_path):
    rows = program.rows("cpu", ["clip-vis-r50"], ["clip-vis-r50"], {480: (64, 96), 720: (96, 128)})
    made = job(program, tmp_path, rows[:3], 1000)
    made._expected = lambda what, guess: 0 if "load" in what else 2000 * (made.report.times.results != [])
    made.run()
    assert [result.row for result in made.report.times.results] == rows[:1]
    assert made.report.times.results[0].seconds == [61, 60] and made.report.times.results[0].loaded_mib == 10
    assert len(made.report.left_out) == 2 and made.report.left_out[0].startswith("clip-vis-r50, 64x96, 1,196 words")
    page = (tmp_path / "gpu.md").read_text()
    assert "Left out for want of time: clip-vis-r50" in page
    assert len(read_record(tmp_path / "benchmark.json").results) == 1
    assert not list(tmp_path.glob(".*"))


def test_a_process_that_falls_over_costs_its_row_alone(program, tmp_path):
    from msgspec.structs import replace

    first, second, *_ = program.rows("cpu", ["clip-vis-r50"], ["clip-vis-r50"], program.SIZES)
    made = job(program, tmp_path, [replace(first, frames=13), replace(second, frames=4)], 1000)
    made.run()
    broken, good = made.report.times.results
    assert broken.problem == "the process ended with 7: it fell over" and good.seconds == [5, 4]


def test_one_that_hangs_is_ended(program, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "LONGEST", 0.5)
    (row, *_) = program.rows("cpu", ["clip-vis-r50"], ["clip-vis-r50"], program.SIZES)
    made = job(program, tmp_path, [row], 1000)
    made.worker = [sys.executable, "-c", "import time; time.sleep(60)"]
    made.run()
    assert made.report.times.results[0].problem.startswith("the system ended the process")


@pytest.mark.slow  # processes that load PyTorch, one after another
def test_the_program_runs_without_a_gpu(tmp_path):
    command = [sys.executable, str(PROGRAM), "--device", "cpu", "--dry-run", "--minutes", "10"]
    done = subprocess.run([*command, "--output", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report["left_out"] == [] and all(check["good"] for check in report["checks"])
    assert [check["name"].partition(",")[0] for check in report["checks"]].count("clip-vis-r50") == 3
    tasks = [result["row"]["task"] for result in report["times"]["results"] if result["samples"]]
    assert tasks == ["video", "network"]
    assert "| 1. clip-vis-r50, 64x96" in (tmp_path / "gpu.md").read_text()
