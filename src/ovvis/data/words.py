"""The words that a model is asked with for a dataset's categories."""

from __future__ import annotations

from collections.abc import Sequence

from ovvis.errors import InputError, nearest
from ovvis.evaluation.records import Category
from ovvis.vocabulary import Label, Vocabulary, plain_word


def dataset_vocabulary(categories: Sequence[Category], labels: str | None = None) -> tuple[Vocabulary, tuple[int, ...]]:
    """Return the vocabulary for a dataset, and for each label the id of the category it stands for.

    Args:
        categories: the dataset's.
        labels: None asks with the categories' names, just as the dataset writes them, as the published numbers were
            made. Else what `Vocabulary.parse` takes; each label's name must be a category's, in any case and with
            blanks or underscores. Synonyms may be added and categories left out.

    Raises:
        InputError: a label is no category, or two are the same one.

    >>> words, ids = dataset_vocabulary([Category(3, "dog"), Category(7, "traffic_light")], "traffic light|lamp")
    >>> words.names, ids
    (('traffic light',), (7,))
    """
    if labels is None:
        named = Vocabulary([Label(category.name, (category.name,)) for category in categories])
        return named, tuple(category.id for category in categories)
    vocabulary = Vocabulary.parse(labels)
    known = {plain_word(category.name): category for category in categories}
    found: dict[int, str] = {}
    for label in vocabulary:
        category = known.get(plain_word(label.name))
        if category is None:
            raise InputError(
                f"label {label.name!r} is no category of the dataset: {nearest(plain_word(label.name), known)}; put "
                "the category's name first and other words behind bars"
            )
        if category.id in found:
            raise InputError(
                f"labels {found[category.id]!r} and {label.name!r} are the same category, {category.name!r}: put them "
                "together with a bar between"
            )
        found[category.id] = label.name
    return vocabulary, tuple(found)
