"""Tubes: accumulates aligned windows, then selects the tracks."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovvis.inference import scoring
from ovvis.inference.final_masks import rle_from_logits
from ovvis.inference.mask_code import MaskCode, pack, unpack
from ovvis.inference.spill import DEFAULT_LIMIT, Spill
from ovvis.masks import Rle
from ovvis.models.model import VideoSettings
from ovvis.structures import Prediction, Track

TOP_LABELS = 5  # names that a track lists


class Tubes:
    """Holds what a video's tracks are made of: running means, and for each frame a short record that may spill.

    Args:
        labels: names of the K labels.
        settings: how scores are made.
        logit_scale: factor between cosine and class logit.
        spill_limit: bytes of records that stay in memory.
        keep_frames: whether frames are kept for `finish`; a stream that never ends must not.
    """

    def __init__(
        self,
        labels: Sequence[str],
        settings: VideoSettings,
        logit_scale: float,
        spill_limit: int = DEFAULT_LIMIT,
        keep_frames: bool = True,
    ) -> None:
        self.labels = tuple(labels)
        self._settings = settings
        self._logit_scale = logit_scale
        self._limit = spill_limit
        self._records = Spill(spill_limit)
        self._keep_frames = keep_frames
        self._windows = 0
        # Sums over windows in double precision: the mean of a long video keeps its digits.
        self._score_sum = torch.zeros(0)
        self._object_sum = torch.zeros(0)
        self._confidence_sum = torch.zeros(0)
        self._pixel_sum = torch.zeros(0)

    def add(self, prediction: Prediction, class_logits: Tensor) -> Tensor:
        """Take the next window, its queries in tube order, and return its object scores (Q).

        Args:
            prediction: a batch of one window.
            class_logits: 1, Q, K.
        """
        settings = self._settings
        classes = scoring.class_scores(
            class_logits[0].float(), settings.class_score, self._logit_scale, settings.none_logit
        )
        objects = prediction.object_logits[0].float()
        ious = None if prediction.mask_ious is None else prediction.mask_ious[0].float()
        if not self._windows:
            self._start(classes)
        self._windows += 1
        self._score_sum += scoring.window_scores(classes, ious, settings)
        self._object_sum += objects
        object_scores = objects.softmax(-1)[:, scoring.OBJECT]
        masks = prediction.mask_logits[0].float()  # Q, T, h, w
        positive = masks > 0
        confidence = (masks.sigmoid() * positive).flatten(2).sum(2)  # Q, T
        pixels = positive.flatten(2).sum(2)  # Q, T
        self._confidence_sum += confidence.sum(1)
        self._pixel_sum += pixels.sum(1)
        if not self._keep_frames:
            return object_scores
        kept_classes = self._classes_to_keep(classes, object_scores)
        for t in range(masks.shape[1]):
            self._records.append_object(
                (
                    object_scores.cpu().numpy(),
                    kept_classes,
                    confidence[:, t].cpu().numpy(),
                    pixels[:, t].cpu().numpy(),
                    pack(masks[:, t]),
                )
            )
        return object_scores

    def _start(self, classes: Tensor) -> None:
        tubes, device = len(classes), classes.device
        # MPS has no double precision.
        kind = torch.float32 if device.type == "mps" else torch.float64
        self._score_sum = torch.zeros(classes.shape, dtype=kind, device=device)
        self._object_sum = torch.zeros(tubes, 2, dtype=kind, device=device)
        self._confidence_sum = torch.zeros(tubes, dtype=kind, device=device)
        self._pixel_sum = torch.zeros(tubes, dtype=kind, device=device)

    def _classes_to_keep(self, classes: Tensor, objects: Tensor) -> tuple[NDArray[np.int64], bytes] | None:
        """Return the class scores that the choice of silenced frames may ask for: tubes and their packed rows."""
        share = self._settings.silence
        if share is None:
            return None
        needed = scoring.needs_classes(objects, share)
        if not self._settings.scores_bounded:
            needed = torch.ones_like(needed)
        tubes = torch.nonzero(needed).flatten()
        rows = scoring.sparse_classes(classes[tubes])
        return tubes.cpu().numpy(), zlib.compress(rows.cpu().numpy().tobytes(), 1)

    def scores(self) -> Tensor:
        """Return the scores (Q, K) of the video so far, in [0, 1], without the masks' quality."""
        mean = (self._score_sum / self._windows).float()
        return scoring.tube_scores(mean, (self._object_sum / self._windows).float(), self._settings)

    def mask_quality(self) -> Tensor:
        """Return the mean confidence (Q) of the masks' positive cells so far, in [0, 1]; 1 where it does not count."""
        if not self._settings.mask_quality:
            return torch.ones_like(self._pixel_sum).float()
        return (self._confidence_sum / (self._pixel_sum + 1e-6)).float()

    def finish(
        self,
        padded: tuple[int, int],
        kept: tuple[int, int],
        size: tuple[int, int],
        max_tracks: int,
        min_score: float,
    ) -> tuple[list[Track], MaskStore]:
        """Choose the best (tube, label) pairs and make their masks (released behaviour).

        Args:
            padded: height and width of the network's input.
            kept: the same without the padding.
            size: height and width of the video.
            max_tracks: number of pairs.
            min_score: pairs below it are left out.

        Returns:
            The tracks, best first, and the store their masks lie in.
        """
        scores = self.scores().cpu()
        count = min(max_tracks, scores.numel())
        tubes, labels = np.divmod(scores.flatten().topk(count).indices.numpy(), scores.shape[1])
        chosen = np.unique(tubes)
        listed = scores[chosen].topk(min(TOP_LABELS, scores.shape[1])).indices.numpy()
        # The pairs that become tracks, then those whose scores are listed with them.
        pairs = _Pairs(
            np.concatenate([tubes, chosen.repeat(listed.shape[1])]),
            np.concatenate([labels, listed.ravel()]),
            scores,
        )
        store = MaskStore(chosen, size, self._limit)
        try:
            silent = array("b")
            confidence, pixels = np.zeros(len(pairs.tubes)), np.zeros(len(pairs.tubes))
            for record in self._records.objects():
                hidden = self._silenced(record, pairs)
                confidence += np.where(hidden, 0, record[2][pairs.tubes])
                pixels += np.where(hidden, 0, record[3][pairs.tubes])
                silent.frombytes(hidden[:count].tobytes())
                seen = np.unique(tubes[~hidden[:count]])
                store.add(_frame_masks(record[4], seen, padded, kept, size))
        except BaseException:
            store.close()
            raise
        quality = confidence / (pixels + 1e-6) if self._settings.mask_quality else np.ones(len(pairs.tubes))
        final = (pairs.scores.numpy() * quality).tolist()
        names = [(self.labels[label], score) for label, score in zip(pairs.labels, final, strict=True)]
        flags = np.frombuffer(silent, dtype=np.bool_).reshape(-1, count)
        tracks = []
        for i in sorted(range(count), key=final.__getitem__, reverse=True):
            row = int(np.searchsorted(chosen, tubes[i]))
            top = names[count + row * listed.shape[1] : count + (row + 1) * listed.shape[1]]
            if final[i] >= min_score:
                tracks.append(
                    Track(
                        id=int(tubes[i]) + 1,
                        label=self.labels[labels[i]],
                        label_index=int(labels[i]),
                        score=final[i],
                        top_labels=tuple(sorted(top, key=lambda pair: -pair[1])),
                        masks=TubeMasks(store, row, flags[:, i]),
                    )
                )
        return tracks, store

    def _silenced(self, record: Any, pairs: _Pairs) -> NDArray[np.bool_]:
        """Return which pairs (P) a frame shows nothing of."""
        objects, kept_classes = record[0], record[1]
        if self._settings.silence is None:
            return np.zeros(len(pairs.tubes), dtype=np.bool_)
        rows, packed = kept_classes
        table = np.frombuffer(zlib.decompress(packed), dtype=np.float32).reshape(len(rows), len(self.labels))
        # A tube without kept classes is never silenced: any class score says so, such as 1.
        classes = np.ones(len(pairs.tubes), dtype=np.float32)
        if len(rows):
            place = np.searchsorted(rows, pairs.tubes).clip(max=len(rows) - 1)
            found = rows[place] == pairs.tubes
            classes[found] = table[place[found], pairs.labels[found]]
        hidden = scoring.silenced(
            torch.from_numpy(classes),
            torch.from_numpy(objects[pairs.tubes]),
            pairs.scores,
            self._settings.silence,
        )
        return hidden.numpy()

    def close(self) -> None:
        """Free the records."""
        self._records.close()


