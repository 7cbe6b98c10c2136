import os
import sys

import psutil
import pytest

from ovvis import hardware, held_memory


def test_this_machine():
    assert hardware.processor().strip()
    assert 1 <= hardware.usable_cores() <= (os.cpu_count() or 1)
    whole, free = hardware.memory(), hardware.available_memory()
    if sys.platform == "linux":
        assert whole == pytest.approx(psutil.virtual_memory().total, rel=0.05) and 0 < free <= whole


def test_what_is_not_told_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "Path", lambda _: tmp_path / "none")
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert hardware.memory() is None and hardware.available_memory() is None and hardware.processor()
    monkeypatch.setattr(held_memory, "_STATUS", tmp_path / "none")
    assert held_memory.most_held_since() is None and not held_memory.mark_held()


@pytest.mark.skipif(not held_memory.mark_held(), reason="this system does not tell of a part of a process's life")
def test_a_mark_begins_anew():
    block = b"1" * 2**26
    assert held_memory.most_held() >= len(block)
    del block
    held_memory.mark_held()
    before = held_memory.most_held_since()
    block = b"1" * (2**26 + 2**22)  # more than is asked for: some pages may go between the mark and the block
    assert 2**26 <= held_memory.most_held_since() - before < 2**27 and len(block) == 2**26 + 2**22
