"""A label, and the words that may stand in one."""

from __future__ import annotations

import reprlib
import unicodedata
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import islice

from ovvis.errors import InputError

MOST_LABELS = 50_000  # of a list; ImageNet's 21,843 are the longest that is known
LONGEST = 500  # characters of a word; far more than CLIP reads

# Characters that show nothing: joins of lines, marks of bytes, and the directions of text.
_UNSEEN = dict.fromkeys(
    map(ord, "\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
)


@dataclass(frozen=True, slots=True)
class Label:
    """One thing to look for."""

    name: str
    synonyms: tuple[str, ...]  # the words that CLIP is asked with; the name is one of them unless a list says not
    split: str | None = None  # "base" or "novel" where the vocabulary has such a split


def as_label(item: object, position: int) -> Label:
    """Return a label of a word, of a list of synonyms, or as it is.

    Args:
        item: what stands for it; its words are cleaned.
        position: from 1, for the error.

    Raises:
        InputError: it is something else, or a word is empty or cannot be one.
    """
    if isinstance(item, Label):
        given = item.synonyms if isinstance(item.synonyms, tuple) else ()
        if not given or not all(isinstance(word, str) and word.strip() for word in (item.name, *given)):
            raise _no_label(item, position)
        return item
    items = [item] if isinstance(item, str) else as_list(item)
    texts = [word for word in items or () if isinstance(word, str)]
    if items is None or len(texts) != len(items):
        raise _no_label(item, position)
    words = tuple(clean(word, position) for word in texts)
    if not words or not all(words):
        raise InputError(f"label {position} is empty; write a word there, or remove the comma or bar beside it")
    return Label(words[0], words)


def check_count(count: int, where: str = "labels") -> None:
    """Refuse more labels than any list of labels holds.

    Raises:
        InputError: there are more than `MOST_LABELS`.
    """
    if count > MOST_LABELS:
        raise InputError(f"{where}: more than {MOST_LABELS:,} entries, which no list of labels holds; give fewer")


def as_list(items: object) -> list[object] | None:
    """Return things in their order, a set's sorted; None if these are no list of things."""
    if isinstance(items, (str, bytes, bytearray, memoryview, Mapping)) or not isinstance(items, Iterable):
        return None
    try:
        # A set's order is another in every run.
        return sorted(items, key=str) if isinstance(items, Set) else list(islice(items, MOST_LABELS + 1))
    except TypeError:  # an array without a dimension
        return None


def clean(word: str, position: int) -> str:
    """Return a word without needless blanks and without characters that show nothing, in one way to write accents.

    Raises:
        InputError: it holds a line break or a control character, or is far too long.
    """
    for sign in "" if word.isprintable() else word.strip():
        if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") and sign != "\t":
            what = "a line break" if sign in "\r\n\v\f\u0085\u2028\u2029" else f"the character {sign!a}"
            raise InputError(f"label {position}, {reprlib.repr(word)}, holds {what}; write one label an entry, in text")
    if "|" in word:
        raise InputError(f'label {position}, {word[:60]!r}, holds a bar; write synonyms as a list, ("cat", "kitten")')
    cleaned = " ".join(unicodedata.normalize("NFC", word.translate(_UNSEEN)).split())
    if len(cleaned) > LONGEST:
        raise InputError(
            f"label {position}, {reprlib.repr(cleaned)}, has {len(cleaned):,} characters, of {LONGEST} that it may "
            "have; put commas between labels, or a line break in a file"
        )
    return cleaned


def quoted(text: str, most: int = 300) -> str:
    """Return a text in quotes for a message, cut where it is longer than a line should be.

    >>> quoted("a" * 20, 10)
    "'aaaaaaa...'"
    """
    return repr(text if len(text) <= most else text[: most - 3] + "...")


def told(value: object) -> str:
    """Return what kind of thing stands in a label's place, and the thing, shortened."""
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),
        ((int, float, complex), "a number"),
        ((bytes, bytearray), "bytes"),
        (Mapping, "a dict"),
        ((list, tuple), "a list"),
        (str, "a text"),
    )
    if value is None:
        return "nothing (None)"
    kind = next((name for kind, name in kinds if isinstance(value, kind)), f"of type {type(value).__name__}")
    return f"{kind} ({ascii(reprlib.repr(value))[1:-1]})"


def _no_label(item: object, position: int) -> InputError:
    return InputError(f"label {position} is {told(item)}; write a word, or a list of words of which the first names it")
