"""Options of verbs that serve a page: where it is found, and who may come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

PAGE = "Who reaches the page"  # a group of `--help`


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """The options of a verb that serves a page, as typed; `sharing(PageOptions)` gives them to a verb."""

    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="Address to listen at; this machine alone if not given, 0.0.0.0 for its network.",
            rich_help_panel=PAGE,
        ),
    ] = "127.0.0.1"
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            help="What a visitor must know, 16 characters or more; made and printed with other hosts.",
            rich_help_panel=PAGE,
        ),
    ] = None
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            help="A further name that the page is reached by, as behind a proxy; again for more.",
            rich_help_panel=PAGE,
        ),
    ] = None
