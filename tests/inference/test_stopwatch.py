"""Seconds by stage, with and without waiting for a device."""

import pytest

from ovvis.inference.stopwatch import Stopwatch


class Mark:
    """A mark among a device's work, which the device passes a while after it was made."""

    clock, passed, waited = 0, 0, 0

    def __init__(self):
        Mark.clock += 1
        self.at = Mark.clock

    def query(self):
        return self.at <= Mark.passed

    def synchronize(self):
        Mark.waited += 1
        Mark.passed = max(Mark.passed, self.at)

    def elapsed_time(self, other):
        assert other.query()
        return 1000.0 * (other.at - self.at)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    for name in ("clock", "passed", "waited"):
        monkeypatch.setattr(Mark, name, 0)


def test_marks_are_counted_once_the_device_has_passed_them_and_nothing_waits_before_the_end():
    watch = Stopwatch(mark=Mark)
    for _ in range(3):
        with watch("outer"), watch("inner"):
            pass
        Mark.passed = Mark.clock - 2  # the device is behind
    assert Mark.waited == 0 and len(watch._marked) < 6
    assert watch.seconds == {"inner": 3.0, "outer": 9.0}
    assert Mark.waited > 0
    watch.seconds.clear()
    assert list(watch.each("made", "ab")) == ["a", "b"]
    assert watch.seconds == {"made": 3.0}


def test_a_stage_that_fails_counts_too():
    for watch in (Stopwatch(mark=Mark), Stopwatch()):
        with pytest.raises(KeyError), watch("stage"):
            raise KeyError
        assert watch.seconds["stage"] >= 0
