"""What is kept of a video's frames until its tracks are chosen: short records that may spill to the disk."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovvis.inference import scoring
from ovvis.inference.brief import OF_LOGITS, rest
from ovvis.inference.fetched import Fetched
from ovvis.inference.final_masks import mask_bits, rle_from_bits, rle_from_logits
from ovvis.inference.mask_code import MaskCode, unpack, unpack_on
from ovvis.inference.seen import ClassKey, Seen, class_key
from ovvis.inference.spill import DEFAULT_LIMIT, Spill
from ovvis.masks import Rle
from ovvis.models.classifiers import Classifier
from ovvis.models.settings import VideoSettings
from ovvis.structures import TextEmbeddings


@dataclass(frozen=True, slots=True)
class KeptClasses:
    """What a frame says for each label of some queries: see `scoring.undecided`."""

    queries: NDArray[np.int64]  # ascending
    packed: bytes  # their rows (n, K), float32, compressed

    def of(self, queries: NDArray[Any], labels: NDArray[Any], count: int) -> NDArray[np.float32]:
        """Return those of pairs of queries and labels out of `count`; infinite where the query's are not kept."""
        scores = np.full(len(queries), np.inf, dtype=np.float32)
        if len(self.queries):
            table = np.frombuffer(zlib.decompress(self.packed), dtype=np.float32).reshape(-1, count)
            place = np.searchsorted(self.queries, queries).clip(max=len(self.queries) - 1)
            found = self.queries[place] == queries
            scores[found] = table[place[found], labels[found]]
        return scores


@dataclass(frozen=True, slots=True)
class KeptVectors:
    """What the class scores of some queries are made of, where they would be more: see `Classifier.vectors`."""

    queries: NDArray[np.int64]  # ascending
    vectors: NDArray[np.float32]  # n, E
    rest: NDArray[np.float32]  # n; what the softmax takes off each logit; zeros where a score is its logit's own


