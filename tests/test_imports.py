import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ovvis

ROOT = Path(ovvis.__file__).parent
LEVELS = {
    "errors": 0,
    "version": 0,
    "paths": 0,
    "file_kind": 0,
    "cores": 0,
    "freed_memory": 0,
    "hardware": 0,
    "held_memory": 0,
    "plain": 0,
    "progress": 0,
    "fields": 1,
    "masks": 1,
    "borders": 1,
    "pixels": 1,
    "vocabulary": 1,
    "labels": 1,
    "yaml_file": 1,
    "files": 1,
    "bucket": 1,
    "places": 1,
    "door": 1,
    "structures": 1,
    "models": 2,
    "tracking": 2,
    "evaluation": 2,
    "sources": 2,
    "outputs": 2,
    "world": 2,
    "datasets": 3,
    "inference": 3,
    "viewer": 3,
    "detections": 4,
    "predictions": 4,
    "training": 4,
    "report": 4,
    "benchmark": 4,
    "results": 4,
    "comparing": 5,
    "reproduction": 5,
    "web": 5,
    "doctor": 5,
    "cluster": 5,
    "cli": 6,
    "__main__": 7,
}
WITHIN_A_LEVEL = {
    ("held_memory", "freed_memory"),  # a mark begins with what is free given back
    ("structures", "masks"),
    ("borders", "masks"),
    ("vocabulary", "labels"),
    ("labels", "yaml_file"),
    ("places", "bucket"),
    ("places", "files"),
    ("bucket", "files"),  # what is fetched goes with its process
    ("results", "report"),  # tables of a page
}
# Rooms that may use less than what lies below them.
ONLY = {
    "tracking": {"structures", "masks"},
    "sources": {"structures", "errors", "paths", "file_kind", "bucket"},
    "outputs": {"structures", "fields", "masks", "errors", "paths", "files", "plain", "yaml_file"},
    "evaluation": {"structures", "fields", "masks", "borders", "errors", "plain"},
    "world": {"paths", "masks", "errors", "files"},
    "viewer": {"structures", "masks", "outputs", "sources", "files", "door", "errors", "paths", "plain"},
}
STRANGERS = [("training", "inference"), ("datasets", "inference"), ("reproduction", "training")]
FAMILIES = [("models.clip_vis", "models.ovformer")]
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def module(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported(path):
    """Return the modules of ovvis that a file imports, anywhere in it."""
    out = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        out |= {name.removeprefix("ovvis.") for name in names if name.split(".")[0] == "ovvis"}
    return out


def room(name):
    return name.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=module)
def test_imports_point_down(path):
    own = room(module(path))
    assert own in LEVELS, "give the new room a level"
    for name in imported(path):
        other = room(name)
        if other == own:
            continue
        assert other in LEVELS, f"{name}: import from the room, not from the package's face"
        assert LEVELS[other] < LEVELS[own] or (own, other) in WITHIN_A_LEVEL, name
        assert other in ONLY.get(own, LEVELS), name


@pytest.mark.parametrize(("one", "other"), [*STRANGERS, *FAMILIES])
def test_strangers(one, other):
    for path in FILES:
        for a, b in ((one, other), (other, one)):
            if f"{module(path)}.".startswith(f"{a}."):
                assert not any(f"{name}.".startswith(f"{b}.") for name in imported(path)), module(path)


def test_the_walk_sees_imports():
    assert "structures.Rle" not in imported(ROOT / "tracking" / "tracker.py")
    assert "tracking.association.vote" in imported(ROOT / "tracking" / "tracker.py")
    assert len(FILES) > 30


def test_importing_has_no_effect(tmp_path):
    """Import everything in a new process: no file, no output, no change of torch's switches."""
    program = (
        "import os, sys, torch\n"
        "def state():\n"
        "    ours = {k: v for k, v in os.environ.items() if 'OVVIS' in k}\n"
        "    return torch.get_num_threads(), torch.is_grad_enabled(), torch.get_rng_state().tolist(), ours\n"
        "before = state()\n"
        "for name in ['ovvis', *('ovvis.' + name for name in sys.argv[1:])]:\n"
        "    __import__(name)\n"
        "assert state() == before\n"
    )
    names = [module(path) for path in FILES if path.name not in ("__init__.py", "__main__.py")]
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "OVVIS_CACHE": str(home / "ovvis"),
        "PYTHONPATH": str(ROOT.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", program, *names],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    left = [p for p in tmp_path.rglob("*") if "ovvis" in p.name]
    assert left == []
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


# Programs that read datasets or score results, and the command's help, start without the networks' libraries.
LIGHT = ["ovvis", "ovvis.cli.main", "ovvis.structures", "ovvis.datasets.annotations", "ovvis.evaluation.evaluator"]


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_need_no_networks(name):
    program = f"import {name}, sys; print(sorted({{'torch', 'open_clip', 'timm', 'av'}} & set(sys.modules)))"
    environment = os.environ | {"PYTHONPATH": str(ROOT.parent)}
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_face_holds_what_it_names():
    assert set(ovvis._ROOMS) | {"__version__"} == set(ovvis.__all__)
    assert all(getattr(ovvis, name) is not None for name in ovvis.__all__)
    assert set(ovvis.__all__) <= set(dir(ovvis))
    with pytest.raises(AttributeError, match="no attribute 'load_modle'"):
        ovvis.load_modle  # noqa: B018
