"""Text embeddings of a vocabulary, kept on disk so that the text tower runs once for a word."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ovvis.models.clip import FrozenClip, ensemble
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
    with _Cache.open(cache, clip, prompts) as store:
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


class _Cache:
    """Embeddings in an SQLite file: safe with several programs at once, and after a crash.

    A cache that cannot be opened or written serves as an empty one: it saves time, nothing else.
    """

    def __init__(self, database: sqlite3.Connection | None, key: bytes, width: int) -> None:
        self._database, self._key, self._width = database, key, width

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path | None, clip: FrozenClip, prompts: Sequence[str]) -> Iterator[_Cache]:
        if path is None:
            yield cls(None, b"", clip.width)
            return
        key = hashlib.blake2b("\n".join([clip.text_fingerprint(), *prompts]).encode(), digest_size=16).digest()
        database = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(path, timeout=30)
            database.execute(
                "CREATE TABLE IF NOT EXISTS embedding (key BLOB, word TEXT, vector BLOB, PRIMARY KEY (key, word))"
            )
        except (OSError, sqlite3.Error):
            if database is not None:
                database.close()
            database = None
        try:
            yield cls(database, key, clip.width)
        finally:
            if database is not None:
                database.close()

    def read(self, words: Sequence[str]) -> dict[str, Tensor]:
        if self._database is None:
            return {}
        with contextlib.suppress(sqlite3.Error):
            rows = self._database.execute("SELECT word, vector FROM embedding WHERE key = ?", (self._key,))
            asked = set(words)
            found = {word: bytearray(vector) for word, vector in rows if word in asked}
            size = self._width * 4
            return {w: torch.frombuffer(v, dtype=torch.float32) for w, v in found.items() if len(v) == size}
        return {}

    def write(self, words: Sequence[str], vectors: Tensor) -> None:
        if self._database is None:
            return
        rows = [(self._key, word, vector.numpy().tobytes()) for word, vector in zip(words, vectors, strict=True)]
        with contextlib.suppress(sqlite3.Error), self._database:
            self._database.executemany("INSERT OR REPLACE INTO embedding VALUES (?, ?, ?)", rows)
