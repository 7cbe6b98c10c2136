"""YAML as settings take it: texts, finite numbers, true and false, null, and lists and groups of these.

PyYAML reads YAML 1.1, where 1:30 is ninety, 010 is eight, 2024-01-01 is a date, and of a key that stands twice the last
value counts. Here the first and the third are texts, as in YAML 1.2, and what could be meant in two ways is refused.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ovvis.errors import InputError
from ovvis.yaml_file import compose

MOST_CHARACTERS = 1 << 17  # of a file or an option: a long recipe has three thousand

Keys = tuple[str, ...]  # from the root to a value
Place = Callable[[int], str]
"""A line, from 1, to the words that an error about it begins with."""

_TAG = "tag:yaml.org,2002:"
_TRUE, _FALSE, _NULL = {"yes", "true", "on"}, {"no", "false", "off"}, {"", "~", "null"}
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_BASED = re.compile(r"[-+]?0(x[0-9a-fA-F_]+|b[01_]+)")
_DIGITS = 100  # more are beyond any number that settings have, and slow to read


def read_text(path: Path, where: str) -> str:
    """Return the text of a settings file, UTF-8, or UTF-16 with its mark, as some Windows programs save.

    Args:
        path: the file.
        where: what it is; begins each error's line.

    Raises:
        InputError: it cannot be read, is far too long, or is no such text.
    """
    most = 4 * MOST_CHARACTERS
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{where} cannot be read ({said}); give a YAML file") from error
    if len(raw) > most:
        raise InputError(f"{where} is longer than {most:,} bytes: give a YAML file of settings")
    kind = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return raw.decode(kind)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            f"{where}, line {line}: no {kind[:6].rstrip('-').upper()} text (byte {raw[error.start]:#04x}); save it as "
            "UTF-8"
        ) from error


def plain_values(text: str, where: str, place: Place, remedy: str) -> tuple[Any, dict[Keys, int]]:
    """Return the values of a YAML text, and the line, from 1, of each key of a group in a group.

    Args:
        text: the YAML.
        where: what it is, for an error about the whole.
        place: see `Place`.
        remedy: what to do about a text that is no YAML.

    Raises:
        InputError: it is no YAML, too much of it, or a value is none that settings have; one line that says where.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"{where} holds {len(text):,} characters, but settings have at most {MOST_CHARACTERS:,}")
    lines: dict[Keys, int] = {}
    root = compose(text, where, remedy)
    return (None if root is None else _value(root, (), place, lines)), lines


def _value(node: yaml.Node, above: Keys, place: Place, lines: dict[Keys, int] | None) -> Any:
    """Return a node's value; `lines` is None inside a list, whose groups have no key of their own."""
    at = place(node.start_mark.line + 1)
    kind = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.MappingNode) and kind == "map":
        return _group(node, above, place, lines)
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [_value(item, above, place, None) for item in node.value]
    if isinstance(node, yaml.ScalarNode) and kind in ("str", "timestamp", "value"):
        return _text(node.value, at)
    if isinstance(node, yaml.ScalarNode) and kind in ("int", "float"):
        return _number(node.value, kind, at)
    if isinstance(node, yaml.ScalarNode) and kind in ("bool", "null"):
        word = node.value.lower()
        for words, value in ((_TRUE, True), (_FALSE, False)) if kind == "bool" else ((_NULL, None),):
            if word in words:
                return value
    raise InputError(
        f"{at}: !{kind[:40]!r} is no kind of value that settings have; write a text, a number, true, false, null, a "
        "list or a group"
    )


def _group(node: yaml.MappingNode, above: Keys, place: Place, lines: dict[Keys, int] | None) -> dict[str, Any]:
    out: dict[str, Any] = {}
    began: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        at = place(line)
        if key.tag == f"{_TAG}merge":
            raise InputError(f"{at}: settings have no merge key (<<); write the values out, or build on a `base`")
        if not isinstance(key, yaml.ScalarNode) or key.tag != f"{_TAG}str":
            shown = repr(key.value)[:40] if isinstance(key, yaml.ScalarNode) else "of several values"
            raise InputError(f"{at}: key {shown} must be a plain word; quote it")
        name = _text(key.value, at)
        path = (*above, name)
        if name in began:
            shown = ".".join(path) if ".".join(path).isprintable() else repr(path)
            raise InputError(f"{at}: {shown[:80]} stands twice ({place(began[name])}); keep one")
        began[name] = line
        if lines is not None:
            lines[path] = line
        out[name] = _value(value, path, place, lines)
    return out


def _text(text: str, at: str) -> str:
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise InputError(f"{at}: {ascii(text)[:80]} holds a character that no text has; take it out")
    return text


def _number(written: str, kind: str, at: str) -> int | float | str:
    """Return a number as it is written, a text where minutes would be read as parts of sixty."""
    digits = written.replace("_", "")
    if ":" in written:
        return written
    if kind == "int":
        if len(digits) > _DIGITS:
            raise InputError(f"{at}: a whole number of {len(digits):,} digits is larger than settings hold; write less")
        if _DECIMAL.fullmatch(written):
            number = int(digits)
        elif _BASED.fullmatch(written) and digits[-1] not in "xb":
            number = int(digits, 0)
        else:
            raise InputError(f"{at}: {written[:40]!r} could be two numbers, or none; write it in decimal, or quote it")
        if not -(2**63) <= number < 2**63:
            raise InputError(f"{at}: {written} is larger than a whole number can be (64 bits); write less")
        return number
    try:
        value = float(digits)
    except ValueError:
        value = math.nan
    nothing = value == 0 and re.search("[1-9]", re.split("[eE]", digits)[0])
    if not math.isfinite(value) or nothing:
        raise InputError(f"{at}: {written[:40]!r} is no finite number that can be told from 0; write one")
    return value
