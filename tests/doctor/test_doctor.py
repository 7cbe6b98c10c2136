"""What is told of broken, missing and slow things; that nothing of it ends the examination."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

import ovvis
from ovvis.doctor import children, examination, importing, network, requirements
from ovvis.doctor.computing import BOUNDS, STORED, Difference, compare, compute, judge
from ovvis.doctor.requirements import Need
from ovvis.doctor.rows import Row, as_json, attempt, home_hidden, markdown
from ovvis.outputs.formats.tracks_json import load_tracks

SOURCE = Path(ovvis.__file__).parents[1]


def installed(folder, name, code, version="1.5"):
    """Write a library of one file and what `pip` would write of it."""
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")


def test_libraries_that_crash_hang_and_fail_are_rows(tmp_path, monkeypatch):
    """Each is told by its own row, and those behind it are looked at."""
    for name, code in {
        "fine": "print('noise')",
        "failing": "raise ImportError('no\\nlibGL')",
        "leaving": "import sys; sys.exit(7)",
        "crashing": "import os; os.abort()",
        "hanging": "import time; time.sleep(600)",
        "old": "",
        "last": "",
    }.items():
        installed(tmp_path, name, code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(examination, "SILENCE", 3.0)
    names = ("fine", "failing", "leaving", "crashing", "hanging", "old", "absent", "last")
    wanted = [Need(name, ">=2" if name == "old" else ">=1", "") for name in names]
    rows = {row.name: row for row in examination.libraries(wanted)}
    assert {name: row.state for name, row in rows.items()} == {
        name: "ok" if name in ("fine", "last") else "wrong" for name in names
    }
    assert "ImportError: no libGL" in rows["failing"].found
    assert "SystemExit: 7" in rows["leaving"].found
    assert "crashed (SIGABRT)" in rows["crashing"].found
    assert rows["hanging"].found == "1.5, no answer within 3 s" and "busy" in rows["hanging"].remedy
    assert rows["old"].found == "1.5, needs >=2" and rows["old"].remedy == "pip install 'old>=2'"
    assert rows["absent"].found == "missing"


FAKE_RUNTIME = """
import numpy
__version__ = "9"
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
def get_available_providers(): return [CUDA, CPU]
class InferenceSession:
    def __init__(self, graph, providers): pass
    def get_providers(self): return [CPU]
    def run(self, names, given): return [given["x"] * FACTOR]
