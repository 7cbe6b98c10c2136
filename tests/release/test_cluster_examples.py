"""The examples for clusters: their commands are ours as they stand, their files what the schedulers take."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from ovvis.cli.lazy import load
from ovvis.cli.ray_options import with_words

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples/cluster"
SCRIPTS = sorted(EXAMPLES.glob("*.sh"))
SLURM = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": "n[1-4]", "SLURM_JOB_NUM_NODES": "4", "SLURM_GPUS_ON_NODE": "4"}
SLURM |= {"SLURM_CPUS_PER_TASK": "16", "SLURM_ARRAY_TASK_COUNT": "8"}
# What `sbatch` of SLURM 23.11 to 25.05 knows, of what is used here.
DIRECTIVES = {
    "job-name": r"[\w-]+",
    "array": r"1-\d+",
    "nodes": r"\d+",
    "ntasks": r"\d+",
    "ntasks-per-node": r"\d+",
    "cpus-per-task": r"\d+",
    "gpus-per-task": r"\d+",
    "gpus-per-node": r"\d+",
    "mem": r"\d+[KMGT]",
    "time": r"\d+:\d\d:\d\d",
    "requeue": "",
    "output": r"[\w%-]+\.log",
    "signal": r"B:TERM@\d+",
}


def parsed(words: list[str]) -> dict:
    """Return what the command makes of its arguments; it refuses those that it does not know."""
    verb, *arguments = words
    return dict(load(verb).make_context(verb, with_words(arguments)).params)


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """Make programs that write down what they are called with, a line each."""
    for name in ("ovvis", "srun", "ray"):
        stub = tmp_path / name
        stub.write_text(f'#!/bin/bash\nprintf "%s\\n" "{name} $(printf "%q " "$@")" >> {tmp_path}/calls\n')
        stub.chmod(0o755)
    (tmp_path / "scontrol").write_text("#!/bin/bash\nprintf 'n1\\nn2\\nn3\\nn4\\n'\n")
    (tmp_path / "scontrol").chmod(0o755)
    return tmp_path


def called(stubs: Path, script: str, **environment: str) -> list[list[str]]:
    """Return what a script calls of the programs that are stubs."""
    (stubs / "calls").write_text("")
    path = {"PATH": f"{stubs}:{os.environ['PATH']}", "HOME": str(stubs)}
    subprocess.run(["bash", "-c", script], env=path | environment, check=True, timeout=60)
    return [shlex.split(line) for line in (stubs / "calls").read_text().splitlines()]


def shards(calls: list[list[list[str]]]) -> list[str]:
    """Return the shards of a run's processes, after each has been understood."""
    found = [parsed(words[1:]) for [words] in calls]
    assert all(one == found[0] | {"shard": one["shard"]} for one in found)
    return [one["shard"] for one in found]


def manifest(name: str) -> dict:
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


def check_pod(template: dict) -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": template["spec"]}
    validate(pod, "1.33", strict=True)


def test_kubernetes_job(stubs: Path) -> None:
    job = manifest("kubernetes-job.yaml")
    count = job["spec"]["completions"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    [script] = container["args"]
    assert container["command"] == ["bash", "-c"] and container["name"] in str(job["spec"]["podFailurePolicy"])
    calls = [called(stubs, script, JOB_COMPLETION_INDEX=str(index)) for index in range(count)]
    assert shards(calls) == [f"{number}/{count}" for number in range(1, count + 1)]
    pytest.importorskip("kubernetes_validate").validate(job, "1.33", strict=True)
    check_pod(job["spec"]["template"])


def test_ray_job(stubs: Path) -> None:
    job = manifest("kuberay-rayjob.yaml")
    [[_, *words]] = called(stubs, job["spec"]["entrypoint"])
    asked = parsed(words)
    cluster = job["spec"]["rayClusterSpec"]
    [group] = cluster["workerGroupSpecs"]
    [container] = group["template"]["spec"]["containers"]
    limits = container["resources"]["limits"]
    assert (asked["ray"], asked["output"]) == ("auto", "s3://results/films")
    assert asked["ray_cpus"] <= int(limits["cpu"]) and asked["ray_gpus"] == int(limits["nvidia.com/gpu"])
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"  # it hands out and does nothing else
    for pod in (group["template"], cluster["headGroupSpec"]["template"]):
        check_pod(pod)
    locked = re.search(r"^ray==([\d.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert locked and cluster["rayVersion"] == locked[1]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_directives_of_slurm(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    places = [number for number, line in enumerate(lines) if line.startswith("#SBATCH")]
    first = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    assert len(places) > 5 and max(places) < first  # behind the first command sbatch reads no more
    for line in (lines[number] for number in places):
        found = re.fullmatch(r"#SBATCH --([a-z-]+)(?:=(\S+))?", line)
        assert found and re.fullmatch(DIRECTIVES[found[1]], found[2] or ""), line
    subprocess.run(["bash", "-n", path], check=True)


def test_an_array_of_slurm(stubs: Path) -> None:
    script = (EXAMPLES / "slurm-shards.sh").read_text(encoding="utf-8")
    assert "--array=1-8" in script
    calls = [called(stubs, script, **SLURM, SLURM_ARRAY_TASK_ID=str(number)) for number in range(1, 9)]
    assert shards(calls) == [f"{number}/8" for number in range(1, 9)]


def test_ray_on_slurm(stubs: Path) -> None:
    script = (EXAMPLES / "slurm-ray.sh").read_text(encoding="utf-8")
    calls = called(stubs, f"{script}\nwait", **SLURM)
    [[_, *words]] = [call for call in calls if call[0] == "ovvis"]
    port = 20000 + 4711 % 20000
    assert parsed(words)["ray"] == f"n1:{port}"
    head, others = sorted((call for call in calls if call[0] == "srun"), key=lambda call: "--head" not in call)
    assert {"--nodelist=n1", "--head", str(port), "16", "4"} <= set(head)
    assert {"--nodes=3", "--exclude=n1", f"n1:{port}", "16", "4"} <= set(others) and "--temp-dir" not in others


def test_commands_of_the_page() -> None:
    page = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    lines = [line.split("#")[0] for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("ovvis ")]
    assert len(commands) > 4
    for words in commands:
        parsed(words)
