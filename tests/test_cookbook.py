"""Every block of the cookbook runs, in the page's order, in one folder with a small video and the packaged model."""

import importlib.util
import re
import shlex
import subprocess
import textwrap
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from typer.testing import CliRunner

from ovvis.cli.main import app
from ovvis.errors import OvvisError
from ovvis.outputs.render import VideoWriter

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = BLOCK.findall((DOCS / "cookbook.md").read_text(encoding="utf-8"))
# What this machine has not, and what stands in for it.
STANDS_IN = {
    "camera:0": "dog.mp4 --max-frames 2 --no-view --output seen",
    "rtsp://192.168.1.20/stream": "dog.mp4 --max-frames 2 --no-view",
    "--device cuda --precision bfloat16": "--device cpu --precision bfloat16",
    # In the small video nothing is sure.
    "--to coco --output dog-coco": "--to coco --min-score 0 --output dog-coco",
    "ovvis compare ovvis-dog adjacent": "ovvis compare ovvis-dog adjacent --min-score 0",
}
# Needs a daemon; never ends; ask for published weights. The page, fetching and mirrors have tests of their own.
NOT_RUN = (
    "docker",
    "ovvis serve",
    "ovvis models fetch clip-vis-r50",
    'ovvis segment dog.mp4 --labels "dog" --model clip-vis-r50',
)


def write_video(path):
    path.parent.mkdir(exist_ok=True)
    with VideoWriter(path, 12, (48, 64)) as video:
        for i in range(4):
            picture = np.full((48, 64, 3), 60, dtype=np.uint8)
            picture[10:40, 8 * i : 8 * i + 24] = (220, 60, 40)
            video.write(picture)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OVVIS_OFFLINE", "1")
    monkeypatch.setenv("OVVIS_CACHE", str(tmp_path / "cache"))
    for name in ("dog.mp4", "videos/one.mp4", "videos/two.mp4"):
        write_video(tmp_path / name)
    return tmp_path


def commands(code):
    return [line for line in code.replace("\\\n", " ").splitlines() if line.strip()]


def run(line):
    for asked, instead in STANDS_IN.items():
        line = line.replace(asked, instead)
    done = CliRunner().invoke(app, shlex.split(line)[1:])
    if "fiftyone" in line and importlib.util.find_spec("fiftyone") is None:
        assert isinstance(done.exception, OvvisError) and "pip install" in str(done.exception)
        return
    assert done.exception is None, (line, done.output, done.exception)


@pytest.mark.slow
def test_every_block_runs(home):
    names = {}
    for kind, code in BLOCKS:
        if kind == "python":
            exec(compile(textwrap.dedent(code), "cookbook.md", "exec"), names)
            continue
        for line in commands(code):
            if line.startswith(NOT_RUN):
                subprocess.run(["sh", "-nc", line], check=True)
            else:
                run(line)
    names["result"].close()


def test_every_wish_is_there():
    """The page keeps what people asked for, and names each verb that it needs."""
    page = (DOCS / "cookbook.md").read_text(encoding="utf-8").lower()
    wishes = "masks|compare|count|crop|filter|camera|many videos|notebook|supervision|fiftyone|gpu|docker"
    headings = " ".join(re.findall(r"^## (.*)$", page, re.MULTILINE))
    assert [wish for wish in wishes.split("|") if wish not in headings] == []


@pytest.mark.slow
def test_the_notebook_runs(home):
    book = nbformat.read(DOCS / "notebook.ipynb", 4)
    NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(home)}}).execute()
    shown = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("text/html" in output.get("data", {}) for output in shown)
    assert any("image/png" in output.get("data", {}) for output in shown)


def test_what_users_expect_links_to_what_runs():
    """Each row of ours leads to a page, those of the cookbook to a heading that is there; a licence runs nothing."""
    rows = re.findall(r"^\| (?!wish|---)([^|]+) \| ([^|]+) \|", (DOCS / "expectations.md").read_text(), re.MULTILINE)
    assert len(rows) > 20
    assert [wish for wish, ours in rows if "](" not in ours] == []
    page = (DOCS / "cookbook.md").read_text(encoding="utf-8")
    headings = [re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^## (.*)$", page, re.M)]
    linked = re.findall(r"cookbook\.md#([a-z0-9-]+)", "".join(ours for _, ours in rows))
    assert len(linked) > 18 and set(linked) <= set(headings)
