"""Seconds a frame on this machine: kept whole by many at once, and never trouble."""

import json
import platform
import threading
from dataclasses import asdict, replace

import pytest

from ovvis.files.lock import hold
from ovvis.models import measured as room
from ovvis.models.measured import FEWEST, FILE, Measured, keep_measured, measured
from ovvis.paths import cache_folder

ONE = Measured("a", 480, 853, "cpu", "float32", 0.5, 20)


def test_the_last_run_of_each_kind_is_kept():
    for one in (ONE, replace(ONE, height=360), replace(ONE, seconds=0.25), replace(ONE, frames=FEWEST - 1)):
        keep_measured(one)
    kept = [(one.height, one.seconds, one.frames) for one in measured()]
    assert kept == [(360, 0.5, 20), (480, 0.25, 20)]
    assert [path.name for path in cache_folder().iterdir()] == [FILE]


def test_several_at_once():
    several = [threading.Thread(target=keep_measured, args=(replace(ONE, height=i),)) for i in range(1, 13)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    assert {one.height for one in measured()} == set(range(1, 13))


def test_one_that_cannot_have_the_file_goes_without(monkeypatch):
    keep_measured(ONE)
    monkeypatch.setattr(room, "PATIENCE", 0.0)
    with hold(cache_folder(), "-seconds"):
        keep_measured(replace(ONE, seconds=9.0))
    assert [one.seconds for one in measured()] == [0.5]


GOOD = {**asdict(ONE), "machine": platform.node()}


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("", 0),
        ("[" * 100_000, 0),
        ("{}", 0),
        ("\x00\xff", 0),
        (json.dumps([GOOD])[:-9], 0),
        (json.dumps([GOOD, 3, None, {}, [GOOD]]), 1),
        (json.dumps([GOOD | {"seconds": None}, GOOD | {"seconds": -1.0}, GOOD | {"height": True}]), 0),
        (json.dumps([GOOD | {"seconds": float("nan")}, GOOD | {"more": 1}, GOOD | {"frames": 0}]), 0),
        (json.dumps([GOOD | {"machine": "another"}]), 0),
    ],
)
def test_a_damaged_file_is_passed_over_and_replaced(content, kept):
    (cache_folder() / FILE).write_text(content)
    assert len(measured()) == kept
    keep_measured(replace(ONE, model="b"))
    assert measured()[-1].model == "b" and len(measured()) == kept + 1


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OVVIS_CACHE", str(tmp_path / "file"))
    keep_measured(ONE)
    assert measured() == []
