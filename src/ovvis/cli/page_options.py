"""Options of verbs that serve a page: where it is found, and who may come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ovvis.cli.options import grouped

_option = grouped("Who reaches the page")


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """The options of a verb that serves a page, as typed; `sharing(PageOptions)` gives them to a verb."""

    host: Annotated[
        str, _option(help="Address to listen at; this machine alone if not given, 0.0.0.0 for its network.")
    ] = "127.0.0.1"
    token: Annotated[
        str | None, _option(help="What a visitor must know, 16 characters or more; made and printed with other hosts.")
    ] = None
    name: Annotated[
        list[str] | None, _option(help="A further name that the page is reached by, as behind a proxy; again for more.")
    ] = None
