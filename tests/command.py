"""The command as a person calls it, in this process."""

import sys

import pytest

from ovvis.cli import main as cli


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run `ovvis` with arguments, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["ovvis", *map(str, arguments)])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    return int(leave.value.code or 0)
