"""Where the masks of a track begin and end: areas and shared pixels of whole tracks, counted exactly.

A track is read as one long row of pixels, frame after frame and column by column within a frame, as run-length codes
are. The places at which it changes, two for each run of ones, are all that counting needs: put the places of two
tracks in one row and sort them, and every second gap is a run of pixels that only one of the two has.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ovvis.masks import BATCH, DamagedCodeError, Rle, sound_run_lengths

Ints = NDArray[np.int64]

KEPT = 2**27
"""Bytes of borders that are kept of tracks read together; of those beyond they are found when asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Borders:
    """The places at which a track's masks change.

    >>> found = borders([{"size": [2, 2], "counts": b"13"}, None, {"size": [2, 2], "counts": b"022"}])
    >>> found.places.tolist(), found.starts.tolist(), found.areas.tolist()
    ([1, 4, 8, 10], [0, 2, 2, 4], [3, 0, 2])
    """

    places: NDArray[np.int32] | Ints  # 2 for each run of ones: its first pixel and the one after its last; ascending
    starts: Ints  # T + 1; where each frame's places begin, and the end of the last
    areas: Ints  # T; pixels in each frame
    frame: int  # pixels of a frame, H x W; 0 if no frame has a mask


class BorderedMasks(Sequence[Rle | None]):
    """Masks of a track (T) that know their borders, or how to find them."""

    __slots__ = ()

    size: tuple[int, int]  # height and width of all

    @abstractmethod
    def borders(self) -> Borders:
        """Return where the masks change."""


class CheckedMasks(BorderedMasks):
    """Masks of a track (T) whose codes are sound.

    Args:
        masks: one a frame, all of one size; None where nothing is seen.
        size: height and width of all.
        found: their borders; None: they are found anew each time, which takes time but no memory.
    """

    __slots__ = ("_borders", "_masks", "size")

    def __init__(self, masks: Sequence[Rle | None], size: tuple[int, int], found: Borders | None) -> None:
        self._masks = tuple(masks)
        self.size = size
        self._borders = found

    def __len__(self) -> int:
        return len(self._masks)

    @overload
    def __getitem__(self, index: int) -> Rle | None: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Rle | None, ...]: ...
    def __getitem__(self, index: int | slice) -> Rle | tuple[Rle | None, ...] | None:
        return self._masks[index]

    def __iter__(self) -> Iterator[Rle | None]:
        return iter(self._masks)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"CheckedMasks({self._masks})"

    def borders(self) -> Borders:
        """Return where the masks change."""
        return self._borders or borders(self._masks)


class DamagedMaskError(ValueError):
    """A mask is no run-length code of its frame's pixels, or has another size than the first."""

    def __init__(self, track: int, frame: int) -> None:
        super().__init__(f"the run-length code of frame {frame} is damaged, or of another size than the first")
        self.track, self.frame = track, frame


def borders(masks: Sequence[Rle | None]) -> Borders:
    """Return where a track's masks (T) change. All must be of one size.

    Raises:
        DamagedMaskError: a mask is no run-length code of its frame's pixels.
    """
    return borders_of_tracks([masks])[0]


def borders_of_tracks(tracks: Sequence[Sequence[Rle | None]]) -> list[Borders]:
    """Return where the masks of each of many tracks change, as `borders` does; the tracks share one size.

    Raises:
        DamagedMaskError: a mask is no run-length code of its frame's pixels.
    """
    found: list[Borders] = []
    first = 0
    while first < len(tracks):
        codes: list[bytes] = []
        last = first
        while last < len(tracks) and (last == first or len(codes) + len(tracks[last]) <= BATCH):
            codes += [_bytes(mask["counts"]) for mask in tracks[last] if mask]
            last += 1
        found += _batch(tracks[first:last], codes, first)
        first = last
    return found


