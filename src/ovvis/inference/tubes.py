"""Tubes: accumulates aligned windows, then selects the tracks."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovvis.inference import scoring
from ovvis.inference.fetched import sent
from ovvis.inference.final_masks import mask_confidence
from ovvis.inference.recording import FrameRecord, Recording
from ovvis.inference.seen import Seen, class_key
from ovvis.inference.spill import Spill
from ovvis.masks import Rle
from ovvis.models.settings import VideoSettings
from ovvis.structures import Track
from ovvis.structures.masks_on_demand import MasksOnDemand

TOP_LABELS = 5  # names that a track lists


class Tubes:
    """Holds what a video's tracks are made of: running means, and which query continued which tube.

    Args:
        labels: names of the K labels.
        settings: how scores are made.
        recording: the records of the video's frames, for `finish`; whoever adds windows here adds them there too.
            None for a stream that never ends.
    """

    def __init__(self, labels: Sequence[str], settings: VideoSettings, recording: Recording | None = None) -> None:
        self.labels = tuple(labels)
        self._settings = settings
        self._recording = recording
        self._windows = 0
        self._orders = array("h")  # the query of each tube, frame after frame
        # Sums over windows in double precision: the mean of a long video keeps its digits.
        self._score_sum = torch.zeros(0)
        self._object_sum = torch.zeros(0)
        self._confidence_sum = torch.zeros(0)
        self._pixel_sum = torch.zeros(0)

    def add(self, seen: Seen, order: Tensor) -> None:
        """Take the next window.

        Args:
            seen: the window.
            order: Q; the query that continues each tube.
        """
        here = sent(order, seen.objects.device)
        scores = seen.scores(self._settings)
        if not self._windows:
            self._start(scores)
        self._windows += 1
        self._score_sum += scores[here]
        self._object_sum += seen.object_logits[here]
        self._confidence_sum += seen.confidence[here].sum(1)
        self._pixel_sum += seen.pixels[here].sum(1)
        if self._recording is not None:
            self._orders.frombytes(order.numpy().astype(np.int16).tobytes() * seen.masks.shape[1])

    def settle(self, mean: Tensor) -> None:
        """Replace what was taken the mean of (Q, K): the mean over the video, of tubes that are named as a whole."""
        self._score_sum = mean.to(self._score_sum) * self._windows

    def silenced(self, seen: Seen, order: Tensor, labels: Tensor, scores: Tensor) -> Tensor:
        """Return of which tubes (Q) a window shows nothing, each under a label of its own.

        Args:
            seen: the window that was added last.
            order: Q; the query that continues each tube.
            labels: Q.
            scores: Q; those of these labels, of `scores`.
        """
        if self._settings.silence is None:
            return torch.zeros_like(labels, dtype=torch.bool)
        here, picked = order.to(labels.device), labels[:, None]
        evidence = seen.evidence(self._settings)[here].gather(1, picked)[:, 0]
        return scoring.silenced(evidence, seen.objects[here], scores, self._settings.silence)

    def _start(self, scores: Tensor) -> None:
        tubes, device = len(scores), scores.device
        # MPS has no double precision.
        kind = torch.float32 if device.type == "mps" else torch.float64
        self._score_sum = torch.zeros(scores.shape, dtype=kind, device=device)
        self._object_sum = torch.zeros(tubes, 2, dtype=kind, device=device)
        self._confidence_sum = torch.zeros(tubes, dtype=kind, device=device)
        self._pixel_sum = torch.zeros(tubes, dtype=kind, device=device)

    @property
    def single_image(self) -> bool:
        """Whether what was added is one frame, which the settings treat in a way of its own."""
        return self._settings.image_results is not None and len(self._recording or ()) == 1

    def scores(self) -> Tensor:
        """Return the scores (Q, K) of the video so far, in [0, 1], without the masks' quality."""
        mean, objects = ((total / self._windows).float() for total in (self._score_sum, self._object_sum))
        return scoring.video_scores(mean, objects, self._settings)

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
        assert self._recording is not None, "tubes of an endless stream keep no frames"
        recording, sizes = self._recording, (padded, kept, size)
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
        store = MaskStore(chosen, size, recording.limit)
        try:
            silent = array("b")
            confidence, pixels = np.zeros(len(pairs.tubes)), np.zeros(len(pairs.tubes))
            orders = np.frombuffer(self._orders, dtype=np.int16).reshape(len(recording), -1)
            making = deque[tuple[NDArray[np.int64], NDArray[np.int16], Callable[[], dict[int, Rle]]]]()

            def put(behind: int) -> None:
                while len(making) > behind:  # a device makes those of the next frame meanwhile
                    made, queries, read = making.popleft()
                    found = read()
                    store.add({t: found[query] for t, query in zip(made, queries, strict=True) if query in found})

            for number, (record, order) in enumerate(zip(recording, orders, strict=True)):
                queries = order[pairs.tubes]
                hidden = self._silenced(record, queries, pairs)
                confidence += np.where(hidden, 0, record.confidence[queries])
                pixels += np.where(hidden, 0, record.pixels[queries])
                silent.frombytes(hidden[:count].tobytes())
                seen = np.unique(tubes[~hidden[:count]])
                later = recording.masks_later(number, record.masks, order[seen].astype(np.int64), sizes)
                making.append((seen, order[seen], later))
                put(behind=1)
            put(behind=0)
        except BaseException:
            store.close()
            raise
        if self.single_image and recording.alone is not None:
            of_tube = {t: mask_confidence(recording.alone[orders[0][t]].cpu(), *sizes) for t in chosen.tolist()}
            quality = np.array([of_tube[t] for t in pairs.tubes.tolist()])
        else:
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
                        size=size,
                    )
                )
        return tracks, store

    def _silenced(self, record: FrameRecord, queries: NDArray[np.int16], pairs: _Pairs) -> NDArray[np.bool_]:
        """Return which pairs (P) a frame shows nothing of; `queries` (P) continue their tubes there."""
        if self._settings.silence is None:
            return np.zeros(len(pairs.tubes), dtype=np.bool_)
        # A query that is not kept is never silenced.
        assert self._recording is not None
        key = class_key(self._settings)
        classes = self._recording.evidence(record, key, queries, pairs.labels, len(self.labels))
        hidden = scoring.silenced(
            torch.from_numpy(classes),
            torch.from_numpy(record.objects[queries]),
            pairs.scores,
            self._settings.silence,
        )
        return hidden.numpy()


class _Pairs:
    """(tube, label) pairs and their scores without mask quality."""

    def __init__(self, tubes: NDArray[np.int64], labels: NDArray[np.int64], scores: Tensor) -> None:
        self.tubes, self.labels = tubes, labels
        self.scores = scores[torch.from_numpy(tubes), torch.from_numpy(labels)]


class MaskStore:
    """The run-length codes of the chosen tubes, frame by frame; in a temporary file once they are many.

    Args:
        tubes: the chosen tubes, ascending.
        size: height and width of the masks.
        limit: bytes that stay in memory.
    """

    def __init__(self, tubes: NDArray[np.int64], size: tuple[int, int], limit: int) -> None:
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
        self._codes.check_open()
        number = self._numbers[frame * len(self._row) + row]
        return None if number < 0 else {"size": list(self._size), "counts": self._codes[number]}

    def close(self) -> None:
        """Free the memory or the file; the masks cannot be read after it."""
        self._codes.close()


class TubeMasks(MasksOnDemand):
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

    def mask(self, place: int) -> Rle | None:
        """Return the mask at a place, in [0, T)."""
        return None if self._silent[place] else self._store.get(place, self._row)
