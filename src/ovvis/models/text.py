"""Text embeddings of a vocabulary, kept on disk so that the text tower runs once for a word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ovvis.models.clip import FrozenClip, ensemble
from ovvis.models.text_cache import TextCache
from ovvis.paths import cache_folder
from ovvis.structures import TextEmbeddings
from ovvis.vocabulary import VILD_PROMPTS, Vocabulary, check_prompts

# Words whose embeddings are written at once: an interrupted run keeps what it has.
WORDS_A_WRITE = 64

TEXT_CACHE = "text_embeddings.sqlite"

Progress = Callable[[int, int], None]  # words done, words in all


def text_cache() -> Path:
    """Return the file that keeps the text embeddings of all runs."""
    return cache_folder() / TEXT_CACHE


def embed_vocabulary(
    clip: FrozenClip,
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
