"""The table of verbs: what the help says of each is what the verb says of itself."""

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
