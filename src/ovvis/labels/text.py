"""Labels in a line of text: separators, bars between synonyms, quotes, numbers before them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ovvis.errors import InputError

COMMAS, SEMICOLONS, BAR = ",，、،", ";；", "|"
SEPARATORS = (COMMAS, SEMICOLONS, "\t")

# What stands in quotes counts as such if the part ends behind it: 'tis and 24" are no quotes.
_QUOTED = r"""\s*(?:"(?P<a>[^"]*)"|'(?P<b>[^']*)'|“(?P<c>[^“”]*)”|‘(?P<d>[^‘’]*)’|«(?P<e>[^«»]*)»|`(?P<f>[^`]*)`)\s*"""
_NUMBER = re.compile(r"\(?(\d{1,9})(?:\s*[.):]{1,2}(?:\s+|(?=[^\s\d]))|(?P<blank>\s+))(?=\S)")


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it was written."""

    text: str
    quoted: bool = False


Row = tuple[Word, ...]  # a label: its name and its synonyms


def separators(text: str) -> list[str]:
    """Return the kinds of separators that stand outside quotes."""
    signs = {sign for _, sign in _parts(text, "".join(SEPARATORS))}
    return [kind for kind in SEPARATORS if signs & set(kind)]


def rows(text: str, between: str = "") -> list[Row]:
    """Return the labels of a line of text.

    Args:
        text: the line.
        between: the characters that part labels; bars part synonyms.

    Raises:
        InputError: a quote has no end.
    """
    out: list[list[Word]] = [[]]
    for words, sign in _parts(text, between + BAR):
        word = words[0].text
        if not words[0].quoted and word[:1] in ('"', "“", "«"):
            raise InputError(f"label {word[:40]!r}: its quote has no end, or text behind it; close it or remove it")
        out[-1] += words
        if sign and sign != BAR:
            out.append([])
    return [tuple(row) for row in out]


def _parts(text: str, between: str) -> Iterator[tuple[list[Word], str]]:
    """Yield the parts of a text, each with the sign behind it, which is empty behind the last."""
    ends = re.escape(between)
    quoted, plain = re.compile(rf"{_QUOTED}(?=[{ends}]|$)"), re.compile(rf"[^{ends}]*")
    place = 0
    while True:
        if part := quoted.match(text, place):
            inside = next(group for group in part.groups() if group is not None)
            words = [Word(word.strip(), True) for word in inside.split(BAR)]
        else:
            part = plain.match(text, place)
            assert part is not None
            words = [Word(part[0].strip())]
        place = part.end()
        yield words, text[place : place + 1]
        if place == len(text):
            return
        place += 1


def line_rows(line: str) -> list[Row]:
    """Return the labels of a single line, between commas, semicolons or tabs, whichever it holds.

    Raises:
        InputError: it holds several kinds, or is one text in quotes with separators inside.
    """
    kinds = separators(line)
    if len(kinds) > 1:
        signs = " and ".join({COMMAS: "commas", SEMICOLONS: "semicolons"}.get(kind, "tabs") for kind in kinds)
        raise InputError(f"labels {line[:60]!r} hold {signs}: write one kind between labels, and quotes round others")
    found = rows(line.rstrip().removesuffix(kinds[0][0]) if kinds else line, kinds[0] if kinds else "")
    only = found[0][0]
    if len(found) == 1 and only.quoted and any(sign in only.text for sign in COMMAS + SEMICOLONS):
        raise InputError(
            f"labels {only.text[:60]!r} stand in quotes as a whole: remove the quotes; a label that holds a comma "
            "stands in a file (@words.txt), a label a line"
        )
    return found


def unnumbered(labels: Sequence[Row], where: str = "labels") -> list[Row]:
    """Return labels without the numbers before them, as in "1. dog", "0: dog", "1) dog" or "1 dog".

    A number with nothing but a blank behind it counts only where the numbers of all labels rise, so that
    "7 dwarfs" stays.

    Where the numbers differ, they order the labels.

    Raises:
        InputError: some are numbered and some are not, or two have one number.
    """
    found = [_NUMBER.match(row[0].text) if row and not row[0].quoted else None for row in labels]
    marked = [match for match in found if match and match["blank"] is None]
    numbers = [int(match[1]) for match in found if match]
    if len(numbers) != len(labels) or (not marked and (len(labels) == 1 or numbers[0] > 1 or not _rise(numbers))):
        if marked and len(marked) != len(labels):
            plain = next(row for row, match in zip(labels, found, strict=True) if match not in marked)
            raise InputError(
                f"{where}: {marked[0].string[:40]!r} begins with a number, and {plain[0].text[:40]!r} does not; number "
                "all labels or none, or put quotes round those whose number belongs to them"
            )
        return list(labels)
    if 1 < len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise InputError(f"{where}: number {twice} stands before two labels; give each its own, or none")
    bare = [(Word(m.string[m.end() :]), *row[1:]) for m, row in zip(found, labels, strict=True) if m]
    return [row for _, row in sorted(zip(numbers, bare, strict=True), key=lambda pair: pair[0])]


def _rise(numbers: Sequence[int]) -> bool:
    return all(a < b for a, b in pairwise(numbers))
