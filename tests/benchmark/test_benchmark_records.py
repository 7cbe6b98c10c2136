"""A run's file: what is written is read, and what is no run is refused in a line."""

import json

import pytest

from benchmark_made_up import record, result
from ovvis.benchmark.records import as_json, read_record
from ovvis.errors import InputError


def test_what_is_written_is_read(tmp_path):
    made = record(result([3.0, 1.0, 2.0]), result([4.0], words=9))
    path = tmp_path / "benchmark.json"
    path.write_bytes(as_json(made))
    assert read_record(path) == made
    assert read_record(path).results[0].median == 2.0
    assert read_record(path).results[0].stages == {"backbone": 1.0, "masks": 0.5}


def test_the_shape_of_the_file():
    """Others read it: its names stay."""
    found = json.loads(as_json(record(result([1.0]))))
    assert list(found) == ["format", "version", "date", "command", "machine", "results", "yardstick", "costs"]
    assert list(found["results"][0]) == ["row", "samples", "loaded_mib", "stage_mib", "problem"]
    assert list(found["results"][0]["samples"][0]) == ["seconds", "stages", "peak_mib", "gpu_mib"]
    assert list(found["costs"][0]["parts"][0]) == ["name", "parameters", "operations"]


def bent(change):
    found = json.loads(as_json(record(result([1.0]), result([1.0], words=9))))
    change(found)
    return json.dumps(found)


CASES = {
    "not JSON": lambda: "seconds: 3",
    "a list": lambda: "[]",
    "another format": lambda: bent(lambda f: f.update(format="other")),
    "another version": lambda: bent(lambda f: f.update(version=2)),
    "no machine": lambda: bent(lambda f: f.pop("machine")),
    "seconds of none": lambda: bent(lambda f: f["results"][0]["samples"][0].update(seconds=0)),
    "seconds below none": lambda: bent(lambda f: f["results"][0]["samples"][0].update(seconds=-1)),
    "no number": lambda: bent(lambda f: f["results"][0]["samples"][0].update(seconds="fast")),
    "not a number": lambda: bent(lambda f: f["yardstick"].append(float("nan"))),
    "an unknown part of a row": lambda: bent(lambda f: f["results"][0]["row"].update(colour="red")),
    "frames without end": lambda: bent(lambda f: f["results"][0]["row"].update(frames=10**12)),
    "a row twice": lambda: bent(lambda f: f["results"].append(f["results"][0])),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_run(name, tmp_path):
    path = tmp_path / "bent.json"
    path.write_text(CASES[name]())
    with pytest.raises(InputError) as told:
        read_record(path)
    assert "bent.json" in str(told.value) and "\n" not in str(told.value)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.json"):
        read_record(tmp_path / "none.json")
