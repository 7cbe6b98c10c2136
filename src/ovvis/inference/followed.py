"""Things that were detected frame by frame become tracks: whoever they come from, whoever follows them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ovvis.inference.spill import DEFAULT_LIMIT, Spill
from ovvis.inference.tubes import TOP_LABELS
from ovvis.masks import Rle
from ovvis.structures import Detected, Followed, Frame, Track
from ovvis.structures.masks_on_demand import MasksOnDemand
from ovvis.tracking.detected import Association

UNNAMED = "object"
"""The label of what nobody named."""

Floats = NDArray[np.float64]
Final = Callable[[Floats, Floats], Floats]
"""Scores (n, K) of tubes from the means over their frames: of the names' scores (n, K) and of the things' (n)."""


def geometric(names: Floats, scores: Floats) -> Floats:
    """Return the geometric mean of how a tube is named and how sure the detector was, as CLIP-VIS weighs both."""
    product: Floats = np.sqrt(names * scores[:, None])
    return product


@dataclass
class Gatherer:
    """What the tubes of a video's things are made of: sums of their scores, and masks that outgrow memory.

    Args:
        size: height and width of the frames.
        labels: of `Detected.names`; None: the things bring labels of their own.
        limit: bytes of masks that stay in memory.
    """

    size: tuple[int, int]
    labels: tuple[str, ...] | None = None
    limit: int = DEFAULT_LIMIT
    frames: int = 0
    _tubes: list[_Tube] = field(default_factory=list)
    _of: dict[int, _Tube] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._codes = Spill(self.limit)

    def add(self, detected: Detected, followed: Followed) -> None:
        """Take the next frame's things and the tubes that they continue; those of no tube are dropped."""
        for i, number in enumerate(followed.tubes.tolist()):
            if number >= 0:
                tube = self._tube(number)
                tube.show(self.frames, self._codes.append(detected.masks[i]["counts"]))
                tube.name(detected, i)
        for number, mask in followed.carried:
            self._tube(number).show(self.frames, self._codes.append(mask["counts"]))
        self.frames += 1

    def _tube(self, number: int) -> _Tube:
        if number not in self._of:
            self._of[number] = _Tube(len(self._tubes) + 1)
            self._tubes.append(self._of[number])
        return self._of[number]

    def finish(
        self, final: Final = geometric, max_tracks: int | None = None, min_score: float = 0.0, min_frames: int = 1
    ) -> tuple[list[Track], tuple[str, ...], Spill]:
        """Return the tracks, best first, the vocabulary, and what holds their masks until it is closed.

        Args:
            final: makes a tube's scores, where things are named by a vocabulary. A label that things bring scores the
                mean of their scores over the tube's frames, 0 where they bring another.
            max_tracks: the best (tube, label) pairs become tracks; None: each tube does, under all labels that its
                things bring, or under its best of a vocabulary.
            min_score: tracks below it are left out.
            min_frames: tubes in fewer frames are left out.
        """
        tubes = [tube for tube in self._tubes if len(tube.shown) >= min_frames and tube.seen]
        if self.labels is not None:
            tubes = [tube for tube in tubes if tube.named]
        if self.labels is None:
            labels = tuple(dict.fromkeys(label for tube in tubes for label in tube.by_label)) or (UNNAMED,)
            places = {label: place for place, label in enumerate(labels)}
            scored = [{places[label]: total / tube.seen for label, total in tube.by_label.items()} for tube in tubes]
        else:
            labels = self.labels
            scored = self._named(tubes, final, max_tracks)
        pairs = [(score, row, place) for row, scores in enumerate(scored) for place, score in scores.items()]
        best = sorted((pair for pair in pairs if pair[0] >= min_score), key=lambda pair: -pair[0])[:max_tracks]
        tracks = [self._track(tubes[row], labels, scored[row], place) for _, row, place in best]
        return tracks, labels, self._codes

    def _named(self, tubes: Sequence[_Tube], final: Final, max_tracks: int | None) -> list[dict[int, float]]:
        """Return of each tube the labels that may be its tracks', with their scores."""
        if not tubes:
            return []
        names = np.stack([tube.names / tube.named for tube in tubes])
        scores = np.array([tube.score / tube.seen for tube in tubes])
        table = final(names, scores) * np.array([tube.quality / tube.seen for tube in tubes])[:, None]
        for tube, row in zip(tubes, table, strict=True):
            tube.top = [(int(place), float(row[place])) for place in np.argsort(-row, kind="stable")[:TOP_LABELS]]
        if max_tracks is None:
            return [dict(tube.top[:1]) for tube in tubes]
        least = np.sort(table, axis=None)[-min(max_tracks, table.size)]
        return [{int(place): float(row[place]) for place in np.flatnonzero(row >= least)} for row in table]

    def _track(self, tube: _Tube, labels: tuple[str, ...], scores: dict[int, float], place: int) -> Track:
        top = tube.top or sorted(scores.items(), key=lambda pair: -pair[1])[:TOP_LABELS]
        return Track(
            id=tube.id,
            label=labels[place],
            label_index=place,
            score=scores[place],
            top_labels=tuple((labels[other], score) for other, score in top),
            masks=_Shown(self._codes, tube, self.frames, self.size),
            size=self.size,
        )

    def close(self) -> None:
        """Free the masks."""
        self._codes.close()


