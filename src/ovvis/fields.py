"""JSON files of a known shape: a wrong value is told by its field's name.

The shape is stated as `msgspec.Struct`s and the whole file read into them, or, where one value decides how the next
is read, values are asked for one by one. What a program of somebody else's adds to JSON is borne where it does no harm:
a byte-order mark, NaN and Infinity in fields that nobody reads.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ovvis.errors import InputError

Kind = type | tuple[type, ...]
Shape = TypeVar("Shape")

_KINDS: dict[Kind, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    (int, float): "a number",
    (str, type(None)): "a text or null",
    (dict, type(None)): "an object or null",
    (dict, list, type(None)): "an object, a list or null",
    (dict, list): "an object or a list",
    (str, list): "a text or a list",
}
_LIMIT = 2**63  # what every reader of the field can hold
_WINDOW = 2**23  # bytes
_WINDOWS = 8  # a text or list of numbers that fills so many of them is of no use to any reader here
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|-?(?:NaN|Infinity)', re.DOTALL)
_BEYOND = b"9e999"  # stands for NaN and Infinity: refused with its place where it is read, passed over where not

Whole = int | float | str
"""A whole number as files write it: also as 1.0 or "1"; `whole` says which."""

_FOREIGN = (  # how files begin that are no JSON
    (b"\xff\xfe", "UTF-16 text: save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text: save it as UTF-8"),
    (b"\x1f\x8b", "packed by gzip: unpack it"),
    (b"PK\x03\x04", "packed by zip: unpack it"),
    (b"version https://git-lfs", "a pointer of Git LFS: fetch the file itself with git lfs pull"),
    (b"<", "a page or another file of HTML or XML: fetch the file itself"),
)


class JsonFile:
    """A JSON file whose values are asked for one by one, with their kinds.

    Args:
        path: the file.
        remedy: what to do about a file that is not as it must be; ends each error's line.
    """

    def __init__(self, path: Path, remedy: str):
        self.path = path
        self.remedy = remedy

    def parse(self) -> Any:
        """Return what the file holds, not looked at yet.

        Raises:
            InputError: it cannot be read or is no JSON; the message names the line.
        """
        return self.parse_bytes(self.read())

    def parse_bytes(self, data: Any) -> Any:
        """Return what the file holds, or one value of it, of its bytes.

        Raises:
            InputError: they are no JSON; the message names the line.
        """
        text = self._json(data)
        try:
            return msgspec.json.decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            try:  # NaN, and numbers of many digits: those who ask for values one by one tell the field
                return json.loads(str(text, "utf-8"))
            except (ValueError, RecursionError):
                raise self._damaged(text, error) from error

    def decode(self, shape: type[Shape], data: Any = None) -> Shape:
        """Return what the file holds as records.

        Args:
            shape: a `msgspec.Struct`, or a list of such.
            data: the file's bytes where the caller has them already.

        Raises:
            InputError: it cannot be read, is no JSON, or a field is missing or of another kind.
        """
        text = self._json(self.read() if data is None else data)
        try:
            return msgspec.json.decode(text, type=shape)
        except msgspec.ValidationError as error:
            raise self.misshapen(error) from error
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            plain, count = _without_nan(text)
            if not count:
                raise self._damaged(text, error) from error
            return self.decode(shape, plain)

    def misshapen(self, error: msgspec.ValidationError, where: str = "$") -> InputError:
        """Return the error of a value that has not the shape it was decoded with.

        Args:
            error: what msgspec said.
            where: the place in the file of what was decoded.
        """
        told = re.fullmatch(r"(.*?)(?: - at `(?:key in )?\$(.*)`)?", str(error), re.DOTALL)
        assert told is not None
        rule, place = told[1], (where + (told[2] or "")).removeprefix("$").removeprefix(".")
        if kinds := re.fullmatch(r"Expected `([^`]*)`, got `([^`]*)`", rule):
            rule = f"must be {_told(kinds[1])}, not {_told(kinds[2])}"
        elif field := re.fullmatch(r"Object missing required field `([^`]*)`", rule):
            place, rule = f"{place}.{field[1]}".removeprefix("."), "is missing"
        elif rule == "Number out of range":
            rule = "must not be NaN, Infinity or a number that large"
        elif rule == "Integer value out of range":
            rule = "must be a number of at most 64 bits"
        else:
            rule = f"is wrong ({rule[:1].lower()}{rule[1:].replace('`', '')})"
        return self.error(place, rule) if place else InputError(f"{self.path} {rule}: {self.remedy}")

    def parse_object(self) -> dict[str, Any]:
        """Return what the file holds, which must be an object.

        Raises:
            InputError: it cannot be read, is no JSON, or holds something else.
        """
        root = self.parse()
        if not isinstance(root, dict):
            raise InputError(f"{self.path} must hold a JSON object, not {short(root)}: {self.remedy}")
        return root

    def get(self, entry: dict[str, Any], name: str, kind: Kind, where: str = "") -> Any:
        """Return a field of an object.

        Args:
            entry: the object.
            name: the field's name in it.
            kind: what its value must be.
            where: the object's own place in the file, as in "tracks[3].".

        Raises:
            InputError: it is missing or of another kind.
        """
        if name not in entry:
            raise self.error(where + name, "is missing")
        return self.checked(entry[name], where + name, kind)

    def all(self, entry: dict[str, Any], name: str, kind: Kind, where: str = "") -> list[Any]:
        """Return a field that is a list of values of one kind."""
        values = self.get(entry, name, list, where)
        return [self.checked(value, f"{where}{name}[{i}]", kind) for i, value in enumerate(values)]

    def checked(self, value: Any, name: str, kind: Kind) -> Any:
        """Return a value that is of a kind, and if a number, finite and of at most 64 bits."""
        # A bool is an int in Python, but not in JSON.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(name, f"must be {_KINDS[kind]}, not {short(value)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(name, f"must be a finite number, not {short(value)}")
        if isinstance(value, int) and not -_LIMIT <= value < _LIMIT:
            raise self.error(name, f"must be a number of at most 64 bits, not {short(value)}")
        return value

    def error(self, name: str, rule: str) -> InputError:
        """Return the error of a field that breaks a rule."""
        return InputError(f"{self.path}: field {name} {rule}: {self.remedy}")

    def read(self) -> bytes:
        """Return the file's bytes.

        Raises:
            InputError: it cannot be read.
        """
        try:
            return self.path.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{self.path} cannot be read ({reason}): check the path") from error

    def _json(self, data: Any) -> memoryview:
        """Return a file's bytes without a byte-order mark.

        Raises:
            InputError: they begin as no JSON does, or one value in them is longer than any that has a use.
        """
        text = memoryview(data)
        head = bytes(text[:64])
        if head.startswith(codecs.BOM_UTF8):
            text, head = text[len(codecs.BOM_UTF8) :], head[len(codecs.BOM_UTF8) :]
        begin = head.lstrip()
        found = next((what for start, what in _FOREIGN if begin.startswith(start)), None)
        if found is None and b"\0" in head[:2] and len(head) > 1:
            found = "UTF-16 text: save it as UTF-8" if head[0] or head[1] else None
        if found is not None:
            raise InputError(f"{self.path} must be JSON, but it is {found}")
        if _unfolds(text):
            most = _WINDOW * _WINDOWS >> 20
            raise InputError(
                f"{self.path} holds a text or a list of numbers of more than {most} MiB, or millions of empty lists in "
                f"one place: {self.remedy}"
            )
        return text

    def _damaged(self, text: memoryview, error: Exception) -> InputError:
        """Return the error of a file that is no JSON, with the line of the damage if that is known."""
        if isinstance(error, RecursionError):
            return InputError(f"{self.path} must be JSON, but it is not (it is nested too deep): {self.remedy}")
        # msgspec before 0.23 raises UnicodeDecodeError here, later ones an error of their own.
        if not isinstance(error, msgspec.MsgspecError) or "UTF-8" in str(error):
            return InputError(f"{self.path} must be JSON, but it is not (it is no UTF-8 text): {self.remedy}")
        told = re.fullmatch(r"(?:JSON is malformed: )?(.*?)(?: \(byte ([0-9]+)\))?", str(error), re.DOTALL)
        assert told is not None
        before = bytes(text[: int(told[2]) if told[2] else len(text)])
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        reason = told[1] if told[2] else "the file ends too early"
        where = f"line {line}, column {column}: {reason}"
        return InputError(f"{self.path} must be JSON, but it is damaged or cut off ({where}): {self.remedy}")


def whole(value: Whole) -> int | None:
    """Return the whole number of at most 64 bits that a value is without doubt; None if it is none.

    >>> [whole(value) for value in (7, 7.0, "7", 7.5, "7a", True, 2**64)]
    [7, 7, 7, None, None, None, None]
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, float):  # above 2 ** 53 a float stands for several numbers
        value = int(value) if value.is_integer() and abs(value) < 2**53 else "no"
    elif isinstance(value, str):
        value = int(value) if re.fullmatch(r"-?[0-9]{1,19}", value, re.ASCII) else "no"
    return value if isinstance(value, int) and -_LIMIT <= value < _LIMIT else None


