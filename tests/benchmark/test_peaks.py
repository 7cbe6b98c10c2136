"""Memory by stage: of stages that take and free a known block."""

import ctypes

import pytest
import torch

from benchmark_made_up import row
from fakes import build_tiny
from ovvis import held_memory
from ovvis.benchmark import subject
from ovvis.benchmark.peaks import StagePeaks, can_tell
from ovvis.freed_memory import freed_at_once
from ovvis.inference.stopwatch import Stopwatch

CPU = torch.device("cpu")
needs_linux = pytest.mark.skipif(not can_tell(CPU), reason="this system does not tell of a part of a process's life")


def block(mib):
    return torch.ones(mib * 2**18)  # 4 bytes each


@needs_linux
@pytest.mark.parametrize("used", [False, True])
def test_each_stage_by_itself_and_within_another(used):
    if used:  # a heap with holes in it, as a process has that has kept what it freed
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, 2**31 - 1), mallopt(-1, 2**31 - 1)
        holes = [(block(150), torch.ones(64)) for _ in range(3)]
        holes = [end for _, end in holes]
    with freed_at_once():
        told = StagePeaks(CPU)
        watch = Stopwatch(CPU, told)
        with watch("outer"):
            kept = block(40)
            with watch("inner"):
                block(100)
        with watch("after"):
            block(20)
        del kept
        with watch("small"):
            pass
    # Each within some MiB: whatever else a process does counts, too.
    for stage, mib in (("outer", 140), ("inner", 140), ("after", 60), ("small", 0)):
        assert told.mib[stage] == pytest.approx(mib, abs=15), stage
    if used:
        assert len(holes) == 3


def test_a_gpu_is_asked_of_pytorch(monkeypatch):
    held = iter([300, 100, 100, 500, 500])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: next(held) * 2**20)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    told = StagePeaks(torch.device("cuda"))  # 300 while it was loaded, 100 now
    told.begin("network")
    told.end()
    assert told.mib == {"network": 400.0}
    assert can_tell(torch.device("cuda"))


def test_where_the_system_tells_nothing_there_are_none(monkeypatch, tmp_path):
    monkeypatch.setattr(held_memory, "_RESET", tmp_path / "not" / "there")
    assert not can_tell(CPU)
    made = subject.VideoSubject(row(), lambda _: build_tiny())
    assert made.stage_mib() == {}


@needs_linux
def test_stages_of_a_video_and_of_its_network():
    made = subject.VideoSubject(row(), lambda _: build_tiny())
    made.warm_up()
    found = made.stage_mib()
    assert {"read", "network", "backbone", "pixel decoder", "query decoder", "names", "masks"} <= set(found)
    assert all(mib >= 0 for mib in found.values()) and found["network"] >= found["backbone"]
    before = dict(made._parts.seconds)
    made.sample()
    assert made._segmenter.beside is None and before  # the runs that count are watched by the clock alone