class _Tube:
    """One tube: where it is shown, and the sums of what its things said."""

    def __init__(self, id: int) -> None:
        self.id = id  # from 1
        self.shown, self.codes = array("q"), array("q")  # frames, ascending, and the numbers of their codes
        self.seen = 0  # frames in which a thing showed it; in others its mask was carried
        self.named = 0  # those of them in which it was named by a vocabulary
        self.score = self.quality = 0.0
        self.by_label: Counter[str] = Counter()
        self.names: Floats = np.zeros(0)
        self.top: list[tuple[int, float]] = []

    def show(self, frame: int, code: int) -> None:
        self.shown.append(frame)
        self.codes.append(code)

    def name(self, detected: Detected, i: int) -> None:
        score = float(detected.scores[i])
        self.seen += 1
        self.score += score
        self.quality += 1.0 if detected.quality is None else float(detected.quality[i])
        if detected.names is not None:
            row = detected.names[i].astype(np.float64)
            if not np.isnan(row).any():
                self.named += 1
                self.names = row if not len(self.names) else self.names + row
        else:
            self.by_label[(detected.labels[i] if detected.labels else "") or UNNAMED] += score  # type: ignore[assignment]


class _Shown(MasksOnDemand):
    """The masks of a tube, read when asked for."""

    def __init__(self, codes: Spill, tube: _Tube, frames: int, size: tuple[int, int]) -> None:
        self._codes, self._frames, self._size = codes, frames, size
        self._where, self._numbers = np.array(tube.shown), np.array(tube.codes)

    def __len__(self) -> int:
        return self._frames

    def mask(self, place: int) -> Rle | None:
        """Return the mask at a place, in [0, T)."""
        self._codes.check_open()
        rank = int(np.searchsorted(self._where, place))
        if rank == len(self._where) or self._where[rank] != place:
            return None
        return {"size": list(self._size), "counts": self._codes[int(self._numbers[rank])]}


def follow(
    frames: Iterable[tuple[Frame, Detected]],
    association: Association,
    gatherer: Gatherer,
    on_frame: Callable[[int], None] | None = None,
) -> tuple[list[int], list[float]]:
    """Follow things through a video; return the frames' numbers and times.

    Args:
        frames: each frame with what was found in it.
        association: puts things to tubes; at its beginning.
        gatherer: takes the tubes.
        on_frame: called with the number of frames done.

    Raises:
        InputError: the association compares embeddings, and things have none.
    """
    indices: list[int] = []
    times: list[float] = []
    for frame, detected in frames:
        gatherer.add(detected, association.update(detected, frame.image))
        indices.append(frame.index)
        times.append(frame.time)
        if on_frame is not None:
            on_frame(len(indices))
    return indices, times
