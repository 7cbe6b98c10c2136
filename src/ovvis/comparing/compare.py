"""The comparison of results of one video: measured, its moments found, told in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from os import PathLike
from statistics import fmean
from typing import Any

import numpy as np

from ovvis.comparing.measure import BY, By, Differences, Floats, compare_tracks
from ovvis.comparing.moments import choose_moments
from ovvis.comparing.opening import Beside, Given, Opened, guess_format, open_result, open_truth, split_format
from ovvis.comparing.said import Named, Said, say, say_least
from ovvis.comparing.sides import Aligned, Side, align, same_names
from ovvis.datasets.annotations import Annotations
from ovvis.datasets.catalog import entries
from ovvis.datasets.exported import DATASETS
from ovvis.datasets.open import open_dataset
from ovvis.errors import InputError, nearest
from ovvis.paths import user_path
from ovvis.structures import SHOWN_SCORE

MOMENTS = 6
TRUTH = "truth"


@dataclass(frozen=True, slots=True)
class Compared:
    """Two sides, and how they differ."""

    first: int  # place in `Comparison.sides`
    second: int
    differences: Differences


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame in which the results differ much."""

    position: int  # among the compared frames
    frame: int  # its number in the source
    time: float  # seconds
    value: float  # in [0, 1]; what it was chosen by
    said: tuple[Said, ...]  # what differs, the gravest first


