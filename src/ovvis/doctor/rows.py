"""What the examination says: rows, as a table to paste and as JSON. The standard library alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at.

    Attributes:
        part: the group that it belongs to.
        name: what was looked at.
        found: what is there.
        state: "wrong" where ovvis, or a part of it that everybody uses, does not work; "note" where something that
            some people want is absent.
        remedy: what to do; empty where there is nothing to be done.
    """

    part: str
    name: str
    found: str
    state: State = "ok"
    remedy: str = ""


def attempt(part: str, name: str, look: Callable[[], Iterable[Row]]) -> list[Row]:
    """Return what a look gives; a row that tells the error, where it fails."""
    try:
        return list(look())
    except Exception as error:  # whatever is broken here, the rest is told
        return [Row(part, name, f"cannot be told: {one_line(error)}", "wrong", "install ovvis again")]


def one_line(error: BaseException) -> str:
    r"""Return an error as a short line.

    >>> one_line(ValueError("too\nlong"))
    'ValueError: too long'
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def markdown(rows: Sequence[Row]) -> str:
    """Return a table that reads well in a terminal, and that issues and chats show as one."""
    lines: list[str] = []
    for part in dict.fromkeys(row.part for row in rows):
        cells = [(_mark(row), row.name, row.found, row.remedy) for row in rows if row.part == part]
        cells = [("", part, "found", "to do"), *cells]
        told = 4 if any(cell[3] for cell in cells[1:]) else 3
        texts = [[_cell(text) for text in cell[:told]] for cell in cells]
        # The last column's width is nobody's matter, and one long value would push the column behind it away.
        wide = [max(3, min(max(len(text) for text in column), 60)) for column in zip(*texts, strict=True)][:-1]
        for number, row in enumerate(texts):
            padded = [text.ljust(width) for text, width in zip(row, [*wide, 0], strict=True)]
            lines.append(f"| {' | '.join(padded).rstrip()} |")
            if number == 0:
                lines.append(f"| {' | '.join('-' * width for width in [*wide, 5])} |")
        lines.append("")
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the rows as JSON's values: `healthy`, and `parts` of rows."""
    parts: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        parts.setdefault(row.part, []).append({key: value for key, value in asdict(row).items() if key != "part"})
    return {"healthy": healthy(rows), "parts": parts}


def healthy(rows: Iterable[Row]) -> bool:
    """Return whether nothing is wrong."""
    return all(row.state != "wrong" for row in rows)


def home_hidden(path: Path | str) -> str:
    """Return a path without the name of the home folder, which is mostly a person's: reports are pasted in public."""
    text, home = str(path), str(Path.home())
    return (
        f"~{text[len(home) :]}"
        if len(home) > 1 and (text == home or text.startswith((f"{home}/", f"{home}\\")))
        else text
    )


def without_password(address: str) -> str:
    """Return an address without its user's name, password and what follows a question mark.

    >>> without_password("https://me:secret@example.org:8443/ovvis?token=1")
    'https://example.org:8443/ovvis'
    """
    if "://" not in address:
        return address
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def size(count: float) -> str:
    """Return bytes as text.

    >>> size(5_400_000), size(12 * 2**30)
    ('5 MiB', '12.0 GiB')
    """
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"


def _mark(row: Row) -> str:
    return {"ok": "ok", "note": "note", "wrong": "WRONG"}[row.state]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split()) or " "
