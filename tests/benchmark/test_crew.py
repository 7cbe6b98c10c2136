"""Whose turn it is, and what becomes of a process that ends."""

import sys
from pathlib import Path

import pytest

from benchmark_made_up import row
from ovvis.benchmark import crew as crews
from ovvis.benchmark.crew import Crew, measure

STUB = [sys.executable, str(Path(__file__).parents[1] / "benchmark_made_up.py")]


def test_rows_take_turns_there_and_back():
    told = []
    with Crew(STUB) as crew:
        rows = [row(frames=3), row(frames=4)]
        *_, (results, yardstick) = measure(rows, 3, crew, lambda done, of, what: told.append((done, of)))
    # The stub's first run takes a second more: each row kept its process over the turns.
    assert [result.seconds for result in results] == [[4, 3, 3], [5, 4, 4]]
    assert len(yardstick) == 3
    assert told[0] == (0, 6) and told[-1] == (6, 6)
    assert results[0].loaded_mib == 10 and results[0].peak_mib == 60


def test_a_process_that_ends_ends_its_row_alone():
    with Crew(STUB) as crew:
        *_, (results, _) = measure([row(frames=13), row(frames=4)], 2, crew)
    assert results[0].seconds == [14] and results[0].problem == "the process ended with 7: it fell over"
    assert results[1].seconds == [5, 4] and not results[1].problem


@pytest.mark.parametrize("free", [0, None])
def test_processes_that_wait_end_where_memory_is_short(free, monkeypatch):
    monkeypatch.setattr(crews, "available_memory", lambda: free)
    with Crew(STUB) as crew:
        *_, (results, _) = measure([row(frames=3), row(frames=4)], 2, crew)
    # Two rows and the yardstick share the room of one: each run is then its process's first.
    assert [result.seconds for result in results] == ([[4, 4], [5, 5]] if free == 0 else [[4, 3], [5, 4]])


def test_costs():
    with Crew(STUB) as crew:
        assert [cost.model for cost in crew.costs("clip-vis-r50", [(64, 96)])] == ["clip-vis-r50"]


def test_what_is_measured_is_known_after_each_run():
    with Crew(STUB) as crew:
        counts = [sum(len(r.samples) for r in results) for results, _ in measure([row(), row(words=9)], 2, crew)]
    assert counts == [0, 1, 2, 3, 4]
