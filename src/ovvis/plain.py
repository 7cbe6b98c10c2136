"""Text for people: what strangers wrote made harmless, for a terminal, a page or a spreadsheet; names told apart."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import count
from typing import Any

# What a terminal obeys instead of showing it: control characters but line breaks and tabs, halves of characters (from
# file names that are no text), other line breaks, the marks that turn the direction of text, what shows nothing, tags.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    "\U000e0000-\U000e007f]"
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four are wide


def visible(text: str) -> str:
    r"""Return a text whose every character shows: others stand as Python writes them.

    >>> visible("dog\x1b[31m \u202egod")
    'dog\\x1b[31m \\u202egod'
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def told_apart(name: str, taken: Collection[str], form: str = "{} ({})") -> str:
    """Return a name that no other has: itself, or with the first number from 2 on that makes it so.

    >>> told_apart("dog", ["dog", "dog (2)"]), told_apart("cat", ["dog"])
    ('dog (3)', 'cat')
    """
    numbers = count(2)
    free = name
    while free in taken:
        free = form.format(name, next(numbers))
    return free


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    r"""Return a table of Markdown.

    Args:
        head: the columns' names.
        rows: of cells.
        words: how many columns, the first ones, hold words; the others hold numbers.

    >>> markdown_table(["name", "AP"], [["a|b", "12.3"]]).splitlines()
    ['| name | AP |', '| --- | ---: |', '| a\\|b | 12.3 |']
    """
    ruler = ["---" if i < words else "---:" for i in range(len(head))]
    texts = ([text.replace("|", "\\|") for text in cells] for cells in (head, ruler, *rows))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in texts)


def cell(value: Any) -> Any:
    """Return a value for a cell of a CSV file: a text that a spreadsheet would compute gets an apostrophe before it.

    >>> [cell(value) for value in ("=1+1", "dog", -0.5, "-0.5", "-dog")]
    ["'=1+1", 'dog', -0.5, '-0.5', "'-dog"]
    """
    if not isinstance(value, str) or not value.lstrip(" ").startswith(_FORMULA):
        return value
    return value if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(inf|nan)", value) else f"'{value}"
