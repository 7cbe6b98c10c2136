"""JSON files of a known shape: a wrong value is told by its field's name.

The shape is stated as `msgspec.Struct`s and the whole file read into them, or, where one value decides how the next
is read, values are asked for one by one.
"""

from __future__ import annotations

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

    def parse_bytes(self, data: bytes) -> Any:
        """Return what the file holds, of its bytes.

        Raises:
            InputError: they are no JSON; the message names the line.
        """
        try:
            return msgspec.json.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._parse_with_patience(data)

    def decode(self, shape: type[Shape], data: Any = None) -> Shape:
        """Return what the file holds as records.

        Args:
            shape: a `msgspec.Struct`, or a list of such.
            data: the file's bytes where the caller has them already.

        Raises:
            InputError: it cannot be read, is no JSON, or a field is missing or of another kind.
        """
        data = self.read() if data is None else data
        try:
            return msgspec.json.decode(data, type=shape)
        except msgspec.ValidationError as error:
            raise self.misshapen(error) from error
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._parse_with_patience(bytes(data))
            raise InputError(f"{self.path} must be JSON, which has no NaN and no Infinity: {self.remedy}") from error

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

    def _parse_with_patience(self, data: bytes) -> Any:
        """Parse what the strict parser refuses: NaN is found out by the field's name, damage by its line."""
        try:
            return json.loads(data.decode("utf-8-sig"))
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}: {error.msg}"
            raise InputError(
                f"{self.path} must be JSON, but it is damaged or cut off ({where}): {self.remedy}"
            ) from error
        except (ValueError, RecursionError) as error:  # not UTF-8, a number of many thousand digits, or a bomb
            packed = "packed by gzip: unpack it" if data[:2] == b"\x1f\x8b" else f"not: {self.remedy}"
            raise InputError(f"{self.path} must be JSON, but it is {packed}") from error


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
