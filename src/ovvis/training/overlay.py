"""Settings from several places laid over a dataclass's defaults, and checked: YAML files, `--set key=value`.

The checks are the dataclass's own types and its `__post_init__`; pydantic makes them. What is added here is where a
value came from, so that an error can name the key, the file with its line, and the key that was probably meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from pydantic import Tag, TypeAdapter, ValidationError

from ovvis.errors import InputError, nearest
from ovvis.training.plain_yaml import plain_values, read_text
from ovvis.yaml_file import DEEPEST

T = TypeVar("T")
Path_ = tuple[str, ...]  # the keys from the root to a value
Tree = dict[str, Any]

_SHOWN = 100  # most characters of an option in a message


@dataclass(frozen=True, slots=True)
class Layer:
    """Some settings and where each was stated."""

    values: Tree  # nested
    places: Mapping[Path_, str]  # of each key, such as "recipe.yaml, line 3"
    name: str  # of the whole: a file or "--set"


def read_layer(path: Path, text: str | None = None) -> Layer:
    """Return the settings of a YAML file.

    Args:
        path: the file.
        text: its content, where it has been read already.

    Raises:
        InputError: it cannot be read, is no YAML, or is no mapping of plain keys; a key stands twice.
    """
    where = f"settings {str(path)!r}"
    content = read_text(path, where) if text is None else text
    values, lines = plain_values(content, where, lambda line: f"{path}, line {line}", "mend it")
    if values is None:
        return Layer({}, {}, str(path))
    if not isinstance(values, dict):
        raise InputError(f"{where} must be keys with values, as `steps: 1000`; see docs/training.md")
    return Layer(values, {keys: f"{path}, line {line}" for keys, line in lines.items()}, str(path))


def assignments(texts: Sequence[str], option: str = "--set") -> Layer:
    """Return the settings that a command line states, each as `a.b=value`; the value is read as YAML.

    Nothing is an empty text. Of a setting that is stated twice the last counts; of a group, what is in neither stays.

    >>> assignments(["run.steps=10", "data.flip=false"]).values
    {'run': {'steps': 10}, 'data': {'flip': False}}

    Raises:
        InputError: a text is no assignment, or assigns below what another gave a plain value.
    """
    values: Tree = {}
    places: dict[Path_, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
        where = f"{option} {shown}" if shown.isprintable() else f"{option} {shown!r}"
        if not equals or not all(path) or len(path) > DEEPEST:
            raise InputError(f"{option} {shown!r} must be KEY=VALUE, such as {option} run.steps=1000")
        plain: Any = ""  # nothing is an empty text, not null
        if value.strip():
            plain, _ = plain_values(value, where, partial(_whole, where), "put quotes around text")
        place = values
        for part in path[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise InputError(f"{where}: {part!r} was given a plain value by another {option}")
        place[path[-1]] = merged(place.get(path[-1]), plain)
        places |= {path[:i]: where for i in range(1, len(path) + 1)}
    return Layer(values, places, option)


def _whole(where: str, line: int) -> str:
    """Return the place of any line of an option: the whole."""
    del line
    return where


def overlay(kind: type[T], defaults: Tree, layers: Iterable[Layer]) -> T:
    """Return a dataclass made of defaults with layers of settings over them, the last on top.

    A mapping is laid over a mapping key by key; anything else replaces what lay there.

    Args:
        kind: the dataclass; its fields may be dataclasses.
        defaults: its fields as plain values, as `dataclasses.asdict` gives them.
        layers: the settings.

    Raises:
        InputError: a key is unknown or a value is wrong; the message names the key and its place.
    """
    tree: Tree = defaults
    places: dict[Path_, str] = {}
    for layer in layers:
        tree = merged(tree, layer.values)
        places.update(layer.places)
    try:
        text = json.dumps(tree)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"settings hold a value of a kind that they cannot have ({error})") from error
    try:
        return TypeAdapter(kind).validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        raise _explained(error, kind, places) from error


def merged(below: Any, above: Any) -> Any:
    """Return one tree laid over another.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}


def differences(one: Tree, other: Tree, above: Path_ = ()) -> list[tuple[str, Any, Any]]:
    """Return the dotted keys at which two trees differ, with both values.

    >>> differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}})
    [('a.b', 1, 3)]
    """
    out: list[tuple[str, Any, Any]] = []
    for key in [*one, *(key for key in other if key not in one)]:
        a, b = one.get(key), other.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            out += differences(a, b, (*above, key))
        elif a != b:
            out.append((".".join((*above, key)), a, b))
    return out


def _explained(error: ValidationError, kind: type, places: Mapping[Path_, str]) -> InputError:
    """Return pydantic's first complaint as one line: where, which key, what rule, what remedy."""
    # An unknown key first: a field "missing" or of a wrong type is often its shadow.
    first = min(error.errors(), key=lambda e: e["type"] != "unexpected_keyword_argument")
    owner, path, depth = _owner(kind, [str(part) for part in first["loc"]])
    key = ".".join(path[: depth + 1])
    where = next((places[path[:i]] for i in range(len(path), 0, -1) if path[:i] in places), "defaults")
    if first["type"] == "unexpected_keyword_argument":
        return InputError(
            f"{where}: there is no setting {key[:_SHOWN]!r}; {nearest(path[depth][:_SHOWN], _names(owner))}"
        )
    if first["type"] == "value_error":
        said = str(first["ctx"]["error"])
        return InputError(f"{where}: {said}" if said.startswith(path) else f"{where}: {'.'.join(path)}: {said}")
    rule = first["msg"].removeprefix("Input should be ").replace("Input should have", "something with")
    rule = "a group of settings" if first["type"] == "dataclass_type" else rule
    shown = json.dumps(first["input"], default=str)
    return InputError(f"{where}: {key} is {shown[:80]}, but it must be {rule}")


def _owner(kind: type, places: Sequence[str]) -> tuple[type, Path_, int]:
    """Return the dataclass that a key belongs to, the keys from the root on, and how deep the key lies.

    Args:
        kind: the root's dataclass.
        places: pydantic's; where one of several dataclasses may stand, the tag of the one that does follows the key.
    """
    path: list[str] = []
    depth, inside, rest = 0, True, list(places)
    while rest:
        path.append(rest.pop(0))
        if not inside:
            continue
        hint = get_type_hints(kind, include_extras=True).get(path[-1])
        tagged = _tagged(hint)
        if rest and rest[0] in tagged:
            hint = tagged[rest.pop(0)]
        if rest and isinstance(hint, type) and is_dataclass(hint):
            kind, depth = hint, depth + 1
        else:
            inside = False
    return kind, tuple(path), depth


def _tagged(hint: Any) -> dict[str, Any]:
    """Return the dataclasses that may stand at a place, by tag; none where there is no choice."""
    choice = get_args(hint)[0] if isinstance(hint, type(Annotated[int, 0])) else None
    found = (get_args(member) for member in get_args(choice))
    return {mark.tag: member for member, *marks in filter(None, found) for mark in marks if isinstance(mark, Tag)}


def _names(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]