def _without_nan(text: memoryview) -> tuple[bytes, int]:
    """Return JSON with a number that is out of range for each NaN and Infinity, and how many there were."""
    count = 0

    def number(found: re.Match[bytes]) -> bytes:
        nonlocal count
        if found[0][:1] == b'"':
            return found[0]
        count += 1
        return _BEYOND

    return _TOKENS.sub(number, text), count


def _unfolds(text: memoryview) -> bool:
    """Return whether one value in a file would take much more memory than the file, and be of no use.

    Nearly every window of a file has a quotation mark soon after its begin.
    """
    plain = 0
    for start in range(0, len(text) - _WINDOW + 1, _WINDOW):
        window = bytes(text[start : start + _WINDOW])
        if b'"' in window:
            plain = 0
            continue
        lists = window.count(b"[")
        if lists > len(window) // 6:  # even a polygon of three corners has more than six characters
            return True
        plain = 0 if lists or b"]" in window or b"{" in window or b"}" in window else plain + 1
        if plain == _WINDOWS:
            return True
    return False


def _told(kinds: str) -> str:
    """Return msgspec's names of kinds in our words."""
    names: dict[str, Kind] = {
        "int": int,
        "float": (int, float),
        "str": str,
        "bool": bool,
        "object": dict,
        "array": list,
    }
    kinds = kinds.replace("int | float | str", "int")  # `Whole`
    return " or ".join(_KINDS[names[kind]] if kind in names else kind for kind in kinds.split(" | "))


def short(value: Any) -> str:
    """Return a value as JSON, cut to a line's part.

    >>> short({"a": [1, 2]})
    '{"a": [1, 2]}'
    """
    if isinstance(value, (dict, list)) and len(value) > 40:
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):
        text = "a number of many digits" if isinstance(value, int) else "something deep"
    return text if len(text) <= 40 else text[:37] + "..."