class _Pairs:
    """(tube, label) pairs and their scores without mask quality."""

    def __init__(self, tubes: NDArray[np.int64], labels: NDArray[np.int64], scores: Tensor) -> None:
        self.tubes, self.labels = tubes, labels
        self.scores = scores[torch.from_numpy(tubes), torch.from_numpy(labels)]


def _frame_masks(
    code: MaskCode, tubes: NDArray[Any], padded: tuple[int, int], kept: tuple[int, int], size: tuple[int, int]
) -> dict[int, Rle]:
    """Return the masks of the tubes that have any in a frame, by tube."""
    masks = {tube: rle_from_logits(x, padded, kept, size) for tube, x in unpack(code, tubes).items()}
    return {tube: mask for tube, mask in masks.items() if mask is not None}


class MaskStore:
    """The run-length codes of the chosen tubes, frame by frame; in a temporary file once they are many.

    Args:
        tubes: the chosen tubes, ascending.
        size: height and width of the masks.
        limit: bytes that stay in memory.
    """

    def __init__(self, tubes: NDArray[Any], size: tuple[int, int], limit: int) -> None:
        self._row = {int(tube): row for row, tube in enumerate(tubes)}
        self._size = list(size)
        self._codes = Spill(limit)
        self._numbers = array("q")  # for each frame and chosen tube, the number of its code, or -1
        self.frames = 0

    def add(self, masks: dict[int, Rle]) -> None:
        """Take the masks of the next frame, by tube."""
        numbers = [-1] * len(self._row)
        for tube, mask in masks.items():
            numbers[self._row[tube]] = self._codes.append(mask["counts"])
        self._numbers.extend(numbers)
        self.frames += 1

    def get(self, frame: int, row: int) -> Rle | None:
        """Return the mask of a chosen tube (by its rank) in a frame."""
        number = self._numbers[frame * len(self._row) + row]
        return None if number < 0 else {"size": list(self._size), "counts": self._codes[number]}

    def close(self) -> None:
        """Free the memory or the file; the masks cannot be read after it."""
        self._codes.close()


class TubeMasks(Sequence[Rle | None]):
    """The masks of one track, read when asked for.

    Args:
        store: where they lie.
        row: the tube's rank among the chosen ones.
        silent: for each frame whether the track shows nothing there.
    """

    def __init__(self, store: MaskStore, row: int, silent: NDArray[np.bool_]) -> None:
        self._store, self._row, self._silent = store, row, silent

    def __len__(self) -> int:
        return self._store.frames

    @overload
    def __getitem__(self, index: int) -> Rle | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[Rle | None]: ...
    def __getitem__(self, index: int | slice) -> Rle | list[Rle | None] | None:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of a track of {len(self)} frames")
        index %= len(self)
        return None if self._silent[index] else self._store.get(index, self._row)
