"""A result as the page takes it: a head of facts, and its masks in pieces of some frames each."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ovvis.errors import InputError
from ovvis.masks import Rle
from ovvis.outputs.painting import colour
from ovvis.plain import visible
from ovvis.structures import SHOWN_SCORE, Track, VideoResult
from ovvis.viewer.beside import Beside
from ovvis.viewer.timeline import columns_of, timeline_of

FORMAT, VERSION = "ovvis-viewer", 1
PIECE_FRAMES = 64
_TRIED = 5  # pieces that an estimate looks at
LEVEL = 6  # zlib's; 9 takes three times as long for a hundredth less

FrameScores = Mapping[int, Sequence[float | None]]
"""For a tube's id its score in each frame of the result; None where it was not seen."""


class Pieces:
    """What the page shows of a result, made as it is asked for.

    A piece holds `PIECE_FRAMES` frames, the last one fewer. Its bytes are compressed with zlib ("deflate" to a
    browser); inside are the lengths of all codes as 32-bit little-endian numbers, tube after tube and within each
    frame after frame, then the codes in the same order: the text of COCO's run-length codes. Length 0: nothing is seen.

    Args:
        result: what to show; its masks are read when a piece is.
        min_score: tubes whose best label scores less are left out, in [0, 1].
        scores: each tube's score frame by frame, where it is known; a result's tracks have one score for the video.
        shown_score: tubes that score less are there, and not shown before a person wants them, in [0, 1].
        beside: how the tubes of several results of one video are told apart, where the result holds such; None: it is
            one.

    Raises:
        InputError: the result has no frame, or `scores` are not one for each frame.
    """

    def __init__(
        self,
        result: VideoResult,
        min_score: float = 0.0,
        scores: FrameScores | None = None,
        shown_score: float = SHOWN_SCORE,
        beside: Beside | None = None,
    ) -> None:
        if not (0 <= min_score <= 1 and 0 <= shown_score <= 1):
            wrong = shown_score if 0 <= min_score <= 1 else min_score
            raise InputError(f"min_score {wrong:g}: it must lie in [0, 1]; 0 shows every track")
        if not result.frame_indices:
            raise InputError(f"{result.source}: the result has no frame, so there is nothing to show")
        self.result = result
        self.tubes = result.best_tracks(min_score)
        self.left_out = len(result.best_tracks(0)) - len(self.tubes)
        self.frames = len(result.frame_indices)
        self.shown_score = shown_score
        self._scores, self._beside = scores or {}, beside
        for id, values in self._scores.items():
            if len(values) != self.frames:
                raise InputError(f"scores of track {id}: {len(values)} for {self.frames} frames; give one for each")

    def __len__(self) -> int:
        """Return the number of pieces."""
        return -(-self.frames // PIECE_FRAMES)

    def __iter__(self) -> Iterator[bytes]:
        """Yield all pieces in order."""
        return (self.piece(number) for number in range(len(self)))

    def piece(self, number: int) -> bytes:
        """Return one piece's bytes.

        Raises:
            IndexError: there is no piece of this number.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"piece {number} of {len(self)}")
        first = number * PIECE_FRAMES
        last = min(first + PIECE_FRAMES, self.frames)
        # One tube behind the other: what hardly moves repeats within zlib's window.
        codes = [self._code(track.masks[i]) for track in self.tubes for i in range(first, last)]
        lengths = np.fromiter(map(len, codes), dtype="<u4", count=len(codes))
        return zlib.compress(lengths.tobytes() + b"".join(codes), LEVEL)

    def page_bytes(self) -> int:
        """Return about how many bytes all pieces take in a page, from a few of them; exact where they are few."""
        tried = sorted({round(i * (len(self) - 1) / (_TRIED - 1)) for i in range(_TRIED)})
        return sum(-(-len(self.piece(number)) // 3) * 4 for number in tried) * len(self) // len(tried)

    def _code(self, mask: Rle | None) -> bytes:
        return b"" if mask is None else mask["counts"]

    def head(self) -> dict[str, Any]:
        """Return the facts that the page begins with, as JSON knows them; `media` is for the caller to add."""
        result = self.result
        tubes = [self._tube(track) for track in self.tubes]
        texts = {result.source, *result.labels, *(name for tube in tubes for name, _ in tube["names"])}
        beside = {} if self._beside is None else self._beside.head()
        texts |= {text for _, text in beside.get("moments", [])} | set(beside.get("panels", []))
        return {
            "format": FORMAT,
            "version": VERSION,
            "source": result.source,
            "width": int(result.width),
            "height": int(result.height),
            "pixelAspect": float(result.pixel_aspect),
            "aspectTerms": [result.pixel_aspect.numerator, result.pixel_aspect.denominator],
            "fps": float(result.fps),
            "frames": [int(i) for i in result.frame_indices],
            "times": [round(float(t), 7) for t in result.frame_times],
            "vocabulary": list(result.labels),
            "settings": result.settings,
            "problem": result.problem,
            "notes": list(result.notes),
            "plain": {text: visible(text) for text in texts if visible(text) != text},
            "tubes": tubes,
            "leftOut": self.left_out,
            "shownScore": self.shown_score,
            "columns": columns_of(self.frames),
            "pieceFrames": PIECE_FRAMES,
            "pieces": len(self),
            **beside,
        }

    def _tube(self, track: Track) -> dict[str, Any]:
        """Return one tube: its names, where it is seen, how large it is there, how it scores if that is known."""
        names = {name: float(score) for name, score in track.top_labels}
        names |= {other.label: float(other.score) for other in self.result.tracks if other.id == track.id}
        return {
            "id": int(track.id),
            "label": track.label,
            "labelIndex": int(track.label_index),
            "score": float(track.score),
            "names": sorted(names.items(), key=lambda pair: -pair[1]),
            "colour": colour(track.id),
            **timeline_of(track.masks, self._scores.get(track.id)),
            **({} if self._beside is None else self._beside.tube(track.id)),
        }
