"""What training draws, and in which order: frames of a video, videos of a dataset, datasets of a mixture.

Everything random follows from a seed and the place in the endless sequence of draws, never from a process or a
worker: a run draws the same items whatever the number of either, and can go on from any place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from ovvis.errors import InputError

_BLOCK = 4096  # draws whose datasets are chosen at once
_ORDER, _CHOICE = 1, 2  # keep the streams of random numbers apart


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """How long a training item is, and how often each video is drawn."""

    frames: int = 1  # T; frames of a window. An image fills a longer window by repeating
    frame_range: int = 20  # frames; a window's frames lie at most this far from its reference frame
    shuffle_frames: bool = False  # a window's frames in random order instead of the video's
    repeat_threshold: float = 0.0  # share of the videos; categories in fewer are drawn more often (LVIS: 0.001). 0: off

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise InputError(f"frames is {self.frames}: a window has one frame or more; give 1 for single frames")
        if self.frame_range < 1:
            raise InputError(f"frame_range is {self.frame_range}: it counts frames on each side; give 1 or more")
        if not 0 <= self.repeat_threshold <= 1:
            raise InputError(
                f"repeat_threshold is {self.repeat_threshold}: it is a share of the videos; give 0 (off) to 1"
            )


class Draw(NamedTuple):
    """One item of the endless sequence."""

    position: int  # in the sequence, from 0, over all processes
    dataset: int  # which of the mixture
    video: int  # position in that dataset


def choose_frames(total: int, config: SamplingConfig, rng: np.random.Generator) -> list[int]:
    """Return which frames of a video make a window (T), as both papers' released code chooses them.

    A reference frame is any of the video; the others are drawn from those at most `frame_range` away from it. They
    differ from each other where the video has enough of them, and repeat where it has not.

    Args:
        total: frames of the video.
        config: how many, how far, in which order.
        rng: the item's own random numbers.
    """
    reference = int(rng.integers(total))
    first, last = max(reference - config.frame_range, 0), min(reference + config.frame_range + 1, total)
    near = [index for index in range(first, last) if index != reference]
    wanted = config.frames - 1
    if len(near) >= wanted:
        others = rng.choice(near, wanted, replace=False).tolist() if wanted else []
    else:
        others = near + rng.choice([*near, reference], wanted - len(near)).tolist()
    chosen = sorted([reference, *(int(index) for index in others)])
    return rng.permutation(chosen).tolist() if config.shuffle_frames else chosen


def repeat_factors(categories: Sequence[Iterable[int]], threshold: float) -> NDArray[np.float64]:
    """Return how often each video is drawn in an epoch: LVIS's repeat factors.

    With f(c) the share of videos that hold category c, r(c) = max(1, sqrt(threshold / f(c))); a video's factor is
    the largest r of its categories (Gupta et al., LVIS, 2019, appendix B).

    Args:
        categories: for each video, the categories of its instances.
        threshold: share of the videos; 0 draws each video once.

    >>> repeat_factors([{1}, {1}, {1, 2}, {1}], 0.5).round(2).tolist()
    [1.0, 1.0, 1.41, 1.0]
    """
    sets = [set(found) for found in categories]
    counts: dict[int, int] = {}
    for found in sets:
        for category in found:
            counts[category] = counts.get(category, 0) + 1
    factor = {c: max(1.0, (threshold * len(sets) / count) ** 0.5) for c, count in counts.items()}
    return np.array([max((factor[c] for c in found), default=1.0) for found in sets], dtype=np.float64)


class EndlessSampler(Sampler[Draw]):
    """An endless sequence of draws, dealt to the processes in turn.

    Each dataset is walked epoch by epoch: every video as often as its repeat factor says, fractions rounded up or
    down at random anew in each epoch, in a new random order. Which dataset a draw takes is random by weight.

    Args:
        factors: for each dataset of the mixture, each video's repeat factor.
        weights: for each dataset, its share of the draws, of any sum; None: as large as its epoch.
        seed: of the whole sequence.
        rank: this process; it takes the positions `rank`, `rank + processes`, ... after the start.
        processes: how many share the sequence.
        start: position that the walk starts from, over all processes.
    """

    def __init__(
        self,
        factors: Sequence[NDArray[np.float64]],
        weights: Sequence[float] | None = None,
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
        start: int = 0,
    ):
        sizes = np.array([float(factor.sum()) for factor in factors])
        if not len(sizes) or not sizes.all():
            raise InputError("a dataset of the mixture holds no video: each must hold one or more; leave it out")
        shares = sizes if weights is None else np.asarray(weights, dtype=np.float64)
        if len(shares) != len(sizes) or not np.isfinite(shares).all() or (shares <= 0).any():
            raise InputError(f"weights are {list(weights or ())}: each of the {len(sizes)} datasets needs one above 0")
        self._factors, self._shares = list(factors), shares / shares.sum()
        self.seed, self.rank, self.processes, self.start = seed, rank, processes, start

    @property
    def epoch(self) -> float:
        """Draws after which every video was drawn once on average, repeats included."""
        return float(sum(factor.sum() for factor in self._factors))

    def __iter__(self) -> Iterator[Draw]:
        walks = [self._walk(d, done) for d, done in enumerate(self._draws_before(self.start))]
        position = self.start
        while True:
            block = self._choices(position // _BLOCK)
            for dataset in block[position % _BLOCK :]:
                video = next(walks[dataset])
                if (position - self.start) % self.processes == self.rank:
                    yield Draw(position, int(dataset), video)
                position += 1

    def _choices(self, block: int) -> NDArray[np.int64]:
        """Return which dataset each draw of a block takes."""
        if len(self._shares) == 1:
            return np.zeros(_BLOCK, dtype=np.int64)
        rng = np.random.default_rng([self.seed, _CHOICE, block])
        return rng.choice(len(self._shares), _BLOCK, p=self._shares)

    def _draws_before(self, position: int) -> NDArray[np.int64]:
        """Return how many draws each dataset gave before a position."""
        counts = np.zeros(len(self._shares), dtype=np.int64)
        if len(counts) == 1:
            return counts + position
        for block in range(position // _BLOCK + 1):
            chosen = self._choices(block)[: max(position - block * _BLOCK, 0)]
            counts += np.bincount(chosen, minlength=len(counts))
        return counts

    def _walk(self, dataset: int, done: int) -> Iterator[int]:
        """Yield a dataset's videos from its draw number `done` on."""
        factors, epoch = self._factors[dataset], 0
        while True:
            rng = np.random.default_rng([self.seed, _ORDER, dataset, epoch])
            repeats = (np.floor(factors) + (rng.random(len(factors)) < factors % 1)).astype(np.int64)
            total = int(repeats.sum())
            if done < total:
                order = rng.permutation(np.repeat(np.arange(len(factors)), repeats))
                yield from order[done:].tolist()
            done = max(done - total, 0)
            epoch += 1