"""


def test_onnx_runtime(monkeypatch, tmp_path):
    (row,) = examination.onnx_runtime()
    assert row.part == "devices" and "CPUExecutionProvider computes" in row.found and row.state == "ok"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # two texts of one size in one second
    library = tmp_path / "onnxruntime.py"
    library.write_text("raise ImportError('no libcudart')", encoding="utf-8")
    (row,) = examination.onnx_runtime()
    assert row.state == "wrong" and "cannot be imported: ImportError: no libcudart" in row.found
    library.write_text(f"FACTOR = 2{FAKE_RUNTIME}", encoding="utf-8")
    whole, silent = examination.onnx_runtime()
    assert (whole.state, whole.found) == ("ok", "9: CPUExecutionProvider computes")
    assert (silent.state, silent.found) == ("note", "does not compute: it does not load") and "CUDA" in silent.name
    library.write_text(f"FACTOR = 3{FAKE_RUNTIME}", encoding="utf-8")
    assert [(row.state, row.found) for row in examination.onnx_runtime()][-1] == (
        "wrong",
        "does not compute: 1.5 + 1.5 is 4.5",
    )
    library.write_text(f"FACTOR = 2{FAKE_RUNTIME}".replace("pass", "import os; os.abort()"), encoding="utf-8")
    (row,) = examination.onnx_runtime()
    assert row.state == "wrong" and "crashed (SIGABRT)" in row.found
    monkeypatch.setattr(examination, "find_spec", lambda name: None)
    assert examination.onnx_runtime() == []


def test_the_sum_that_onnx_runtime_is_given():
    helper = pytest.importorskip("onnx.helper")
    x, y = (helper.make_tensor_value_info(name, 1, [1]) for name in "xy")  # 1 is float32
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    assert model.SerializeToString() == importing.SUM


@pytest.mark.parametrize(
    ("driver", "hidden", "built", "state", "todo"),
    [
        ("", None, "13.0", "ok", ""),
        ("580.1", None, "13.0", "note", "a newer driver, or PyTorch for a CUDA before 13.0"),
        ("580.1", None, None, "note", "install PyTorch with CUDA"),
        ("580.1", "", "13.0", "ok", ""),
    ],
)
def test_a_driver_without_a_gpu(monkeypatch, driver, hidden, built, state, todo):
    monkeypatch.setattr(importing, "nvidia_driver", lambda: driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    row = importing._no_gpu(built)
    assert row.state == state and row.remedy.startswith(todo) and bool(row.remedy) == bool(todo)


def test_extras(monkeypatch):
    asked = [
        "numpy>=2.0",
        'nothing-such>=1; extra == "web"',
        'numpy>=99; extra == "pandas"',
        'ovvis[web]; extra == "dev"',
        'ovvis[pandas,web]; extra == "all"',
        "msgspec (>=0.1); extra == 'world'",
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: asked)
    assert [(need.name, need.extra) for need in requirements.needs() if need.extra == "all"] == [
        ("numpy", "all"),
        ("nothing-such", "all"),
    ]
    rows = {row.name.partition(":")[0]: row for row in requirements.extras()}
    assert "dev" not in rows and rows["world"].state == "ok"
    assert (rows["web"].found, rows["web"].remedy) == ("missing: nothing-such", "pip install 'ovvis[web]'")
    assert rows["pandas"].found == f"numpy {metadata.version('numpy')} (needs >=99)"


def test_every_library_of_the_project_is_imported_by_its_name():
    """What the table of other names leaves out would be told as broken."""
    import tomllib
    from importlib.util import find_spec

    project = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = [need for line in project["dependencies"] for need in requirements._needs_of(line, "")]
    assert len(found) == len(project["dependencies"])
    assert set(requirements.PURPOSES) == set(project["optional-dependencies"]) - set(requirements.NOT_FOR_USERS)
    assert [need.name for need in found if need.installed and find_spec(need.module) is None] == []


def test_nothing_is_asked_offline(monkeypatch):
    monkeypatch.setenv("OVVIS_OFFLINE", "1")
    assert "not asked: OVVIS_OFFLINE=1" in [row.found for row in network.network()]


def test_servers_that_do_not_answer(monkeypatch):
    for name in ("OVVIS_OFFLINE", "HF_HUB_OFFLINE", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OVVIS_MIRROR", "http://me:secret@127.0.0.1:9/weights?key=2")
    monkeypatch.setattr("ovvis.models.sources.DRIVE", "http://127.0.0.1:9/uc?id=")
    rows = list(network.network())
    silent = [row for row in rows if "cannot be reached" in row.found]
    assert len(silent) == 3 and {row.state for row in silent} == {"note"}
    assert "secret" not in str(rows) and "key=2" not in str(rows)


def test_a_mirror_that_is_gone(monkeypatch, tmp_path):
    monkeypatch.setenv("OVVIS_OFFLINE", "1")
    monkeypatch.setenv("OVVIS_MIRROR", str(tmp_path / "gone"))
    row = next(row for row in network.network() if row.name == "OVVIS_MIRROR")
    assert row.state == "wrong" and row.found.endswith("no such folder")


def test_the_table():
    rows = [Row("a", "x|y", "one\nline"), Row("a", "long name", "", "wrong", "mend it"), Row("b", "z", "3", "note")]
    assert markdown(rows).splitlines() == [
        "|       | a         | found    | to do |",
        "| ----- | --------- | -------- | ----- |",
        "| ok    | x\\|y      | one line | |",
        "| WRONG | long name |          | mend it |",
        "",
        "|      | b   | found |",
        "| ---- | --- | ----- |",
        "| note | z   | 3 |",
    ]
    told = as_json(rows)
    assert not told["healthy"] and [row["name"] for row in told["parts"]["a"]] == ["x|y", "long name"]


def test_a_look_that_fails_is_a_row():
    def look():
        yield from ()
        raise OSError("gone")

    assert attempt("a", "x", look)[0].found == "cannot be told: OSError: gone"


def test_home_is_not_told(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert home_hidden(tmp_path / "a") == f"~{os.sep}a"
    assert home_hidden(f"{tmp_path}b") == f"{tmp_path}b"


def test_a_child_that_leaves_with_an_error():
    with pytest.raises(children.Broken, match=r"code 1: .*no_such_module"):
        list(children.lines("ovvis.no_such_module", [], 30))


def program(tmp_path, words, **variables):
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{SOURCE}", "OVVIS_OFFLINE": "1"} | variables
    command = [sys.executable, "-m", "ovvis", *words]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


def test_the_command_line_itself_cannot_be_imported(tmp_path):
    """Then other verbs say so in a line, and the doctor works without it."""
    (tmp_path / "typer.py").write_text("raise ImportError('half of it is missing')", encoding="utf-8")
    (tmp_path / "timm.py").write_text("raise RuntimeError('wrong version of something')", encoding="utf-8")
    done = program(tmp_path, ["segment", "a.mp4"])
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "half of it is missing" in done.stderr and "ovvis doctor" in done.stderr
    done = program(tmp_path, ["doctor", "--json"])
    assert done.returncode == 3 and "Traceback" not in done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["parts"]["libraries"]}
    assert "wrong version of something" in rows["timm"]["found"] and rows["torch"]["state"] == "ok"
    assert program(tmp_path, ["doctor", "--wrong"]).returncode == 2


def test_it_computes_what_is_stored():
    """As on every machine; and a difference is told."""
    with load_tracks(STORED) as stored, compute("cpu", "float32", stored.labels) as found:
        assert compare(stored, found, 0.005).within(BOUNDS["float32"])
        owl = next(track for track in found if track.label == "owl")
        found.tracks.remove(owl)
        masks = [None if number == 3 else mask for number, mask in enumerate(owl.masks)]
        found.tracks.append(replace(owl, masks=masks))
        gone = compare(stored, found, 0.005)
        assert gone.overlap == pytest.approx(7 / 8, abs=0.01) and not gone.within(BOUNDS["bfloat16"])
        found.tracks[:] = [track for track in found if track.label != "owl"]
        assert compare(stored, found, 0.005).absent == ("owl",)
        stored.tracks.clear()
        assert "octopus" in compare(stored, found, 0.005).extra


def test_how_a_test_is_told():
    told = {"precision": "float32", "same": True, "difference": str(Difference()), "seconds": 2.0}
    assert judge("cpu", told).state == "ok"
    lost = Difference(absent=("owl",), score=0.2, overlap=0.5)
    row = judge("mps", {**told, "same": lost.within(BOUNDS["float16"]), "difference": str(lost)})
    assert row.state == "wrong" and "not found: owl" in row.found
