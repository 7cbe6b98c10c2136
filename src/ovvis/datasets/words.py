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


def categories_meant(labels: Sequence[str], categories: Sequence[Category]) -> tuple[dict[int, int], list[str]]:
    """Return the categories that labels mean, and how those were found that a synonym named.

    A label means the category of its name, in any case and with blanks or underscores, or else the one that has it
    among its synonyms.

    Args:
        labels: any words; those that mean no category are left out.
        categories: the dataset's.

    Returns:
        The id of the category by the label's place in the list; for each label found by a synonym "label is name".

    Raises:
        InputError: a label may be several categories.

    >>> known = [Category(7, "traffic_light"), Category(2, "cat", synonyms=("kitten",))]
    >>> categories_meant(["Traffic light", "kitten", "ox"], known)
    ({0: 7, 1: 2}, ["'kitten' is 'cat'"])
    """
    by_name, by_synonym = defaultdict(list), defaultdict(list)
    for category in categories:
        by_name[plain_word(category.name)].append(category)
        for word in {plain_word(synonym) for synonym in category.synonyms}:
            by_synonym[word].append(category)
    found: dict[int, int] = {}
    others: list[str] = []
    for i, label in enumerate(labels):
        word = plain_word(label)
        meant = by_name.get(word) or by_synonym.get(word, [])
        meant = [category for category in meant if category.name == label] or meant
        if len(meant) > 1:
            raise InputError(
                f"label {label!r} may be each of the dataset's categories {_listed(meant)}: rename them in the file"
            )
        if meant:
            found[i] = meant[0].id
            if word not in by_name:
                others.append(f"{label!r} is {meant[0].name!r}")
    return found, others


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
