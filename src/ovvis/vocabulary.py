"""Vocabularies: the labels asked for, each with its synonyms; from a list, a string, a file, a built-in list."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path

from ovvis.errors import InputError, nearest
from ovvis.labels.file import looks_like_path, read_label_file, read_text
from ovvis.labels.label import Label, as_label, as_list, check_count, quoted, told
from ovvis.labels.table import read_lines
from ovvis.labels.text import Word, line_rows
from ovvis.labels.tree import as_labels, read_tree
from ovvis.paths import user_path

__all__ = ["VILD_PROMPTS", "Label", "Vocabulary", "builtin_names", "check_prompts", "plain_word", "read_prompts"]

# The prompt ensemble of ViLD, as the released models use it; "{}" stands for the word.
VILD_PROMPTS: tuple[str, ...] = (
    "a photo of a {}.",
    "This is a photo of a {}",
    "There is a {} in the scene",
    "There is the {} in the scene",
    "a photo of a {} in the scene",
    "a photo of a small {}.",
    "a photo of a medium {}.",
    "a photo of a large {}.",
    "This is a photo of a small {}.",
    "This is a photo of a medium {}.",
    "This is a photo of a large {}.",
    "There is a small {} in the scene.",
    "There is a medium {} in the scene.",
    "There is a large {} in the scene.",
)


class Vocabulary(Sequence[Label]):
    """The labels to look for.

    Args:
        labels: names, or sequences of synonyms of which the first is the name, or `Label`s.

    Raises:
        InputError: no list of labels, no label, an empty one, or a word that stands twice, in any case.

    >>> [label.synonyms for label in Vocabulary(["dog", ("cat", "kitten")])]
    [('dog',), ('cat', 'kitten')]
    """

    def __init__(self, labels: Iterable[str | Sequence[str] | Label]) -> None:
        if isinstance(labels, str):
            raise InputError(
                f"labels {labels[:60]!r}: give a list, or Vocabulary.parse for text as the command line takes it"
            )
        items = as_list(labels)
        if items is None:
            path = "; a file's labels are read by Vocabulary.from_file" if isinstance(labels, Path) else ""
            raise InputError(f'labels are {told(labels)}; give a list of words, such as ["dog", "traffic light"]{path}')
        check_count(len(items))
        self._labels = tuple(as_label(item, i) for i, item in enumerate(items, 1))
        if not self._labels:
            raise InputError('labels: the vocabulary is empty; name at least one thing, as in "dog, traffic light"')
        words = [word for label in self._labels for word in label.synonyms]
        twice = {word: count for word, count in Counter(map(str.casefold, words)).items() if count > 1}
        if twice:
            word, count = next(iter(twice.items()))
            spelt = dict.fromkeys(other for other in words if other.casefold() == word)
            shown = " or ".join(repr(other[:40]) for other in (word, *(other for other in spelt if other != word)))
            more = f" ({len(twice) - 1} more words stand twice)" if len(twice) > 1 else ""
            raise InputError(f"label {shown} stands {count} times; keep one of them{more}")

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Label:  # type: ignore[override]
        return self._labels[index]

    def __iter__(self) -> Iterator[Label]:
        return iter(self._labels)

    def __repr__(self) -> str:
        shown = ", ".join(self.names[:4])
        return f"Vocabulary({shown}{', ...' if len(self) > 4 else ''}; {len(self)} labels)"

    @property
    def names(self) -> tuple[str, ...]:
        """The labels' names."""
        return tuple(label.name for label in self._labels)

    @classmethod
    def parse(cls, text: str, *, files: bool = True) -> Vocabulary:
        """Read what a person types after `--labels`.

        Args:
            text: labels between commas (or semicolons, or line breaks) with synonyms between bars ("cat|kitten, dog"),
                or a list as JSON or Python writes it, or "@" and a file's path, or the name of a built-in list. What
                looks like a path ("words.txt", "./words") is one. Quotes round a label and numbers before all of them
                are no part of it.
            files: whether a file may be named; no is for text that comes from elsewhere, which must open none here.

        Raises:
            InputError: empty, or a file or built-in list that does not exist, or it may be meant in several ways.

        >>> Vocabulary.parse("traffic light, cat|kitten").names
        ('traffic light', 'cat')
        >>> Vocabulary.parse("['dog', 'cat']").names
        ('dog', 'cat')
        """
        if not isinstance(text, str):
            raise InputError(f'labels are {told(text)}; give a text, such as "dog, traffic light"')
        word = text.strip().lstrip("\ufeff")
        if word.startswith("@") and files:
            return cls.from_file(_unquoted(word[1:].strip()))
        if word.lower() in builtin_names():
            return cls.builtin(word.lower())
        if _stem(word) in {_stem(name) for name in builtin_names()}:
            raise InputError(
                f"labels {word!r}: no built-in list of that name; {nearest(word.lower(), builtin_names())}"
            )
        if not word:
            return cls([])
        check_count(sum(map(word.count, ",;\n|")))
        if files and (file := _as_file(_unquoted(word))) is not None:
            return cls.from_file(file)
        if (listed := _listed(word)) is not None:
            return cls(listed)
        if len(word.splitlines()) > 1:
            return cls(read_lines(word, "labels"))
        rows = line_rows(word)
        for name in (name for row in rows for name in row):
            _check_no_file(name)
        return cls(as_labels(rows))

    @classmethod
    def from_file(cls, path: str | Path) -> Vocabulary:
        """Read a file of labels; what it is, its ending and its content tell.

        Text with a label a line (synonyms between bars, `#` begins a comment, numbers before all labels are left
        out); a table with a column of a known heading (name, label, class, category) or with one column of words;
        YAML and JSON with a list, names by number, or such under "names", "classes" or "categories".

        Raises:
            InputError: the file cannot be read, holds no labels, or does not say which of its columns they are.
        """
        if not isinstance(path, (str, Path)):
            raise InputError(f"labels file: the path is {told(path)}; give the name of a file")
        path = user_path(path)
        try:
            return cls(read_label_file(path))
        except InputError as error:
            # What is wrong with the labels themselves does not say yet where they stand.
            where = f"labels file {quoted(str(path))}"
            raise (error if str(error).startswith(where) else InputError(f"{where}: {error}")) from error

    @classmethod
    def builtin(cls, name: str, synonyms: bool = False) -> Vocabulary:
        """Return the category list of a dataset, in the order of its category ids.

        Args:
            name: one of `builtin_names()`.
            synonyms: ask with the dataset's synonyms too. The published numbers were made with the names alone,
                just as the dataset writes them (underscores and all).

        Raises:
            InputError: there is no such list.
        """
        if name not in builtin_names():
            raise InputError(f"vocabulary {name!r}: no built-in list of that name; {nearest(name, builtin_names())}")
        text = resources.files("ovvis").joinpath("vocabularies", f"{name}.json").read_text(encoding="utf-8")
        labels = read_tree(text, name)
        return cls(labels if synonyms else [Label(label.name, (label.name,), label.split) for label in labels])


