"""Vocabularies: the labels asked for, each with its synonyms; from a list, a string, a file, a built-in list."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from ovvis.errors import InputError, nearest
from ovvis.paths import user_path

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


@dataclass(frozen=True, slots=True)
class Label:
    """One thing to look for."""

    name: str
    synonyms: tuple[str, ...]  # the words that CLIP is asked with; the name is one of them unless a list says not
    split: str | None = None  # "base" or "novel" where the vocabulary has such a split


class Vocabulary(Sequence[Label]):
    """The labels to look for.

    Args:
        labels: names, or sequences of synonyms of which the first is the name, or `Label`s.

    Raises:
        InputError: no label, an empty one, or a word that stands twice.

    >>> [label.synonyms for label in Vocabulary(["dog", ("cat", "kitten")])]
    [('dog',), ('cat', 'kitten')]
    """

    def __init__(self, labels: Iterable[str | Sequence[str] | Label]) -> None:
        if isinstance(labels, str):
            raise InputError(
                f"labels {labels!r}: give a list, or Vocabulary.parse for text as the command line takes it"
            )
        self._labels = tuple(_as_label(item, i) for i, item in enumerate(labels, 1))
        if not self._labels:
            raise InputError('labels: the vocabulary is empty; name at least one thing, as in "dog, traffic light"')
        words = Counter(word.casefold() for label in self._labels for word in label.synonyms)
        twice = [word for word, count in words.items() if count > 1]
        if twice:
            raise InputError(f"label {twice[0]!r} stands {words[twice[0]]} times; keep one of them")

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
    def parse(cls, text: str) -> Vocabulary:
        """Read what a person types after `--labels`.

        Args:
            text: labels between commas with synonyms between bars ("cat|kitten, dog"), or "@" and a file's path,
                or the name of a built-in list.

        Raises:
            InputError: empty, or a file or built-in list that does not exist.

        >>> Vocabulary.parse("traffic light, cat|kitten").names
        ('traffic light', 'cat')
        """
        word = text.strip()
        if word.startswith("@"):
            return cls.from_file(word[1:])
        if word.lower() in builtin_names():
            return cls.builtin(word.lower())
        if _stem(word) in {_stem(name) for name in builtin_names()}:
            raise InputError(
                f"labels {word!r}: no built-in list of that name; {nearest(word.lower(), builtin_names())}"
            )
        if not word:
            return cls([])
        return cls(part.split("|") for part in word.removesuffix(",").split(","))

    @classmethod
    def from_file(cls, path: str | Path) -> Vocabulary:
        """Read a text file with a label a line (synonyms between bars, `#` begins a comment), or a JSON list.

        Raises:
            InputError: the file cannot be read, or holds no labels.
        """
        path = user_path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"labels file {str(path)!r} is not UTF-8 text; save it as such") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"labels file {str(path)!r} cannot be read ({reason}); check the path") from error
        if path.suffix == ".json":
            return cls(_from_json(text, str(path)))
        lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
        rows = [line.removesuffix(",").split("|") for line in lines if line]
        if not rows:
            raise InputError(f"labels file {str(path)!r} holds no label; write one a line")
        return cls(rows)

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
        labels = _from_json(text, name)
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
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"prompts file {str(path)!r} cannot be read ({reason}); check the path") from error
    return check_prompts([line for line in lines if line], f"prompts file {str(path)!r}")


def check_prompts(prompts: Sequence[str], where: str = "prompts") -> tuple[str, ...]:
    """Return the prompts if each has one "{}" for the word.

    Raises:
        InputError: there is none, or one has no "{}" or several.
    """
    if not prompts:
        raise InputError(f'{where}: there is none; write at least one, such as "a photo of a {{}}."')
    for prompt in prompts:
        if prompt.count("{}") != 1:
            raise InputError(f'{where}: {prompt!r} must hold "{{}}" once, where the word goes')
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


def _as_label(item: str | Sequence[str] | Label, position: int) -> Label:
    """Clean one entry."""
    if isinstance(item, Label):
        return item
    words = [" ".join(word.split()) for word in ([item] if isinstance(item, str) else item)]
    if not words or not all(words):
        raise InputError(f"label {position} is empty; write a word there, or remove the comma or bar beside it")
    return Label(words[0], tuple(words))


def _from_json(text: str, where: str) -> list[Label]:
    """Read a list of names or of {"name", "synonyms", "split" or "frequency"}."""
    rule = 'it must be a list of names or of {"name": ..., "synonyms": [...]}'
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"labels file {where!r} is no JSON ({error}); {rule}") from error
    if not isinstance(entries, list):
        raise InputError(f"labels file {where!r} holds a {type(entries).__name__}; {rule}")
    labels = []
    for position, entry in enumerate(entries, 1):
        if isinstance(entry, str):
            entry = {"name": entry}
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise InputError(f"labels file {where!r}, entry {position}: no name; {rule}")
        words = entry.get("synonyms") or [entry["name"]]
        if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
            raise InputError(f"labels file {where!r}, entry {position}: synonyms are no list of words; {rule}")
        split = entry.get("split") or {"f": "base", "c": "base", "r": "novel"}.get(str(entry.get("frequency")))
        labels.append(Label(_as_label(entry["name"], position).name, tuple(words), split))
    return labels
