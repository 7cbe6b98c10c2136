"""The page itself: its template, style and script put together, and what it is told put in without becoming mark-up."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from ovvis.plain import visible

SCRIPTS = (
    "codes.js",
    "pieces.js",
    "clock.js",
    "painter.js",
    "tags.js",
    "exports.js",
    "rows.js",
    "panels.js",
    "viewer.js",
)
"""In the order of their use; together they are one script."""


def asset(name: str) -> str:
    """Return the text of one of the page's files."""
    return files("ovvis.viewer").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def script() -> str:
    """Return the page's whole script."""
    return '"use strict";\n(() => {\n' + "".join(map(asset, SCRIPTS)) + "})();\n"


@cache
def style() -> str:
    """Return the page's whole style."""
    return asset("tokens.css") + asset("rows.css") + asset("viewer.css")


def escape(text: str) -> str:
    """Return text for a page: no mark-up, and every character of it shows."""
    return html.escape(visible(text))


def page_html(head: dict[str, Any], pieces: str | None = None, media: str | None = None, parts: bool = False) -> str:
    """Return the page: whole for a server, or the beginning of a file that carries its masks.

    Args:
        head: what `Pieces.head` gave, with `media` as `Media.facts` gave it or None.
        pieces: the address of a piece with `{n}` for its number, such as "pieces/{n}"; None if they stand in the page.
        media: the address of the video; None if it stands in the page, or there is none.
        parts: the page goes on: `part` follows for each piece and each bit of the video, and then `END`.
    """
    told = head | {"places": {"pieces": pieces, "media": media}}
    code = script()
    fills = {
        "TITLE": escape(head["source"]),
        "SCRIPT_HASH": digest(code),
        "STYLE": style(),
        "ROW": asset("row.html"),
        "HEAD": as_script(told),
        "SCRIPT": code,
    }
    # In one pass: what is put in is not searched for marks.
    text = re.sub(r"%([A-Z_]+)%", lambda mark: fills[mark[1]], asset("viewer.html"))
    return text if parts else text + END


def digest(code: str) -> str:
    """Return the hash by which a page's policy knows its one script."""
    return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()


END = "</body>\n</html>\n"


def part(kind: str, number: int, content: bytes) -> str:
    """Return a piece of masks ("piece") or a bit of the video ("media") as it stands in a page."""
    text = base64.b64encode(content).decode("ascii")
    return f'<script type="application/octet-stream" id="{kind}-{number}">{text}</script>\n'


def as_script(value: Any) -> str:
    r"""Return JSON that can stand within a script element: no text in it can end the element.

    >>> as_script("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(value, allow_nan=False, default=str, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
