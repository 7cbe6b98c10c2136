"""What is said of a release in several files is the same, and its workflows and image are what they should be."""

import importlib.util
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import ovvis
from ovvis.cli.lazy import load

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SPEC = importlib.util.spec_from_file_location("image_steps", ROOT / "tools" / "image_steps.py")
IMAGE = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = IMAGE  # dataclasses look there
SPEC.loader.exec_module(IMAGE)


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_version():
    comparison = tomllib.loads(text("packages/comparison/pyproject.toml"))["project"]
    assert comparison["version"] == yaml.safe_load(text("CITATION.cff"))["version"] == ovvis.__version__
    assert f"ovvis-comparison>={ovvis.__version__.rpartition('.')[0]}" in PROJECT["optional-dependencies"]["comparison"]
    assert re.search(rf"^## {re.escape(ovvis.__version__)} \(", text("CHANGELOG.md"), re.MULTILINE)


def test_one_repository():
    """The address stands in many files: whoever moves the project changes all of them."""
    files = [*ROOT.glob("*.md"), *ROOT.glob("*.cff"), ROOT / "Dockerfile", ROOT / "pyproject.toml"]
    files += [path for folder in (".github", "packages") for path in (ROOT / folder).rglob("*") if path.is_file()]
    found = {}
    for path in files:
        if path.suffix in (".md", ".cff", ".yml", ".toml") or path.name == "Dockerfile":
            for address in re.findall(r"https://github\.com/[\w.-]+/ovvis\b", path.read_text(encoding="utf-8")):
                found.setdefault(address, path)
    assert set(found) == {REPOSITORY}, found


def test_the_lock_names_the_public_registry_and_has_every_hash():
    lock = tomllib.loads(text("uv.lock"))
    outside = [one for one in lock["package"] if "registry" in one["source"]]
    assert {one["source"]["registry"] for one in outside} == {"https://pypi.org/simple"}
    files = [file for one in outside for file in (*one.get("wheels", ()), *([one["sdist"]] if "sdist" in one else ()))]
    assert all(file["url"].startswith("https://files.pythonhosted.org/packages/") for file in files)
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"]) for file in files)
    locked = {one["name"] for one in outside}
    lines = [*PROJECT["dependencies"], *itertools.chain(*PROJECT["optional-dependencies"].values())]
    asked = {re.match(r"[\w.-]+", line)[0].replace("_", "-").lower() for line in lines}
    assert asked - {"ovvis", "ovvis-comparison"} <= locked


def test_make_installs_what_the_lock_names():
    """`make lock` writes both files: one of them alone is a mistake."""
    locked = {(one["name"], one["version"]) for one in tomllib.loads(text("uv.lock"))["package"] if "version" in one}
    pinned = [re.match(r"([\w.-]+)==(\S+)", line).groups() for line in text("constraints.txt").splitlines()]
    assert set(pinned) <= locked and {"msgspec", "pytest", "ruff", "mypy"} <= {name for name, _ in pinned}
    for line in PROJECT["optional-dependencies"]["dev"]:
        if exact := re.match(r"([\w.-]+)==(.+)", line):
            assert exact.groups() in pinned


@pytest.mark.skipif(shutil.which("make") is None or os.name == "nt", reason="no make")
def test_make_does_not_leave_a_named_python_aside(tmp_path):
    """An environment that is there has its Python; another that is asked for is an error, not forgotten."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    told = []
    for minor in (sys.version_info.minor, 5):
        python.write_text(f"#!/bin/sh\necho Python 3.{minor}\n", encoding="utf-8")
        python.chmod(0o755)
        command = ["make", "asked", f"PYTHON={sys.executable}", f"VENV={tmp_path}"]
        told.append(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False))
    assert told[0].returncode == 0 and told[1].returncode == 2
    assert f"{tmp_path} has Python 3.5" in told[1].stdout and "VENV=" in told[1].stdout
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    unasked = subprocess.run(["make", "asked", f"VENV={tmp_path}"], cwd=ROOT, env=environment, check=False)
    assert unasked.returncode == 0


def test_the_page_on_installing_names_every_extra():
    table = text("docs/install.md").partition("## Extras")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_trust_little(path):
    """Nothing is permitted that a job does not ask for, and every action is pinned to a commit."""
    flow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert flow["permissions"] == {}
    for name, job in flow["jobs"].items():
        assert job["timeout-minutes"] and "permissions" in job, name
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_who_publishes_does_nothing_else():
    job = yaml.safe_load(text(".github/workflows/release.yml"))["jobs"]["publish"]
    assert job["permissions"] == {"id-token": "write"} and job["environment"]["name"] == "pypi"
    assert [step for step in job["steps"] if "run" in step] == []
    assert job["steps"][-1]["with"] == {"attestations": True}


def test_issue_templates_ask_for_the_doctor():
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name == "config.yml":
            continue
        asked = {part["id"]: part for part in form["body"]}
        assert "ovvis doctor" in json.dumps(asked["doctor"])
        assert path.name != "bug.yml" or asked["doctor"]["validations"]["required"]


def steps():
    """Return the Dockerfile's instructions."""
    return IMAGE.steps(text("Dockerfile"))


def test_steps_of_a_dockerfile():
    assert IMAGE.steps("FROM a AS b\n# no\nRUN one \\\n    && two\n\nUSER 1\n") == [
        ("FROM", "a AS b"),
        ("RUN", "one && two"),
        ("USER", "1"),
    ]


def test_the_image_runs_the_page_as_nobody_special():
    last = list(steps())[[step[0] for step in steps()].index("FROM", 1) :]
    said = dict(last)
    assert said["USER"] == "1000:1000" and [step[0] for step in last].index("USER") > [s[0] for s in last].index("COPY")
    verb, *arguments = json.loads(said["CMD"])
    assert json.loads(said["ENTRYPOINT"]) == ["ovvis"] and verb == "serve"
    command = load(verb)
    context = command.make_context(verb, list(arguments))  # a mistake is an error here
    assert context.params["host"] == "0.0.0.0" and str(context.params["port"]) == said["EXPOSE"]
    compile(json.loads(said["HEALTHCHECK"].partition("CMD ")[2])[2], "HEALTHCHECK", "exec")


def test_the_image_copies_what_the_build_needs():
    """And .dockerignore lets it through; what it installs first has the lower bounds that the project states."""
    through = {line[1:] for line in text(".dockerignore").splitlines() if line.startswith("!")}
    copied = {
        name for step in steps() if step[0] == "COPY" and "--from" not in step[1] for name in step[1].split()[:-1]
    }
    assert copied == through and all((ROOT / name).exists() for name in copied)
    needed = {*PROJECT["license-files"], "README.md", "pyproject.toml"}
    assert needed <= copied
    (torch,) = (step[1] for step in steps() if step[0] == "RUN" and "$TORCH" in step[1])
    assert {word for word in shlex.split(torch) if ">=" in word} <= set(PROJECT["dependencies"])


@pytest.mark.parametrize("command", ["zizmor --offline --quiet .github", "hadolint Dockerfile", "actionlint"])
def test_linters(command):
    there = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if shutil.which(command.split()[0], path=there) is None:
        pytest.skip(f"no {command.split()[0]}")
    done = subprocess.run(
        shlex.split(command), cwd=ROOT, env=os.environ | {"PATH": there}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
