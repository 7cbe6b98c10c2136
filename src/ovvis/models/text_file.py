"""Text embeddings that somebody else made: a matrix from a file, its rows found by the labels' names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ovvis.errors import InputError, nearest
from ovvis.models.array_file import MAGIC, ZIP, read_npy, read_npz
from ovvis.models.checkpoint import read_safetensors
from ovvis.models.torch_file import check_kind, check_tensor, read_pickle
from ovvis.paths import user_path
from ovvis.structures import TextEmbeddings
from ovvis.vocabulary import Label, Vocabulary, builtin_names, plain_word

WHAT = "text embeddings"
TENSOR, LABELS = "text_embeddings", "labels"  # names in a safetensors file: of the matrix, and in its metadata

_RULE = "give a .npy, .npz, .safetensors or .pt file with one matrix, a row for each label"


@dataclass(frozen=True, slots=True)
class TextMatrix:
    """A file of text embeddings."""

    path: Path
    vectors: Tensor  # R, E; float32, unit length
    names: tuple[str, ...] | None  # R; what the rows stand for, where the file says


def text_from_file(path: str | Path, vocabulary: Vocabulary, rows: Vocabulary | None = None) -> TextEmbeddings:
    """Return the embeddings of a vocabulary from a file, such as DetPro's learnt prompts that OVFormer trained with.

    A label is looked up by its name, then by its synonyms, whatever case, blanks or underscores: among `rows`, or the
    names in the file, or the built-in vocabulary that has as many labels as the file has rows and knows every label.
    Where there is no such vocabulary, the rows are those of the labels, in their order.

    Args:
        path: what `read_text_matrix` reads.
        vocabulary: the K labels asked for. Each has one row, whatever its synonyms.
        rows: what the file's rows stand for; None finds out.

    Raises:
        InputError: the file cannot be used, or has no row for a label.
    """
    matrix = read_text_matrix(path)
    index = torch.tensor(_rows(matrix, vocabulary, rows))
    return TextEmbeddings(matrix.vectors[index], torch.arange(len(vocabulary)), vocabulary.names)


def read_text_matrix(path: str | Path) -> TextMatrix:
    """Read a matrix of text embeddings: `.npy`, `.npz`, `.safetensors` or `.pt`, none of which may execute code.

    A safetensors file holds one matrix, or several of which one is called "text_embeddings"; its metadata may name
    the rows ("labels", a JSON list). An `.npz` likewise, with an array "labels" of texts.

    Raises:
        InputError: no such file, no matrix in it, or a row that is all zero or not finite.
    """
    path = user_path(path)
    where = f"{WHAT} {str(path)!r}"
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{where} {kind}; {_RULE}")
    check_kind(path, WHAT)
    names = None
    kind = _kind(path)
    if kind == "npy":
        vectors = read_npy(path, where, _RULE)
    elif kind == "npz":
        vectors, names = read_npz(path, where, _RULE, TENSOR)
    elif kind == "safetensors":
        vectors, names = _read_safetensors(path, where)
    else:
        content = read_pickle(path, WHAT)
        vectors = _only_matrix(content if isinstance(content, dict) else {"": content}, where)
    if vectors.ndim != 2 or not vectors.numel():
        raise InputError(f"{where} holds an array of {tuple(vectors.shape)}; {_RULE}")
    check_tensor("", vectors, where)
    vectors = vectors.detach().float()
    wrong = ~vectors.isfinite().all(1) | (vectors == 0).all(1)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise InputError(f"{where}: row {row + 1} is all zero or not finite and has no direction; make the file again")
    if names is not None and len(names) != len(vectors):
        raise InputError(f"{where} names {len(names)} labels for {len(vectors)} rows; make the file again")
    return TextMatrix(path, F.normalize(vectors, dim=-1), names)


def check_width(text: TextEmbeddings, width: int, model: str) -> None:
    """Refuse embeddings of another space than a model compares in.

    Args:
        text: the embeddings.
        width: E of the model.
        model: its name, for the message.

    Raises:
        InputError: they are of another width.
    """
    if text.vectors.shape[1] != width:
        raise InputError(
            f"{WHAT} have {text.vectors.shape[1]} numbers in a row, but {model} compares {width}: give those of its "
            "CLIP, or another model"
        )


def check_labels(text: TextEmbeddings, vocabulary: Vocabulary) -> None:
    """Refuse embeddings of other labels than a vocabulary's.

    Raises:
        InputError: the labels differ.
    """
    if text.labels != vocabulary.names:
        raise InputError(
            f"{WHAT} are of {len(text.labels)} labels, and not of the {len(vocabulary)} of the vocabulary in their "
            "order; make both of the same labels"
        )


def digest(text: TextEmbeddings) -> str:
    """Return the SHA-256 of the embeddings, in hexadecimal digits."""
    return hashlib.sha256(text.vectors.detach().cpu().float().contiguous().numpy().tobytes()).hexdigest()


def _rows(matrix: TextMatrix, vocabulary: Vocabulary, rows: Vocabulary | None) -> list[int]:
    """Return the row of each label (K)."""
    where, count = f"{WHAT} {str(matrix.path)!r}", len(matrix.vectors)
    if rows is not None or matrix.names is not None:
        known = rows.names if rows is not None else matrix.names or ()
        if len(known) != count:
            raise InputError(f"{where} have {count} rows, but {len(known)} labels were given for them; give them all")
        index = _Index(known)
        missing = next((label for label in vocabulary if index.row(label) is None), None)
        if missing is not None:
            raise InputError(f"{where} have no row for label {missing.name!r}; {nearest(missing.name, known)}")
        return index.rows(vocabulary)
    found: dict[str, list[int]] = {}
    for name in builtin_names():
        labels = Vocabulary.builtin(name).names
        if len(labels) != count:
            continue
        index = _Index(labels)
        if all(index.row(label) is not None for label in vocabulary):
            found[name] = index.rows(vocabulary)
    if len({tuple(places) for places in found.values()}) > 1:
        raise InputError(
            f"{where}: its {count} rows may be those of {' or '.join(sorted(found))}; say which with --text-rows"
        )
    if found:
        return next(iter(found.values()))
    if count != len(vocabulary):
        raise InputError(
            f"{where} have {count} rows, but there are {len(vocabulary)} labels, and no built-in vocabulary of {count} "
            "knows them all: a row must stand for a label, in their order; or say what the rows are with --text-rows"
        )
    return list(range(count))


class _Index:
    """Labels looked up as they are written, else whatever their case, blanks and underscores."""

    def __init__(self, names: Sequence[str]) -> None:
        self._exact = {name: row for row, name in enumerate(names)}
        self._plain = {plain_word(name): row for row, name in enumerate(names)}

    def row(self, label: Label) -> int | None:
        words = (label.name, *label.synonyms)
        exact = (self._exact.get(word) for word in words)
        loose = (self._plain.get(plain_word(word)) for word in words)
        return next((row for row in (*exact, *loose) if row is not None), None)

    def rows(self, vocabulary: Vocabulary) -> list[int]:
        return [row for label in vocabulary if (row := self.row(label)) is not None]


def _kind(path: Path) -> str:
    """Return which kind of file it is: its ending says so, or its first bytes."""
    with path.open("rb") as file:
        head = file.read(9)
    ending = path.suffix.lower().removeprefix(".")
    if ending in ("npy", "npz", "safetensors"):
        swapped = {("npy", ZIP): "npz", ("npz", MAGIC): "npy"}  # numpy reads these by their bytes too
        return next(
            (kind for (end, magic), kind in swapped.items() if end == ending and head.startswith(magic)), ending
        )
    return "npy" if head.startswith(MAGIC) else "safetensors" if head[8:9] == b"{" else "pickle"


def _read_safetensors(path: Path, where: str) -> tuple[Tensor, tuple[str, ...] | None]:
    tensors, metadata = read_safetensors(path, WHAT)
    try:
        names = json.loads(metadata.get(LABELS, "null"))
    except (ValueError, RecursionError):
        names = metadata[LABELS]
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise InputError(f"{where}: its metadata {LABELS!r} is no list of names; make the file again")
    return _only_matrix(tensors, where), None if names is None else tuple(names)


def _only_matrix(tensors: Mapping[str, object], where: str) -> Tensor:
    """Return the matrix of that name, or the only one."""
    found = {n: x for n, x in tensors.items() if isinstance(x, Tensor) and x.ndim == 2 and x.is_floating_point()}
    if TENSOR in found:
        return found[TENSOR]
    if len(found) != 1:
        raise InputError(f"{where} holds {len(found) or 'no'} matrices, none of them called {TENSOR!r}; {_RULE}")
    return next(iter(found.values()))
