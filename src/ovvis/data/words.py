"""The words that a model is asked with for a dataset's categories."""

from __future__ import annotations

from collections import defaultdict
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
        _tell_apart(categories)
        named = Vocabulary([Label(category.name, (category.name,)) for category in categories])
        return named, tuple(category.id for category in categories)
    vocabulary = Vocabulary.parse(labels)
    known: dict[str, list[Category]] = defaultdict(list)
    for category in categories:
        known[plain_word(category.name)].append(category)
    found: dict[int, str] = {}
    for label in vocabulary:
        meant = known.get(plain_word(label.name), [])
        if not meant:
            raise InputError(
                f"label {label.name!r} is no category of the dataset: {nearest(plain_word(label.name), known)}; put "
                "the category's name first and other words behind bars"
            )
        exact = [category for category in meant if category.name == label.name] or meant
        if len(exact) > 1:
            raise InputError(
                f"label {label.name!r} may be each of the dataset's categories {_listed(exact)}: write it just as the "
                "dataset does, or rename them in the file"
            )
        category = exact[0]
        if category.id in found:
            raise InputError(
                f"labels {found[category.id]!r} and {label.name!r} are the same category, {category.name!r}: put them "
                "together with a bar between"
            )
        found[category.id] = label.name
    return vocabulary, tuple(found)


def _tell_apart(categories: Sequence[Category]) -> None:
    """See that all names are different to a model, which reads no case.

    Raises:
        InputError: two are not.
    """
    found: dict[str, list[Category]] = defaultdict(list)
    for category in categories:
        found[category.name.casefold()].append(category)
    same = next((group for group in found.values() if len(group) > 1), None)
    if same is not None:
        raise InputError(
            f"the dataset's categories {_listed(same)} have one name, but for its case, and a model cannot tell them "
            "apart: rename one in the file, or join them, or name those to ask for with --labels"
        )


def _listed(categories: Sequence[Category]) -> str:
    return " and ".join(f"{category.name!r} (id {category.id})" for category in categories[:3])
