"""What differs between two results in a frame, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ovvis.comparing.measure import Differences, FrameDifference, Pair
from ovvis.structures import Track

Kind = Literal["object", "name", "identity", "masks"]
KINDS: dict[Kind, str] = {
    "object": "missing object",
    "name": "another name",
    "identity": "another identity",
    "masks": "other masks",
}
ALIKE = 0.8  # overlap from which on masks are taken for the same


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that differs."""

    kind: Kind
    text: str
    first: int | None  # place of the track in the first set; None: it has none
    second: int | None


@dataclass(frozen=True, slots=True)
class Named:
    """A set of tracks with its name."""

    name: str
    tracks: Sequence[Track]
    is_truth: bool = False


def say(first: Named, second: Named, differences: Differences, position: int) -> list[Said]:
    """Return what differs in a frame, the gravest first: an object that only one has, names, identities, masks.

    Args:
        first: a result, or the truth.
        second: a result.
        differences: of both.
        position: the frame's.
    """
    frame = differences.frames[position]
    return [*_alone(first, second, frame), *_other(first, second, differences, frame), *_masks(first, second, frame)]


def _alone(first: Named, second: Named, frame: FrameDifference) -> Iterator[Said]:
    for i in frame.only_first:
        yield Said("object", f"{second.name} lacks {called(first.tracks[i])} of {first.name}", i, None)
    for j in frame.only_second:
        what = called(second.tracks[j])
        text = (
            f"{what} of {second.name} is not true" if first.is_truth else f"{first.name} lacks {what} of {second.name}"
        )
        yield Said("object", text, None, j)


def _other(first: Named, second: Named, differences: Differences, frame: FrameDifference) -> Iterator[Said]:
    followed = [pair for pair in frame.pairs if pair.followed]
    for pair in followed:
        if not pair.same_name:
            yield Said("name", _both(first, second, pair), pair.first, pair.second)
    owners = {j: i for i, j in differences.partners.items()}
    for pair in followed:
        if pair.same_object:
            continue
        text = f"here {_both(first, second, pair)}"
        if (other := differences.partners.get(pair.first)) is not None:
            text += f", else {called(second.tracks[other])}"
        elif (owner := owners.get(pair.second)) is not None:
            text += f", which else is {called(first.tracks[owner])} of {first.name}"
        yield Said("identity", text, pair.first, pair.second)


def say_least(first: Named, second: Named, differences: Differences, position: int) -> list[Said]:
    """Return the masks that differ most in a frame in which nothing differs that is worth a word, if any do."""
    return list(_masks(first, second, differences.frames[position], 1.0))[:1]


def _masks(first: Named, second: Named, frame: FrameDifference, alike: float = ALIKE) -> Iterator[Said]:
    for pair in sorted(frame.pairs, key=lambda pair: pair.overlap):
        if pair.overlap < alike:
            one, other = called(first.tracks[pair.first]), called(second.tracks[pair.second])
            text = f"{one} of {first.name} and {other} of {second.name} overlap by {pair.overlap:.2f}"
            yield Said("masks", text, pair.first, pair.second)


def _both(first: Named, second: Named, pair: Pair) -> str:
    one, other = called(first.tracks[pair.first]), called(second.tracks[pair.second])
    return f"{one} of {first.name} is {other} of {second.name}"


def called(track: Track) -> str:
    """Return a track's label and number."""
    return f"{track.label} #{track.id}"