class Again:
    """Compares vectors with some labels of a vocabulary, as the classifier did with all of them.

    Args:
        classifier: which has `vectors`.
        text: the vocabulary.
    """

    def __init__(self, classifier: Classifier, text: TextEmbeddings) -> None:
        self._classifier, self._text = classifier, text
        self._labels: NDArray[np.int64] | None = None
        self._some = text

    def __call__(self, vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the logits (n, L) of vectors (n, E) and labels (L), ascending."""
        if self._labels is None or not np.array_equal(self._labels, labels):  # frame after frame asks for the same
            rows = torch.from_numpy(np.isin(self._text.label_of_row.cpu().numpy(), labels))
            place = np.searchsorted(labels, self._text.label_of_row.cpu()[rows].numpy())
            names = tuple(self._text.labels[label] for label in labels)
            some = self._text.vectors[rows.to(self._text.vectors.device)]
            self._some, self._labels = TextEmbeddings(some, torch.from_numpy(place), names), labels
        asked = torch.from_numpy(vectors).to(self._some.vectors.device)
        logits: NDArray[np.float32] = self._classifier.compared(asked, self._some).cpu().numpy()
        return logits


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """What is kept of one frame; Q queries in the network's own order."""

    objects: NDArray[np.float32]  # Q; object scores
    confidence: NDArray[np.float32]  # Q; sum of the sigmoids of the mask's positive cells
    pixels: NDArray[np.int64]  # Q; number of the mask's positive cells
    masks: MaskCode
    classes: dict[ClassKey, KeptClasses | KeptVectors]


class Recording:
    """The records of one video, for any number of tubes that choose their tracks from them.

    Args:
        settings: of those tubes: they decide which class scores are kept.
        limit: bytes of records that stay in memory; the rest goes to a temporary file.
        remember: keep the final masks once they are made, for the next tubes that want them.
        again: compares the vectors of windows that have them (`Seen.vectors`) with some labels.
        device: where the final masks are made; None for the CPU.
    """

    def __init__(
        self,
        settings: Sequence[VideoSettings],
        limit: int = DEFAULT_LIMIT,
        *,
        remember: bool = False,
        again: Again | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._again, self._device = again, device
        self.limit = limit
        self._spill = Spill(limit)
        self.alone: Tensor | None = None  # mask logits (Q, h, w) of the only frame so far
        self._settings = [s for s in settings if s.silence is not None]
        self._made: dict[tuple[int, int], Rle | None] | None = {} if remember else None  # by frame and query

    def __len__(self) -> int:
        return len(self._spill)

    def add(self, seen: Seen) -> None:
        """Keep what is needed of the frames of the next window."""
        brief = seen.brief
        classes = self._classes(seen)
        self.alone = seen.masks[:, 0] if not len(self) and seen.masks.shape[1] == 1 else None
        if brief is None:
            few = (seen.objects.cpu(), seen.confidence.cpu(), seen.pixels.cpu())
            codes = seen.packed()
        else:
            few = (brief["objects"], brief["confidence"], brief["pixels"])
            codes = brief.codes()
        objects, confidence, pixels = (x.numpy() for x in few)
        for t, masks in enumerate(codes):
            self._spill.append_object(FrameRecord(objects, confidence[:, t], pixels[:, t], masks, classes))

    def __iter__(self) -> Iterator[FrameRecord]:
        return self._spill.objects()

    def evidence(
        self, record: FrameRecord, key: ClassKey, queries: NDArray[Any], labels: NDArray[Any], count: int
    ) -> NDArray[np.float32]:
        """Return a frame's evidence for pairs of queries and labels out of `count`: see `Seen.evidence`.

        Infinite where it is not kept: the query is never silenced.
        """
        kept = record.classes[key]
        if isinstance(kept, KeptClasses):
            return kept.of(queries, labels, count)
        assert self._again is not None
        scores = np.full(len(queries), np.inf, dtype=np.float32)
        place = np.searchsorted(kept.queries, queries)
        found = np.isin(queries, kept.queries)
        if found.any():
            rows, row = np.unique(place[found], return_inverse=True)
            asked, column = np.unique(labels, return_inverse=True)
            logits = self._again(kept.vectors[rows], asked)[row, column[found]]
            scores[found] = logits if key[0] == "sigmoid" else np.exp(logits - kept.rest[rows][row])
        return scores

    def _classes(self, seen: Seen) -> dict[ClassKey, KeptClasses | KeptVectors]:
        """Return the class scores that the choice of silenced frames may ask for."""
        shares: dict[ClassKey, tuple[float, VideoSettings]] = {}
        for settings in self._settings:
            assert settings.silence is not None
            share = settings.silence if settings.scores_bounded else math.inf
            key = class_key(settings)
            # What is undecided at a share is undecided at any larger one.
            shares[key] = max(share, shares[key][0] if key in shares else 0), settings
        kept: dict[ClassKey, KeptClasses | KeptVectors] = {}
        for key, (share, settings) in shares.items():
            brief = seen.brief
            objects = seen.objects if brief is None else brief["objects"]
            if self._again is not None and seen.vectors is not None and settings.class_score in OF_LOGITS:
                apart = (
                    (seen.vectors, rest(seen, settings)) if brief is None else (brief["vectors"], brief.rest(settings))
                )
                kept[key] = _vectors(objects, *apart, share, settings)
                continue
            evidence = seen.evidence(settings) if brief is None else brief.evidence(settings)
            queries, rows = scoring.undecided(evidence, objects, share, settings.class_score)
            kept[key] = KeptClasses(queries.cpu().numpy(), zlib.compress(rows.cpu().numpy().tobytes(), 1))
        return kept

    def masks(
        self,
        number: int,
        code: MaskCode,
        queries: NDArray[np.int64],
        sizes: tuple[tuple[int, int], tuple[int, int], tuple[int, int]],
    ) -> dict[int, Rle]:
        """Return the final masks of some queries that have any in a frame, by query.

        Args:
            number: the frame's, from 0.
            code: its record's.
            queries: asked for.
            sizes: height and width of the network's input, of the same without padding, and of the video.
        """
        if self._made is None:
            made = {query: rle_from_logits(logits, *sizes) for query, logits in unpack(code, queries).items()}
            return {query: mask for query, mask in made.items() if mask is not None}
        known = self._made
        fresh = np.array([query for query in queries.tolist() if (number, query) not in known], dtype=np.int64)
        if len(fresh):
            logits = unpack(code, fresh)
            for query in fresh.tolist():
                known[number, query] = rle_from_logits(logits[query], *sizes) if query in logits else None
        asked = ((query, known[number, query]) for query in queries.tolist())
        return {query: mask for query, mask in asked if mask is not None}

    def masks_later(
        self,
        number: int,
        code: MaskCode,
        queries: NDArray[np.int64],
        sizes: tuple[tuple[int, int], tuple[int, int], tuple[int, int]],
    ) -> Callable[[], dict[int, Rle]]:
        """Return what gives the final masks; a device makes them meanwhile, where one does. Arguments as in `masks`."""
        if self._device is None or self._made is not None:
            made = self.masks(number, code, queries, sizes)
            return lambda: made
        found, logits = unpack_on(code, queries, self._device)
        if not found:
            return dict
        bits = Fetched({"bits": mask_bits(logits, *sizes)})

        def read() -> dict[int, Rle]:
            made = zip(found, bits["bits"], strict=True)
            return {query: mask for query, row in made if (mask := rle_from_bits(row, sizes[2])) is not None}

        return read

    def close(self) -> None:
        """Free the records."""
        self._spill.close()
        self._made = self.alone = None


def _vectors(objects: Tensor, vectors: Tensor, rest: Tensor, share: float, settings: VideoSettings) -> KeptVectors:
    """Return what a window's class scores are made of, of the queries for which they can matter."""
    queries = torch.arange(len(vectors), device=vectors.device)
    if settings.class_score == "softmax":
        queries = torch.nonzero(scoring.needs_classes(objects, share)).flatten()
    return KeptVectors(*(x.cpu().numpy() for x in (queries, vectors[queries].float(), rest[queries])))