@dataclass(frozen=True, slots=True)
class Comparison:
    """Results of one video side by side.

    `values` has for each frame how much the results differ there, in [0, 1]: without a truth the mean over all pairs of
    results; with one, how far apart the worst and the best of them are from it, and of a single result its difference
    from it. See `ovvis.comparing.measure` for a pair's difference.
    """

    aligned: Aligned
    pairs: tuple[Compared, ...]  # every two results; with a truth: the truth with each
    by: By
    values: Floats  # T
    moments: tuple[Moment, ...]  # in the video's order
    min_score: float

    @property
    def sides(self) -> tuple[Side, ...]:
        """The truth, if there is one, and the results."""
        return self.aligned.sides

    @property
    def has_truth(self) -> bool:
        """Whether the first side is the truth."""
        return self.sides[0].is_truth

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know: what was left out, taken for something, or cannot agree."""
        return self.aligned.notes

    @property
    def times(self) -> tuple[float, ...]:
        """When each compared frame is shown, seconds."""
        return tuple(self.aligned.first.result.frame_times[place] for place in self.aligned.places)

    def mean(self, pair: Compared, what: By) -> float:
        """Return the difference of a pair in the mean over all frames, in [0, 1]."""
        return fmean(pair.differences.by(what).tolist())

    def numbers(self) -> list[list[int]]:
        """Return by side and track the number of the object that it is: what goes together over the video has one."""
        found: list[dict[int, int]] = [{} for _ in self.sides]
        taken = 0
        for place, side in enumerate(self.sides):
            for pair in self.pairs:
                if pair.second == place:
                    for mine, theirs in pair.differences.partners.items():
                        number = found[pair.first][mine]
                        if number not in found[place].values():
                            found[place].setdefault(theirs, number)
            for track in range(len(side.tracks)):
                if track not in found[place]:
                    found[place][track], taken = taken, taken + 1
        return [[numbers[track] for track in range(len(numbers))] for numbers in found]

    def save(self, folder: str | PathLike[str], **options: Any) -> Any:
        """Write pictures, video, viewer and tables into a folder; see `ovvis.comparing.writing.write`."""
        from ovvis.comparing.writing import write

        return write(self, folder, **options)


def compare(
    results: Mapping[str, Given] | Sequence[Given],
    truth: Given | Annotations | None = None,
    *,
    dataset: str | PathLike[str] | Annotations | None = None,
    video: str | None = None,
    data_root: str | PathLike[str] | None = None,
    frames: str | PathLike[str] | None = None,
    min_score: float = SHOWN_SCORE,
    by: By | str = "all",
    moments: int = MOMENTS,
    same_video: bool = False,
    on_pair: Callable[[int, int], object] | None = None,
) -> Comparison:
    """Compare results of one video, with each other or with the truth.

    Args:
        results: the results, or by name: what `ovvis.load_result` and `ovvis import` read (a format that cannot be told
            as "FORMAT:PLACE"), or a `VideoResult`.
        truth: a dataset's annotation of the video (a JSON, a name of `ovvis datasets`), or whatever holds the truth.
        dataset: of results that are of a dataset's videos: its name or JSON. It is the truth too, where it has one.
        video: which video of a file of several, by name or id.
        data_root: the folder that datasets lie in.
        frames: the folder of a dataset's frames.
        min_score: tracks below it are not compared, in [0, 1].
        by: what moments are chosen by: "all", "masks", "names" or "identities".
        moments: how many, at least 1.
        same_video: whether results of sources of other names are of one video.
        on_pair: told how many pairs of results are compared, and how many there are.

    Raises:
        InputError: something cannot be read, or they are not of one video.
    """
    if by not in BY:
        raise InputError(f"by {by!r}: {nearest(by, BY)}")
    if not 0 <= min_score <= 1:
        raise InputError(f"min_score {min_score:g} must lie in [0, 1]; 0 compares every track")
    if moments < 1:
        raise InputError(f"moments {moments}: it must be 1 or more")
    named: Iterable[tuple[str | None, Given]] = (
        results.items() if isinstance(results, Mapping) else ((None, one) for one in results)
    )
    known = None if dataset is None else _dataset(dataset, data_root, frames)
    opened = [open_result(given, name, Beside(known, video)) for name, given in named]
    true = _truth(truth, known, opened, video, data_root, frames)
    if len(opened) + (true is not None) < 2:
        raise InputError("give two results or more, or one with the truth (--truth)")
    return compared(align(opened, true, min_score, same_video), by, moments, min_score, on_pair)


def compared(
    aligned: Aligned,
    by: By | str,
    moments: int,
    min_score: float,
    on_pair: Callable[[int, int], object] | None = None,
) -> Comparison:
    """Measure results that are on the same frames."""
    what: By = next(one for one in BY if one == by)
    sides = aligned.sides
    places = [(0, k) for k in range(1, len(sides))] if sides[0].is_truth else list(combinations(range(len(sides)), 2))
    pairs: list[Compared] = []
    for a, b in places:
        pairs.append(Compared(a, b, _differences(sides[a], sides[b], len(aligned.indices))))
        if on_pair is not None:
            on_pair(len(pairs), len(places))
    each = np.stack([pair.differences.by(what) for pair in pairs])
    spread = sides[0].is_truth and len(pairs) > 1
    values: Floats = each.max(0) - each.min(0) if spread else each.mean(0)
    found = Comparison(aligned, tuple(pairs), what, values, (), min_score)
    chosen = choose_moments(np.round(values, 9).tolist(), moments)
    told = tuple(
        Moment(p, aligned.indices[p], found.times[p], float(values[p]), tuple(_said(found, p))) for p in chosen
    )
    return replace(found, moments=told)


def _differences(first: Side, second: Side, frames: int) -> Differences:
    mine, theirs = [track.masks for track in first.tracks], [track.masks for track in second.tracks]
    return compare_tracks(mine, theirs, same_names(first, second), frames)


def _said(found: Comparison, position: int) -> list[Said]:
    """Return what differs in a frame; beside a truth, without what all results have wrong alike."""
    named = [Named(side.name, side.tracks, side.is_truth) for side in found.sides]
    sides = [(named[pair.first], named[pair.second], pair.differences) for pair in found.pairs]
    each = [say(*two, position) for two in sides]
    if found.has_truth and len(each) > 1:
        shared = set.intersection(*({(one.kind, one.first) for one in said if one.first is not None} for said in each))
        shared = {(kind, track) for kind, track in shared if kind != "masks"}
        each = [[one for one in said if (one.kind, one.first) not in shared] for said in each]
    if not any(each):
        each = [say_least(*two, position) for two in sides]
    return [one for said in each for one in said]


def _dataset(
    given: str | PathLike[str] | Annotations, root: str | PathLike[str] | None, frames: str | PathLike[str] | None
) -> Annotations:
    if isinstance(given, Annotations):
        return given
    return open_dataset(str(given), None if root is None else str(root), None if frames is None else str(frames))


def _truth(
    given: Given | Annotations | None,
    dataset: Annotations | None,
    opened: Sequence[Opened],
    video: str | None,
    root: str | PathLike[str] | None,
    frames: str | PathLike[str] | None,
) -> Opened | None:
    """Return the truth: what is given for it, else the dataset's own where it has one."""
    source = next((one.result.source for one in opened if one.timed), opened[0].result.source if opened else "")
    if given is None:
        return open_truth(dataset, video, TRUTH, source) if dataset is not None and dataset.truths else None
    if isinstance(given, Annotations) or _is_dataset(given):
        assert not isinstance(given, Opened)
        data = given if isinstance(given, Annotations) else _dataset(str(given), root, frames)
        return open_truth(data, video, TRUTH, source)
    return open_result(given, TRUTH, Beside(dataset, video))


def _is_dataset(given: Any) -> bool:
    if not isinstance(given, (str, PathLike)):
        return False
    text = str(given)
    if text in {entry.name for entry in entries()}:
        return True
    format, place = split_format(text)
    if format is None and not place.exists():
        raise InputError(f"truth {user_path(text)} does not exist: check the path")
    return format is None and place.is_file() and guess_format(place) in DATASETS
