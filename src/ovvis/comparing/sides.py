"""Results brought onto the same frames and words, or refused: only what is of one video can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ovvis.comparing.opening import Opened
from ovvis.datasets.words import categories_meant
from ovvis.errors import InputError
from ovvis.masks import Rle
from ovvis.outputs.formats.masks_in_file import MasksInFile
from ovvis.plain import told_apart
from ovvis.predictions.track_files import match_frames
from ovvis.sources.source import TIME_SLACK
from ovvis.structures import Track
from ovvis.vocabulary import plain_word

SHOWN = 5  # words in a message


@dataclass(frozen=True, slots=True)
class Side:
    """One of the compared results, or the truth, on the frames that all of them have."""

    name: str
    tracks: tuple[Track, ...]  # what is shown, best first; `masks` are of the common frames
    words: tuple[str, ...]  # of each track: its label, or the truth's category that it means
    is_truth: bool = False


@dataclass(frozen=True, slots=True)
class Aligned:
    """Results of one video."""

    sides: tuple[Side, ...]  # the truth, if there is one, first
    indices: tuple[int, ...]  # the common frames' numbers in the source
    first: Opened  # whose sizes, rates and times count
    places: tuple[int, ...]  # of the common frames in that result
    given: tuple[Opened, ...]  # as they came, their frames numbered as the first one's
    notes: tuple[str, ...]


def align(given: Sequence[Opened], truth: Opened | None, min_score: float, same_video: bool = False) -> Aligned:
    """Bring results onto the frames that all of them have.

    Args:
        given: the results.
        truth: what is true of their video.
        min_score: tracks below it are not compared, in [0, 1].
        same_video: whether results of sources of other names are of one video.

    Raises:
        InputError: they are of different videos, sizes or frames, or it cannot be told which frame is which.
    """
    everyone = _told_apart([*given, *([truth] if truth else [])])
    truth = everyone[-1] if truth else None
    first = next((one for one in everyone if one.timed), None) or next(
        (o for o in everyone if not o.files), everyone[0]
    )
    _same_size(everyone, first)
    notes = [note for one in everyone for note in one.notes]
    if not first.timed:
        notes.append(
            f"no result says when its frames are shown: times are those of {first.result.fps:g} frames a second"
        )
    notes += _of_one_source([one for one in everyone if one.timed], same_video)
    everyone = [_numbered(one, first) for one in everyone]
    indices = _common(everyone, notes)
    _same_times([one for one in everyone if one.timed], indices)
    truth = everyone[-1] if truth else None
    results = everyone[:-1] if truth else everyone
    sides = [_side(one, indices, min_score, truth) for one in results]
    if truth:
        sides = [replace(_side(truth, indices, 0.0, truth), is_truth=True), *sides]
    notes += _words_that_differ(results, truth)
    known = {index: place for place, index in enumerate(first.result.frame_indices)}
    places = tuple(known[index] for index in indices)
    return Aligned(tuple(sides), tuple(indices), first, places, tuple(everyone), tuple(notes))


def _told_apart(given: Sequence[Opened]) -> list[Opened]:
    """Return results whose names are different."""
    names: list[str] = []
    for one in given:
        names.append(told_apart(one.name, names))
    return [replace(one, name=name) for one, name in zip(given, names, strict=True)]


def _same_size(given: Sequence[Opened], first: Opened) -> None:
    width, height = first.result.width, first.result.height
    for one in given:
        if (one.result.width, one.result.height) != (width, height):
            raise InputError(
                f"{first.name} has masks of {width} x {height} pixels and {one.name} of {one.result.width} x "
                f"{one.result.height}: results of one video have one size; segment the same file"
            )


def _of_one_source(timed: Sequence[Opened], same_video: bool) -> list[str]:
    """Refuse results of sources of other names whose frames are others too; say where only the names differ."""
    notes = []
    for one in timed[1:]:
        first = timed[0]
        if _stem(one.result.source) == _stem(first.result.source):
            continue
        names = f"{first.name} is of {first.result.source!r} and {one.name} of {one.result.source!r}"
        if one.result.frame_indices != first.result.frame_indices and not same_video:
            raise InputError(f"{names}, and their frames differ too: if that is one video, say so with --same-video")
        notes.append(
            f"{names}: taken for one video, as size and frames agree"
            if not same_video
            else f"{names}: taken for one video"
        )
    return notes


def _stem(source: str) -> str:
    return PurePosixPath(source.replace("\\", "/")).stem.casefold()


def _numbered(one: Opened, first: Opened) -> Opened:
    """Return a result whose frames have the first one's numbers, where files say which they are."""
    if not one.files or one is first:
        return one
    try:
        places = match_frames(first.result.frame_indices, one.files)
    except InputError as error:
        raise InputError(f"{first.name} and {one.name}: {error}") from error
    numbers = [-1 - place for place in range(len(one.files))]  # no number that a source has
    for index, place in zip(first.result.frame_indices, places, strict=True):
        if place >= 0:
            numbers[place] = index
    return replace(one, result=replace(one.result, frame_indices=numbers))


