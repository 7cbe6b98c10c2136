"""The table of verbs: what the help says of each is what the verb says of itself."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from ovvis.cli.lazy import load
from ovvis.cli.main import VERBS, app


@pytest.mark.parametrize("name", VERBS)
def test_line_of_help(name):
    command = load(name)
    assert command.help.partition("\n")[0] == VERBS[name]
    shown = CliRunner().invoke(app, [name, "-h"])
    assert shown.exit_code == 0 and f"{name} [OPTIONS]" in shown.output


def test_help_lists_the_verbs():
    shown = CliRunner().invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert all(name in shown.output for name in VERBS)


def test_a_misspelt_verb_is_guessed():
    assert "segment" in CliRunner().invoke(app, ["segmnt"]).output


LIGHT = """
import os, sys
from ovvis.cli.main import run
for line in sys.stdin:  # each in a fork of its own, so that Python starts once
    if os.fork() == 0:
        sys.argv = ["ovvis", *line.split()]
        sys.stdout = open(os.devnull, "w")
        try:
            run()
        except SystemExit as leave:
            os.write(1, f"{leave.code} {'torch' in sys.modules} {line}".encode())
        os._exit(0)
    os.wait()
"""


def test_help_and_wrong_arguments_need_no_pytorch(tmp_path):
    """It takes seconds to import: nobody waits for it to be told of a typing error."""
    cases = {f"{name} --help": 0 for name in VERBS if name not in ("train", "reproduce")} | {
        "models": 0,
        "datasets": 0,
        "segment": 2,
        "segment nowhere.mp4 --labels dog": 2,
        "segment nowhere.mp4 --labels dog --model clip-vis-r5": 2,
        "segment nowhere.mp4 --labels dog --batch many": 2,
        "segment nowhere.mp4 --labels dog --paint-above 2": 2,
        "predict nowhere.json --output out": 2,
        "predict lvvis_val --output out --model none": 2,
        "evaluate nowhere.json results.json": 2,
        "demo --output": 2,
    }
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], input="\n".join(cases), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n") == [f"{code} False {words}" for words, code in cases.items()]
