"""What is kept of a video's frames until its tracks are chosen: short records that may spill to the disk."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ovvis.inference import scoring
from ovvis.inference.final_masks import rle_from_logits
from ovvis.inference.look import ClassKey, Seen, class_key
from ovvis.inference.mask_code import MaskCode, pack, unpack
from ovvis.inference.spill import DEFAULT_LIMIT, Spill
from ovvis.masks import Rle
from ovvis.models.settings import VideoSettings


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
class FrameRecord:
    """What is kept of one frame; Q queries in the network's own order."""

    objects: NDArray[np.float32]  # Q; object scores
    confidence: NDArray[np.float32]  # Q; sum of the sigmoids of the mask's positive cells
    pixels: NDArray[np.int64]  # Q; number of the mask's positive cells
    masks: MaskCode
    classes: dict[ClassKey, KeptClasses]


class Recording:
    """The records of one video, for any number of tubes that choose their tracks from them.

    Args:
        settings: of those tubes: they decide which class scores are kept.
        limit: bytes of records that stay in memory; the rest goes to a temporary file.
        remember: keep the final masks once they are made, for the next tubes that want them.
    """

    def __init__(
        self, settings: Sequence[VideoSettings], limit: int = DEFAULT_LIMIT, *, remember: bool = False
    ) -> None:
        self.limit = limit
        self._spill = Spill(limit)
        self.alone: Tensor | None = None  # mask logits (Q, h, w) of the only frame so far
        self._settings = [s for s in settings if s.silence is not None]
        self._made: dict[tuple[int, int], Rle | None] | None = {} if remember else None  # by frame and query

    def __len__(self) -> int:
        return len(self._spill)

    def add(self, seen: Seen) -> None:
        """Keep what is needed of the frames of the next window."""
        classes = self._classes(seen)
        self.alone = seen.masks[:, 0].cpu() if not len(self) and seen.masks.shape[1] == 1 else None
        objects, confidence, pixels = (x.cpu().numpy() for x in (seen.objects, seen.confidence, seen.pixels))
        for t in range(seen.masks.shape[1]):
            self._spill.append_object(
                FrameRecord(objects, confidence[:, t], pixels[:, t], pack(seen.masks[:, t]), classes)
            )

    def __iter__(self) -> Iterator[FrameRecord]:
        return self._spill.objects()

    def _classes(self, seen: Seen) -> dict[ClassKey, KeptClasses]:
        """Return the class scores that the choice of silenced frames may ask for."""
        shares: dict[ClassKey, tuple[float, VideoSettings]] = {}
        for settings in self._settings:
            assert settings.silence is not None
            share = settings.silence if settings.scores_bounded else math.inf
            key = class_key(settings)
            # What is undecided at a share is undecided at any larger one.
            shares[key] = max(share, shares[key][0] if key in shares else 0), settings
        kept = {}
        for key, (share, settings) in shares.items():
            queries, rows = scoring.undecided(seen.evidence(settings), seen.objects, share, settings.class_score)
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

    def close(self) -> None:
        """Free the records."""
        self._spill.close()
        self._made = self.alone = None
