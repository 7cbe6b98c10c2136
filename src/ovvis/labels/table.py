"""Labels in lines of text: one a line, numbered, after bullets, or in a column of a table."""

from __future__ import annotations

import csv
import re

from ovvis.errors import InputError
from ovvis.labels.label import Label, check_count
from ovvis.labels.text import Row, Word, line_rows, rows, separators
from ovvis.labels.tree import as_labels, read_tree

HEADINGS = ("name", "names", "label", "labels", "class", "classes", "category", "categories")
_HEADINGS = (*HEADINGS, "classname", "labelname", "categoryname", "displayname")

_BULLET = re.compile(r"[-*+•‣·–—]\s+(?=\S)")
_FIELD = re.compile(r"""(?:-\s|[\w .'"-]{1,60}:(?:\s|$))""")  # YAML's `names:` and `- dog`
_SYNSET = re.compile(r"n\d{8}\s+(?=\S)")  # ImageNet's lists: a number of WordNet, then synonyms between commas
# A cell that is no word: a number, a code of WordNet's or Freebase's, a colour, nothing.
_CODE = re.compile(r"[-+]?\d+(?:\.\d+)?%?|\(?\d+[.):]{1,2}|n\d{8}|/[mgt]/\w+|#[0-9a-fA-F]{6}|")
_PROGRAM = re.compile(r"(?:[\w.]+\s*=\s*\S|\w+\s*\{$|(?:def|class)\s+\w+\s*[(:]|<[\w/])")


def read_lines(text: str, where: str, table: bool = False) -> list[Label]:
    """Return the labels of lines of text. `#` begins a comment; bars part synonyms; quotes keep a comma.

    Args:
        text: the lines.
        where: what they are; begins each error's line.
        table: a `.csv` or `.tsv`, in which `#` begins a comment only at a line's start.

    Raises:
        InputError: there are none; or the lines hold columns, and none of them is clearly the labels'.
    """
    check_count(text.count("\n") // 4, where)  # comments and empty lines may stand between
    numbered = [(i, _bare(line, table)) for i, line in enumerate(text.splitlines(), 1)]
    lines = [(i, line) for i, line in numbered if line.strip()]
    if not lines:
        raise InputError(f"{where} holds no label; write one a line")
    check_count(len(lines), where)
    check_count(max(sum(map(line.count, ",;\t|")) for _, line in lines), where)
    try:
        return _read(lines, text, where, table)
    except InputError as error:
        raise (error if str(error).startswith(where) else InputError(f"{where}: {error}")) from error


def _read(lines: list[tuple[int, str]], text: str, where: str, table: bool) -> list[Label]:
    plain = [line.strip() for _, line in lines]
    start = int(re.fullmatch(r"sep=.", plain[0]) is not None)  # Excel's own first line
    program = next((i for i, line in lines[start:] if _PROGRAM.match(line.strip())), None)
    if program is not None:
        raise InputError(
            f"{where}, line {program}: reads like a program or settings; write a label a line, or a JSON list"
        )
    # As YAML has it, unless numbers stand before the colons.
    if plain[0][0] in "[{" or (
        any(map(_FIELD.match, plain)) and not all(re.match(r"\(?\d+\s*[.):]", p) for p in plain)
    ):
        if all(map(_BULLET.match, plain)):
            return as_labels([row for line in plain for row in rows(line[1:].strip())], where)
        return read_tree(text, where)
    if all(map(_BULLET.match, plain)):
        plain = [line[1:].strip() for line in plain]
    if all(map(_SYNSET.match, plain)):
        synsets = [rows(_SYNSET.sub("", line, count=1), ",") for line in plain]
        return as_labels([tuple(word for row in found for word in row) for found in synsets], where)
    if len(plain) == 1:
        if table and any(_heading(row[0].text) is not None for row in line_rows(plain[0])):
            raise InputError(f"{where} holds a heading and no label; write one a line below it")
        return as_labels(line_rows(plain[0]), where)
    wrapped = all(line[-1] in ",;" for line in plain[:-1])
    if wrapped and any(separators(line[:-1]) for line in plain[:-1]):  # a list that goes on in the next line
        return as_labels(line_rows(" ".join(plain)), where)
    if wrapped:
        plain = [line.rstrip(",; ") for line in plain]
    if not any(separators(line) for line in (plain if table else [p.removesuffix(",") for p in plain])):
        found = [rows(line if table else line.removesuffix(","))[0] for line in plain]
        headed = len(found) > 1 and not found[0][0].quoted and _heading(found[0][0].text) is not None
        return as_labels(found[1:] if headed else found, where)
    return as_labels(_column(lines[start:], where), where)


def _bare(line: str, table: bool) -> str:
    """Return a line without its comment."""
    if line.lstrip().startswith("#"):
        return ""
    if table or "#" not in line:
        return line
    # A quote keeps the sign, as it keeps a comma.
    quoted = re.match(r"""\s*("[^"]*"|'[^']*')""", line)
    start = quoted.end() if quoted else 0
    return line[:start] + line[start:].split("#", 1)[0]


def _column(lines: list[tuple[int, str]], where: str) -> list[Row]:
    """Return the labels of a table: of the column with a known heading, else of the only one that holds words."""
    cells = _cells(lines, where)
    numbers, first = [i for i, _ in lines], cells[0]
    columns = range(len(first))
    words = [k for k in columns if not all(_CODE.fullmatch(row[k]) for row in cells[1:])]
    ranked = {k: _heading(first[k]) for k in words}
    known = sorted((rank, k) for k, rank in ranked.items() if rank is not None)
    # A row of words above a column of numbers is one of headings, whatever they say.
    headed = bool(known) or any(not _CODE.fullmatch(first[k]) for k in columns if k not in words)
    if known:
        chosen = known[0][1]
    elif len(words) == 1:
        chosen = words[0]
    else:
        what = f"{len(words) or 'no'} columns of words" if len(words) != 1 else "one"
        raise InputError(
            f"{where} holds {what} and no heading that says which are the labels; write a label a line (synonyms "
            f"between bars, quotes round a label with a comma), or a heading such as {HEADINGS[0]!r}"
        )
    out = []
    for number, row in zip(numbers[headed:], cells[headed:], strict=True):
        if not row[chosen]:
            raise InputError(f"{where}, line {number}: its label is empty; write one, or remove the line")
        out.append(tuple(Word(word.strip(), True) for word in row[chosen].split("|")))
    return out


def _cells(lines: list[tuple[int, str]], where: str) -> list[list[str]]:
    """Return the cells of a table: those of the sign that gives all lines as many, and the most."""
    best: list[list[str]] = []
    for sign in "\t", ";", ",":
        try:
            found = [next(csv.reader([line], delimiter=sign, skipinitialspace=True)) for _, line in lines]
        except csv.Error:
            continue
        if len({len(row) for row in found}) == 1 and len(found[0]) > max(1, len(best[0]) if best else 0):
            best = [[cell.strip() for cell in row] for row in found]
    if not best:
        number = next(i for i, line in lines if separators(line))
        raise InputError(
            f"{where}, line {number}: holds several columns or labels, and not every line as many; write a label a "
            "line (synonyms between bars, quotes round a label with a comma)"
        )
    return best


def _heading(cell: str) -> int | None:
    """Return the rank of a heading that a column of labels has."""
    word = re.sub(r"[\W_]", "", cell).casefold()
    return _HEADINGS.index(word) if word in _HEADINGS else None
