"""`ovvis doctor`: what is here, what is missing, and whether this machine computes what others do."""

from __future__ import annotations

from typing import Annotated

import typer

from ovvis.doctor.report import run


def doctor(
    test: Annotated[
        bool,
        typer.Option(
            "--test", help="Run the small model on every device, too, and compare with a stored result: a minute."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Examine this installation and machine: a table to paste where you ask for help.

    Exit code 3 where something is wrong. Home folders, passwords and tokens are left out.
    """
    code = run(test=test, json_wanted=as_json)
    if code:
        raise typer.Exit(code)
