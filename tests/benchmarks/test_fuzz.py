"""The fuzz program's kinds make inputs that readers use or refuse, and a fault is told from both."""

import importlib
import random
import sys
from pathlib import Path

import pytest

from ovvis.errors import InputError

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
fuzz, fuzz_bend = importlib.import_module("fuzz"), importlib.import_module("fuzz_bend")
KINDS = fuzz.kinds()
sys.path.remove(str(BENCHMARKS))


@pytest.mark.filterwarnings("ignore")  # decoders talk of damaged files
@pytest.mark.parametrize("name", KINDS)
def test_every_kind(name, tmp_path):
    outcomes = [fuzz.one(KINDS[name], name, number, tmp_path / "input") for number in range(6)]
    assert all(outcome and "\n" not in outcome for outcome in outcomes)
    again = [fuzz.one(KINDS[name], name, number, tmp_path / "input") for number in range(2)]
    assert again == outcomes[:2]  # an input follows from its number


def raising(error):
    def use(given):
        raise error

    return fuzz_bend.Kind(1, lambda random, folder: folder, use)


def test_what_counts_as_a_refusal(tmp_path):
    assert fuzz.one(raising(InputError("a line")), "x", 0, tmp_path / "input") == "a line"
    for error in (ValueError("anything else"), InputError("two\nlines"), InputError("")):
        with pytest.raises((ValueError, AssertionError)):
            fuzz.one(raising(error), "x", 0, tmp_path / "input")


def test_a_process_that_dies_or_hangs_is_a_fault(monkeypatch, tmp_path):
    child = tmp_path / "child.py"
    child.write_text(
        "import json, os, signal, sys, time\n"
        "for n in range(int(sys.argv[3]), int(sys.argv[4])):\n"
        "    print(json.dumps([n]), flush=True)\n"
        "    if n == 1: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    if n == 3: time.sleep(60)\n"
        "    print(json.dumps([n, 'used', 'used']), flush=True)\n"
    )
    monkeypatch.setattr(fuzz, "__file__", str(child))
    monkeypatch.setattr(fuzz, "SECONDS", 0.5)
    counts, faults, _ = fuzz.feed("x", 5, 0)
    assert counts == {"used": 3, "fault": 2}
    assert faults == ["x 1: ended by SIGSEGV", "x 3: no answer in 10 s"]


def test_bent_bytes_differ():
    data = bytes(range(200))
    assert sum(fuzz_bend.bent_bytes(random.Random(seed), data) != data for seed in range(50)) > 40
