"""From words to text embeddings: the one road, whether CLIP reads the words, a file holds them, or weights bring them.

What CLIP reads is kept on disk, so that the text tower runs once for a word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch

from ovvis.errors import InputError
from ovvis.models.clip import ensemble
from ovvis.models.text_cache import TextCache
from ovvis.models.text_file import check_labels, check_width, digest, text_from_file
from ovvis.paths import cache_folder
from ovvis.structures import TextEmbeddings
from ovvis.vocabulary import VILD_PROMPTS, Label, Vocabulary, check_prompts

# Words whose embeddings are written at once: an interrupted run keeps what it has.
WORDS_A_WRITE = 64

TEXT_CACHE = "text_embeddings.sqlite"

Progress = Callable[[int, int], None]  # words done, words in all


@dataclass(frozen=True, slots=True)
class Words:
    """What is asked for, and what places it in CLIP's space. `read_words` makes it, `embed_words` goes on from it."""

    vocabulary: Vocabulary | None  # None: the one that came with the model's weights
    prompts: tuple[str, ...]  # texts with one "{}" for the word; none where CLIP reads no words
    given: TextEmbeddings | None = None  # of the vocabulary's labels, in place of what CLIP makes of words


@dataclass(frozen=True, slots=True)
class EmbeddedWords:
    """Words in a model's space."""

    words: Words  # with a vocabulary
    text: TextEmbeddings  # of its labels, with their synonyms
    foreign: bool  # whether something other than the model's CLIP made them

    @property
    def vocabulary(self) -> Vocabulary:
        """The labels."""
        assert self.words.vocabulary is not None
        return self.words.vocabulary

    @property
    def digest(self) -> str | None:
        """The SHA-256 of embeddings that the model's CLIP did not make; None of those that it made."""
        return digest(self.text) if self.foreign else None


class TextTower(Protocol):
    """What `embed_vocabulary` needs of a CLIP."""

    @property
    def width(self) -> int:
        """Width E of the space that images and texts share."""

    def text_fingerprint(self) -> str:
        """Return a hash of what decides a text's embedding."""

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""

    def check_length(self, label: str, prompt: str) -> None:
        """Refuse a label that would be cut."""

    def embed_texts(
        self, texts: Sequence[str], batch: int = 256, on_batch: Callable[[int], None] | None = None
    ) -> torch.Tensor:
        """Return the embeddings (N, E) of texts, float32."""


class ReadsWords(Protocol):
    """What `embed_words` needs of a model."""

    name: str
    texts: TextEmbeddings | None  # the vocabulary that came with the weights

    @property
    def clip(self) -> TextTower:
        """What reads words."""


def read_words(
    vocabulary: Vocabulary | None,
    prompts: Sequence[str] = VILD_PROMPTS,
    given: str | Path | TextEmbeddings | None = None,
    rows: Vocabulary | None = None,
) -> Words:
    """Return what is asked for, with everything read and checked that needs no model.

    Args:
        vocabulary: K labels; None: those that come with a model's weights.
        prompts: texts with one "{}" for the word.
        given: a file of text embeddings (see `ovvis.models.text_file`), or embeddings of the labels.
        rows: what the file's rows stand for; None finds out.

    Raises:
        InputError: a prompt without "{}", a file that cannot be used for these labels, or embeddings of others.
    """
    if given is None:
        return Words(vocabulary, tuple(check_prompts(prompts)))
    if vocabulary is None:
        raise InputError("text embeddings are of labels: say which, such as lvvis")
    if isinstance(given, TextEmbeddings):
        check_labels(given, vocabulary)
    else:
        given = text_from_file(given, vocabulary, rows)
    return Words(vocabulary, (), given)


def embed_words(
    words: Words, model: ReadsWords, cache: Path | None = None, on_progress: Progress | None = None
) -> EmbeddedWords:
    """Return words in a model's space.

    Args:
        words: what is asked for.
        model: whose CLIP reads them, where nothing else places them.
        cache: a file that keeps what CLIP made of words; None keeps nothing.
        on_progress: called with words done and words in all while the text tower runs.

    Raises:
        InputError: the weights bring no vocabulary, a word is too long for CLIP, or embeddings are of another width.
    """
    if words.vocabulary is None:
        if model.texts is None:
            raise InputError(f"{model.name} brings no vocabulary for this: say the labels to look for")
        own = Vocabulary([Label(name, (name,)) for name in model.texts.labels])
        words = Words(own, (), model.texts)
    assert words.vocabulary is not None
    if words.given is None:
        text = embed_vocabulary(model.clip, words.vocabulary, words.prompts, cache, on_progress)
    else:
        text = words.given
    check_width(text, model.clip.width, model.name)
    synonyms = tuple(label.synonyms for label in words.vocabulary)
    return EmbeddedWords(words, replace(text, synonyms=synonyms), words.given is not None)


def text_cache() -> Path:
    """Return the file that keeps the text embeddings of all runs."""
    return cache_folder() / TEXT_CACHE


def embed_vocabulary(
    clip: TextTower,
    vocabulary: Vocabulary,
    prompts: Sequence[str] = VILD_PROMPTS,
    cache: Path | None = None,
    on_progress: Progress | None = None,
) -> TextEmbeddings:
    """Return the embeddings of a vocabulary's words: of each word the normed mean over the prompts.

    Args:
        clip: the text tower.
        vocabulary: K labels with P synonyms in all.
        prompts: texts with one "{}" for the word.
        cache: a file that keeps embeddings, keyed by weights, prompts and word; None keeps nothing.
        on_progress: called with words done and words in all while the text tower runs; never if it need not.

    Raises:
        InputError: a word that the text tower would cut, or a prompt without "{}".
    """
    prompts = check_prompts(prompts)
    words = [word for label in vocabulary for word in label.synonyms]
    longest = max(prompts, key=clip.count_tokens)
    for word in words:
        clip.check_length(word, longest)
    with TextCache.open(cache, [clip.text_fingerprint(), *prompts] if cache else [], clip.width) as store:
        known = store.read(words)
        new = [word for word in words if word not in known]
        for start in range(0, len(new), WORDS_A_WRITE):
            part = new[start : start + WORDS_A_WRITE]
            texts = [prompt.replace("{}", word) for word in part for prompt in prompts]
            vectors = ensemble(clip.embed_texts(texts).unflatten(0, (len(part), len(prompts))))
            store.write(part, vectors)
            known.update(zip(part, vectors, strict=True))
            if on_progress is not None:
                on_progress(start + len(part), len(new))
    return TextEmbeddings(
        vectors=torch.stack([known[word] for word in words]),
        label_of_row=torch.tensor([k for k, label in enumerate(vocabulary) for _ in label.synonyms]),
        labels=vocabulary.names,
    )
