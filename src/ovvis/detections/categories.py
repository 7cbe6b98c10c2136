"""Names of category ids: of a dataset's list, or of labels in order."""

from __future__ import annotations

import json
from importlib import resources

from ovvis.vocabulary import Vocabulary, builtin_names


def names_by_id(text: str, from_zero: bool) -> dict[int, str]:
    """Return the name of each category id.

    Args:
        text: a list's name, or labels in order, as `Vocabulary.parse` takes them.
        from_zero: whether ids count a list's labels from 0, as YOLO's classes do; else a dataset's own ids, and 1, 2,
            ... of labels in order.

    Raises:
        InputError: they are no labels.

    >>> names_by_id("coco", False)[90], names_by_id("coco", True)[79], names_by_id("cat, dog", False)
    ('toothbrush', 'toothbrush', {1: 'cat', 2: 'dog'})
    """
    name = text.strip().lower()
    if name in builtin_names() and not from_zero:
        file = resources.files("ovvis").joinpath("vocabularies", f"{name}.json")
        listed = json.loads(file.read_text(encoding="utf-8"))
        return {int(entry.get("id", place)): str(entry["name"]) for place, entry in enumerate(listed, 1)}
    return dict(enumerate(Vocabulary.parse(text).names, 0 if from_zero else 1))