def _common(given: Sequence[Opened], notes: list[str]) -> list[int]:
    """Return the frames that all have, in order; say how many each has besides."""
    shared = set(given[0].result.frame_indices).intersection(*(one.result.frame_indices for one in given[1:]))
    indices = sorted(index for index in shared if index >= 0)
    counts = ", ".join(f"{one.name} {len(one.result.frame_indices):,}" for one in given)
    if not indices:
        raise InputError(
            f"the results have no frame in common ({counts}): are they of one video, and of the same frames?"
        )
    for one in given:
        if len(set(one.result.frame_indices)) < len(one.result.frame_indices):
            raise InputError(f"{one.name} has a frame twice, so its masks may be another frame's: segment it again")
    if any(len(one.result.frame_indices) != len(indices) for one in given):
        notes.append(f"compared: the {len(indices):,} frames that all have ({counts})")
    return indices


def _same_times(timed: Sequence[Opened], indices: Sequence[int]) -> None:
    for one in timed[1:]:
        mine, theirs = _times(timed[0]), _times(one)
        for index in indices:
            if abs(mine[index] - theirs[index]) > 2 * TIME_SLACK:
                raise InputError(
                    f"frame {index} is shown at {mine[index]:.3f} s in {timed[0].name} and at {theirs[index]:.3f} s in "
                    f"{one.name}: they are of different videos"
                )


def _times(one: Opened) -> dict[int, float]:
    return dict(zip(one.result.frame_indices, one.result.frame_times, strict=True))


def _side(one: Opened, indices: Sequence[int], min_score: float, truth: Opened | None) -> Side:
    known = {index: place for place, index in enumerate(one.result.frame_indices)}
    places = [known[index] for index in indices]
    tracks = []
    for track in one.result.best_tracks(min_score):
        held: Sequence[Rle | None] = track.masks
        if places != list(range(len(held))):
            held = held.take(places) if isinstance(held, MasksInFile) else [held[place] for place in places]
        tracks.append(replace(track, masks=held))
    meant = _meanings(one, truth)
    return Side(one.name, tuple(tracks), tuple(meant.get(track.label, plain_word(track.label)) for track in tracks))


def _meanings(one: Opened, truth: Opened | None) -> dict[str, str]:
    """Return by label the word that counts: the category of the truth that it means, else its own."""
    labels = list(one.result.labels)
    words = {label: plain_word(label) for label in labels}
    if truth is not None:
        names = {category.id: plain_word(category.name) for category in truth.categories}
        words |= {labels[i]: names[id] for i, id in categories_meant(labels, truth.categories)[0].items()}
    return words


def _words_that_differ(results: Sequence[Opened], truth: Opened | None) -> Iterator[str]:
    """Yield what a person must know of results that were asked for other words: there their names cannot agree."""
    asked = [dict.fromkeys(_meanings(one, truth).values()) for one in results]
    for one, own in zip(results, asked, strict=True):
        others = [other for other in asked if other is not own]
        missing = [word for word in own if not any(word in other for other in others)] if others else []
        if missing and len(missing) == len(own):
            yield f"{one.name} shares no label with the others, so that all of its names differ: {_listed(missing)}"
        elif missing:
            yield f"{one.name} alone was asked for {_listed(missing)}"
    if truth is not None and truth.categories:
        known = {plain_word(category.name) for category in truth.categories}
        for one, own in zip(results, asked, strict=True):
            if strange := [word for word in own if word not in known]:
                many = f"{len(strange):,} of {len(own):,} labels"
                yield f"{one.name}: {many} are no category of the truth: {_listed(strange)}"


def _listed(words: Sequence[str]) -> str:
    shown = ", ".join(map(repr, words[:SHOWN]))
    return shown if len(words) <= SHOWN else f"{shown} and {len(words) - SHOWN:,} more"


def same_names(first: Side, second: Side) -> NDArray[np.bool_]:
    """Return for each pair of tracks whether they have the same name (N, M)."""
    mine, theirs = np.array(first.words, dtype=object), np.array(second.words, dtype=object)
    return np.asarray(mine[:, None] == theirs[None, :], dtype=np.bool_).reshape(len(mine), len(theirs))