@lru_cache(maxsize=1)
def builtin_names() -> tuple[str, ...]:
    """Return the names of the built-in vocabularies."""
    folder = resources.files("ovvis").joinpath("vocabularies")
    return tuple(sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")))


def read_prompts(path: str | Path) -> tuple[str, ...]:
    """Read prompts from a text file, one a line, each with one "{}" for the word.

    Raises:
        InputError: the file cannot be read, is empty, or a line has no "{}".
    """
    path = user_path(path)
    where = f"prompts file {quoted(str(path))}"
    lines = [line.strip() for line in read_text(path, where).splitlines()]
    return check_prompts([line for line in lines if line], where)


def check_prompts(prompts: Sequence[str], where: str = "prompts") -> tuple[str, ...]:
    """Return the prompts if each has one "{}" for the word.

    Raises:
        InputError: there is none, or one has no "{}" or several.
    """
    if not prompts:
        raise InputError(f'{where}: there is none; write at least one, such as "a photo of a {{}}."')
    for prompt in prompts:
        if prompt.count("{}") != 1:
            raise InputError(f'{where}: {quoted(prompt)} must hold "{{}}" once, where the word goes')
    return tuple(prompts)


def plain_word(name: str) -> str:
    """Return a name without case, underscores and needless blanks: what two ways to write it have in common.

    >>> plain_word("Traffic_light ")
    'traffic light'
    """
    return " ".join(name.replace("_", " ").casefold().split())


def _stem(word: str) -> str:
    """Return a list's name without case, digits and marks."""
    return re.sub(r"[\W\d_]", "", word.lower()).removesuffix("v")


def _unquoted(word: str) -> str:
    """Return a path without the quotes that some shells leave round it."""
    quoted = re.fullmatch(r"""(["'])([^"']+)\1""", word)
    return quoted[2] if quoted else word


def _as_file(word: str) -> Path | None:
    """Return the file that a word names, where it looks like a path or has a slash and exists.

    Raises:
        InputError: it looks like a path, and there is no such file.
    """
    path = user_path(word)
    try:
        exists = path.is_file() or path.is_fifo()
    except (OSError, ValueError):  # a text that no path can be
        exists = False
    looks = looks_like_path(word) and "\n" not in word
    if exists and (looks or "/" in word or "\\" in word):
        return path
    if looks and "," not in word and "|" not in word:
        raise InputError(
            f"labels {word[:80]!r} looks like a file, and there is none of that name here; check the path (@ before it "
            "says that it is one), or write the words themselves"
        )
    return None


def _listed(word: str) -> list[Label] | None:
    """Return the labels of a text that is a list as JSON, YAML or Python writes it; None if it is none."""
    where = f"labels {word[:60]!r}"
    kind = re.fullmatch(r"(?:tuple|list|set|frozenset|dict_keys|dict_values|array)?\((.*)\)", word, re.DOTALL)
    plain = re.fullmatch(r"[\[{(]([^\[\]{}()\"':]*)[\]})]", word)
    if plain and (word[0] != "(" or len(line_rows(plain[1])) > 1):  # [dog, cat]; (dog) is a label
        return as_labels(line_rows(plain[1]), where) if plain[1].strip() else []
    inside = word
    if kind and kind[1].strip()[:1] in "[{('\"":
        inside = kind[1].strip()
        inside = inside if inside[:1] in "[{" else f"[{inside.replace('(', '[').replace(')', ']')}]"
    if inside[:1] == "{" and ":" not in inside:
        inside = f"[{inside[1:-1]}]"
    return read_tree(inside, where) if inside[:1] in "[{" else None


def _check_no_file(word: Word) -> None:
    """Refuse a file's name among labels."""
    if not word.quoted and (word.text.startswith("@") or looks_like_path(word.text)):
        raise InputError(
            f"label {word.text[:80]!r} looks like a file; a file of labels stands alone (@words.txt), so write its "
            "words out, or put quotes round what is a label"
        )
