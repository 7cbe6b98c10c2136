"""Labels in JSON and YAML: a list, an object by number, or an object that holds such a one under a known name."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ovvis import yaml_file
from ovvis.errors import InputError
from ovvis.labels.label import Label, as_label, check_count, told
from ovvis.labels.text import Row, line_rows, unnumbered

RULE = 'it must be a list of names or of {"name": ..., "synonyms": [...]}, or names by number, {"0": "dog"}'

# Where others keep their names: data.yaml, COCO, FiftyOne, MMDetection, Hugging Face; the first that is there counts.
_HOLDERS = (
    "names",
    "class_names",
    "classes",
    "categories",
    "id2label",
    "labels",
    "label2id",
    "thing_classes",
    "metainfo",
)
_NAMES = ("name", "label", "class", "class_name", "display_name", "category")
_GROUPS = {"f": "base", "c": "base", "r": "novel"}


def read_tree(text: str, where: str) -> list[Label]:
    """Return the labels of a JSON or YAML text.

    Args:
        text: the text; YAML is a wider JSON, so that `[dog, cat]` and `{'0': 'dog',}` count too.
        where: what it is, such as "labels file 'a.json'"; begins each error's line.

    Raises:
        InputError: it is neither, or holds no labels, or does so in several ways.
    """
    if not text.strip():
        raise InputError(f"{where} holds no label; {RULE}")
    try:
        tree = json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, where))
    except InputError:
        raise
    except RecursionError as error:
        raise InputError(f"{where} lies too deep; {RULE}") from error
    except ValueError as error:
        try:
            tree = yaml_file.as_written(yaml_file.compose(text, where, RULE), where)
        except InputError as other:
            if text.lstrip()[:1] not in ("[", "{"):
                raise
            raise InputError(f"{where} is no JSON ({str(error)[:100]}) and no YAML either; {RULE}") from other
        if not isinstance(tree, (dict, list)):
            raise InputError(f"{where} is no JSON and no YAML of lists or objects; {RULE}") from error
    return labels_in(tree, where)


def labels_in(tree: Any, where: str) -> list[Label]:
    """Return the labels of the values of a JSON or YAML file.

    Raises:
        InputError: there are none, or a name is missing or no text.
    """
    if isinstance(tree, (dict, list)):
        check_count(len(tree), where)
    if isinstance(tree, dict):
        return _of_object(tree, where)
    if not isinstance(tree, list):
        raise InputError(f"{where} holds {told(tree)}; {RULE}")
    if tree and all(isinstance(e, list) and len(e) == 2 and _number(e[0]) is not None for e in tree):
        return _by_number({entry[0]: entry[1] for entry in tree}, where)  # [[0, "dog"], [1, "cat"]]
    if tree and all(isinstance(e, dict) and type(e.get("id")) is int for e in tree):
        tree = sorted(tree, key=lambda entry: int(entry["id"]))
    return [_label(entry, position, where) for position, entry in enumerate(tree, 1)]


def as_labels(rows: Sequence[Row], where: str = "labels") -> list[Label]:
    """Return the labels of rows of text."""
    return [as_label([word.text for word in row], i) for i, row in enumerate(unnumbered(rows, where), 1)]


def _of_object(tree: dict[str, Any], where: str) -> list[Label]:
    for holder in _HOLDERS:
        inside = tree.get(holder)
        if inside is None or (holder in ("names", "labels") and not isinstance(inside, (list, dict, str))):
            continue
        if isinstance(inside, str):
            found = as_labels(line_rows(inside), where)
        else:
            found = labels_in(inside, f"{where}, {holder!r}")
        count = _number(tree.get("nc"))
        if holder == "names" and count is not None and count != len(found):
            raise InputError(f"{where}: 'nc' says {count} names, and 'names' holds {len(found)}; make them agree")
        return found
    if tree and all(_number(key) is not None for key in tree):
        return _by_number(tree, where)
    numbers = [_number(value) for value in tree.values()]
    if tree and None not in numbers:  # {"dog": 0, "cat": 1}
        return _by_number({str(number): key for key, number in zip(tree, numbers, strict=True)}, where, len(tree))
    keys = ", ".join(ascii(key)[1:41].rstrip("'") for key in list(tree)[:4])
    raise InputError(f"{where} holds an object without names (a dict of {keys or 'nothing'}); {RULE}")


def _by_number(tree: dict[Any, Any], where: str, count: int | None = None) -> list[Label]:
    """Return names in the order of their numbers."""
    numbers = {key: _number(key) for key in tree}
    if len(set(numbers.values())) != (count or len(tree)):
        raise InputError(f"{where}: two names have one number; give each its own")
    ordered = sorted(tree, key=lambda key: numbers[key] or 0)
    return [_label(tree[key], position, where) for position, key in enumerate(ordered, 1)]


def _label(entry: Any, position: int, where: str) -> Label:
    """Return the label of an entry: a name, a list of synonyms, or an object with a name."""
    place = f"{where}, entry {position}"
    if isinstance(entry, dict):
        name = next((entry[key] for key in _NAMES if isinstance(entry.get(key), str)), None)
        words = entry.get("synonyms") or [name]
        if name is None:
            raise InputError(f"{place}: no name; {RULE}")
        if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
            raise InputError(f"{place}: synonyms are no list of words; {RULE}")
        group = entry.get("frequency")
        split = entry.get("split") or (_GROUPS.get(group) if isinstance(group, str) else None)
        label = _cleaned(words, position, place)
        return Label(_cleaned([name], position, place).name, label.synonyms, split if isinstance(split, str) else None)
    if isinstance(entry, (str, list)) and entry and all(isinstance(word, str) for word in entry):
        return _cleaned([entry] if isinstance(entry, str) else entry, position, place)
    raise InputError(f"{place}: no name but {told(entry)}; {RULE}")


def _cleaned(words: list[str], position: int, place: str) -> Label:
    try:
        return as_label([part for word in words for part in word.split("|")], position)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def _number(value: Any) -> int | None:
    """Return a whole number, also where it is written as text."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    return int(value) if re.fullmatch(r"-?[0-9]{1,18}", str(value)[:20]) else None


def _once(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise InputError(f"{where}: key {twice[:40]!r} stands twice; keep one of them")
    return out
