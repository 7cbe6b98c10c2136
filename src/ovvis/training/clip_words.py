"""The texts that a CLIP is trained with: the categories' words in many prompts, and words of things it never sees."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ovvis.vocabulary import VILD_PROMPTS, Vocabulary

PROMPTS = (
    *VILD_PROMPTS,
    "{}",
    "a {}",
    "the {}",
    "a photo of the {}.",
    "A photo of {}",
    "a picture of a {}.",
    "a drawing of a {}.",
    "an illustration of a {}.",
    "a cartoon {}.",
    "a cropped photo of the {}.",
    "a close-up of a {}.",
    "a good photo of a {}.",
    "a video of a {}.",
    "a {} in the picture",
    "many {}",
    "one {}",
)
_NAME = 0.6  # share of the texts of a category that have its name; the rest, a synonym
_LISTS = ("lvis_v1", "lvvis", "burst", "ytvis_2021", "ovis", "coco")


@lru_cache(maxsize=2)
def foreign_words(held_out: bool = False) -> tuple[str, ...]:
    """Return words of other datasets' lists that share no part with any word of the world: things it does not show.

    A CLIP that has met them as the names of nothing gives no picture to them.

    Args:
        held_out: give the quarter of them that training never meets, instead of the rest.
    """
    own = {
        part for label in Vocabulary.builtin("stickers", synonyms=True) for w in label.synonyms for part in _parts(w)
    }
    found: dict[str, None] = {}
    for name in _LISTS:
        for label in Vocabulary.builtin(name):
            word = label.name.replace("_", " ").split("(")[0].strip().lower()
            if word and not any(_parts_alike(part, own) for part in _parts(word)):
                found[word] = None
    return tuple(word for word in sorted(found) if (zlib.crc32(word.encode()) % 4 == 0) == held_out)


def _parts(word: str) -> list[str]:
    return word.lower().replace("-", " ").replace("_", " ").split()


def _parts_alike(part: str, own: set[str]) -> bool:
    return any(form in own for form in (part, part.removesuffix("s"), part + "s"))


class Words:
    """Draws texts for categories.

    Args:
        labels: K; names of the world's categories, in the training set's order.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        known = {label.name: label.synonyms for label in Vocabulary.builtin("stickers", synonyms=True)}
        self._synonyms = [known.get(label, (label,)) for label in labels]

    def __len__(self) -> int:
        return len(self._synonyms)

    def text(self, label: int, rng: np.random.Generator) -> str:
        """Return one of a label's words in one of the prompts."""
        words = self._synonyms[label]
        other = len(words) > 1 and rng.random() >= _NAME
        word = words[int(rng.integers(1, len(words)))] if other else words[0]
        return _prompt(rng).replace("{}", word)

    def foreign(self, rng: np.random.Generator) -> str:
        """Return a word of something that is never seen, in one of the prompts."""
        words = foreign_words()
        return _prompt(rng).replace("{}", words[int(rng.integers(len(words)))])


def _prompt(rng: np.random.Generator) -> str:
    return PROMPTS[int(rng.integers(len(PROMPTS)))]
