"""Text embeddings on disk: what is read is checked, and a file that is no such cache is set aside."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ovvis.files.lock import hold

_log = logging.getLogger(__name__)

VERSION = "2"  # of the rows; those of another version have other keys
COLUMNS = ("key", "word", "vector")
_CREATE = "CREATE TABLE IF NOT EXISTS embedding (key BLOB, word TEXT, vector BLOB, PRIMARY KEY (key, word))"
_DIGEST = 16  # bytes
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class TextCache:
    """Embeddings in an SQLite file: safe with several programs at once, and after a crash.

    A row is a float32 vector followed by a digest of everything in the row. One that is damaged counts as absent.
    A cache that cannot be opened or written, as on a disk that can only be read, serves as far as it can: it saves
    time, nothing else.

    Args:
        path: the file.
        database: None keeps nothing.
        key: of the weights and prompts.
        width: numbers in a vector.
    """

    def __init__(self, path: Path | None, database: sqlite3.Connection | None, key: bytes, width: int) -> None:
        self._path, self._database, self._key, self._width = path, database, key, width

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path | None, parts: Sequence[str], width: int) -> Iterator[TextCache]:
        """Open a cache for the block.

        Args:
            path: the file, made where it is missing; None keeps nothing.
            parts: everything beside the word that decides an embedding.
            width: numbers in a vector.
        """
        key = hashlib.blake2b("\n".join([VERSION, *parts]).encode(), digest_size=16).digest()
        cache = cls(path, None if path is None else _open(path), key, width)
        try:
            yield cache
        finally:
            cache._close()

    def read(self, words: Sequence[str]) -> dict[str, Tensor]:
        """Return the vectors that are kept, by word."""
        if self._database is None:
            return {}
        asked, found, damaged = set(words), {}, 0
        try:
            rows = self._database.execute("SELECT word, vector FROM embedding WHERE key = ?", (self._key,))
            for word, stored in rows:
                if word in asked:
                    vector = self._checked(word, stored)
                    damaged += vector is None
                    if vector is not None:
                        found[word] = vector
        except sqlite3.Error as error:
            self._close()
            if self._path is not None and error.sqlite_errorcode & 0xFF in _DAMAGED:
                self._database = _renewed(self._path)
        if damaged:
            _log.warning("%d of the texts kept in %s are damaged: they are made anew", damaged, self._path)
        return found

    def write(self, words: Sequence[str], vectors: Tensor) -> None:
        """Keep vectors (N, width), float32; one that is not finite is not kept."""
        if self._database is None:
            return
        rows = []
        for word, vector in zip(words, vectors, strict=True):
            data = vector.numpy().tobytes()
            if torch.isfinite(vector).all():
                rows.append((self._key, word, data + self._digest(word, data)))
        with contextlib.suppress(sqlite3.Error), self._database:
            self._database.executemany("INSERT OR REPLACE INTO embedding VALUES (?, ?, ?)", rows)

    def _checked(self, word: str, stored: object) -> Tensor | None:
        """Return the vector of a row, or None if it is damaged."""
        size = self._width * 4
        if not isinstance(stored, bytes) or len(stored) != size + _DIGEST:
            return None
        data = stored[:size]
        if stored[size:] != self._digest(word, data):
            return None
        vector = np.frombuffer(data, dtype=np.float32)
        return torch.from_numpy(vector.copy()) if np.isfinite(vector).all() else None

    def _digest(self, word: str, data: bytes) -> bytes:
        return hashlib.blake2b(self._key + word.encode("utf-8", "surrogatepass") + data, digest_size=_DIGEST).digest()

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _open(path: Path) -> sqlite3.Connection | None:
    """Return the database of a file that is a cache, or becomes one; None if it cannot be used now."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database, fit = _looked_at(path)
    except (OSError, sqlite3.Error):
        return None
    return database if fit else _renewed(path)


def _looked_at(path: Path) -> tuple[sqlite3.Connection | None, bool]:
    """Return the database of a file, and whether it is a cache; None for the database where it is not.

    Raises:
        sqlite3.Error: it cannot be used now.
    """
    database = sqlite3.connect(path, timeout=30)
    try:
        database.execute(_CREATE)
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        columns = tuple(row[1] for row in database.execute("PRAGMA table_info(embedding)"))
        if tables == {"embedding"} and columns == COLUMNS:
            return database, True
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF not in _DAMAGED:
            database.close()
            raise
    database.close()
    return None, False


def _renewed(path: Path) -> sqlite3.Connection | None:
    """Set a file that is no cache aside and begin a new one."""
    try:
        with hold(path.parent, f"-{path.name}"):
            database, fit = _looked_at(path)  # another process may have been faster
            with contextlib.suppress(sqlite3.Error):
                # What is damaged further in shows only when it is read.
                fit = fit and database is not None and database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            if fit:
                return database
            if database is not None:
                database.close()
            aside = _free(path)
            os.replace(path, aside)  # noqa: PTH105
            for rest in ("-journal", "-wal", "-shm"):  # they would be taken for those of the new one
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{path}{rest}", f"{aside}{rest}")  # noqa: PTH105
            _log.warning("%s was damaged, or no cache of texts: it is now %s, and a new one begins", path, aside.name)
            return _looked_at(path)[0]
    except (OSError, sqlite3.Error):
        return None


def _free(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.damaged{f'-{n}' if n > 1 else ''}") for n in count(1))
    return next(name for name in names if not os.path.lexists(name))
