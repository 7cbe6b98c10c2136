import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ovvis import cores

ASK = "import os; print(os.environ.get('GOMP_SPINCOUNT'), __import__('ovvis.cores').cores._late)"


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP")
@pytest.mark.parametrize(
    ("before", "given", "said"),
    [
        ("import ovvis", {}, "10000 False"),
        ("import sys; sys.modules['torch'] = sys; import ovvis", {}, "None True"),
        ("import sys; sys.modules['torch'] = sys; import ovvis", {"GOMP_SPINCOUNT": "7"}, "7 False"),
        ("import ovvis", {"OMP_WAIT_POLICY": "ACTIVE"}, "None False"),
        ("import ovvis", {"GOMP_SPINCOUNT": "7"}, "7 False"),
    ],
)
def test_importing_ovvis_first_is_enough_and_a_setting_of_ones_own_stays(before, given, said):
    clean = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    ran = subprocess.run([sys.executable, "-c", f"{before}; {ASK}"], env=clean | given, capture_output=True, text=True)
    assert ran.stdout.strip() == said, ran.stderr


@pytest.mark.parametrize(
    ("late", "spins", "took", "waited", "told"),
    [
        (True, True, 10, 5, 1),
        (True, True, 10, 1, 0),
        (True, True, 1, 0.9, 0),
        (True, False, 10, 5, 0),  # one thread waits for nobody
        (False, True, 10, 9, 0),
    ],
)
def test_a_run_that_waited_for_cores_is_told_once(monkeypatch, caplog, late, spins, took, waited, told):
    monkeypatch.setattr(cores, "_late", late)
    clock, waits = [0.0, took, took, 2 * took], [0.0, waited, waited, 2 * waited]
    monkeypatch.setattr(cores, "time", SimpleNamespace(monotonic=lambda: clock.pop(0)))
    monkeypatch.setattr(cores, "waited", lambda: waits.pop(0))
    with caplog.at_level(logging.WARNING, "ovvis"):
        for _ in range(2):
            cores.CoresWatch(spins).close()
    assert len(caplog.records) == told
    assert all("import ovvis before torch" in record.message for record in caplog.records)


def test_what_nobody_counts_is_none(monkeypatch, tmp_path):
    assert cores.waited() >= 0
    for text in ("", "1", "a b c"):
        (tmp_path / "schedstat").write_text(text)
        monkeypatch.setattr(cores, "_STATISTICS", tmp_path / "schedstat")
        assert cores.waited() == 0
    monkeypatch.setattr(cores, "_STATISTICS", tmp_path / "none")
    assert cores.waited() == 0