def checked_masks(tracks: Sequence[Sequence[Rle | None]], size: tuple[int, int]) -> list[CheckedMasks]:
    """Return tracks with their borders, so that nobody reads their codes again.

    Args:
        tracks: masks of each, all of the size.
        size: height and width.

    Raises:
        DamagedMaskError: a mask is no run-length code of its frame's pixels.
    """
    checked: list[CheckedMasks] = []
    memory = 0
    for start in range(0, len(tracks), BATCH):
        some = tracks[start : start + BATCH]
        try:
            found = borders_of_tracks(some)
        except DamagedMaskError as error:
            raise DamagedMaskError(start + error.track, error.frame) from error
        for masks, its in zip(some, found, strict=True):
            memory += its.places.nbytes
            checked.append(CheckedMasks(masks, size, its if memory <= KEPT else None))
    return checked


def shared_pixels(first: Borders, second: Borders, begin: int, end: int) -> int:
    """Return the pixels that two tracks share in the frames from `begin` to before `end`.

    >>> one = borders([{"size": [2, 2], "counts": b"13"}, {"size": [2, 2], "counts": b"022"}])
    >>> other = borders([{"size": [2, 2], "counts": b"04"}, {"size": [2, 2], "counts": b"112"}])
    >>> shared_pixels(one, other, 0, 2)
    4
    """
    mine = first.places[first.starts[begin] : first.starts[end]]
    theirs = second.places[second.starts[begin] : second.starts[end]]
    places: NDArray[Any] = np.concatenate((mine, theirs))
    places.sort()
    of_one = int((places[1::2] - places[::2]).sum(dtype=np.int64))
    return (int(first.areas[begin:end].sum()) + int(second.areas[begin:end].sum()) - of_one) // 2


def _bytes(counts: bytes | str) -> bytes:
    return counts if isinstance(counts, bytes) else counts.encode("utf-8", "surrogatepass")


def _batch(tracks: Sequence[Sequence[Rle | None]], codes: list[bytes], first: int) -> list[Borders]:
    """Return the borders of tracks whose codes are given; `first` is the number of the first track."""
    size = next((mask["size"] for track in tracks for mask in track if mask), None)
    if size is None:
        empty = np.zeros(0, dtype=np.int32)
        none = [np.zeros(len(track) + 1, dtype=np.int64) for track in tracks]
        return [Borders(empty, starts, starts[1:], 0) for starts in none]
    frame = int(size[0]) * int(size[1])
    try:
        runs, starts = sound_run_lengths(codes, frame)
    except DamagedCodeError as error:
        number = [(i, t) for i, track in enumerate(tracks) for t, mask in enumerate(track) if mask][error.index]
        raise DamagedMaskError(first + number[0], number[1]) from error
    # Each code's runs are a frame's pixels, so their sums go on from code to code as the frames do.
    most = frame * max(len(codes), *(len(track) for track in tracks))
    dtype = np.dtype(np.int32 if most < 2**31 else np.int64)
    lengths = np.diff(starts)
    kept = np.ones(len(runs), dtype=np.bool_)
    kept[starts[1:][lengths % 2 == 1] - 1] = False  # the end of a last run of zeros is no border
    places: NDArray[np.int32] | Ints = np.cumsum(runs, dtype=dtype)[kept]
    ends = np.concatenate(([0], np.cumsum(lengths - lengths % 2)))
    inside = np.concatenate(([0], np.cumsum(places[1::2] - places[::2], dtype=np.int64)))
    areas = np.diff(inside[ends // 2])

    found, code = [], 0
    for track in tracks:
        seen = np.flatnonzero([mask is not None for mask in track])
        last = code + len(seen)
        counts, own_areas = np.zeros((2, len(track)), dtype=np.int64)
        counts[seen], own_areas[seen] = np.diff(ends[code : last + 1]), areas[code:last]
        shift = (seen - np.arange(code, last)) * frame  # from the row of codes to the row of frames
        own = places[ends[code] : ends[last]] + np.repeat(shift, counts[seen]).astype(dtype)
        found.append(Borders(own, np.concatenate(([0], np.cumsum(counts))), own_areas, frame))
        code = last
    return found
