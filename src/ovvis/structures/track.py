"""A track, and what its masks answer."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, SupportsIndex, cast, overload

import numpy as np
from numpy.typing import NDArray

from ovvis import masks
from ovvis.errors import InputError
from ovvis.masks import BoolArray, Rle

if TYPE_CHECKING:  # results are read without a network: importing torch takes seconds
    from torch import Tensor

SHOWN_SCORE = 0.3
"""What a person is shown scores at least this, unless said otherwise; the list of results holds everything."""

Corners = Literal["xyxy", "xywh"]
"""How a box is written: left, top, right, bottom, or left, top, width, height. Right and bottom lie outside."""

Numbers = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Track:
    """One instance over the whole video under one of its names.

    Tracks of the same `id` are one tube under several labels: the same masks, another name and score.

    A `frame` is a position in the result, from 0, here and in `VideoResult`: `masks[frame]` is its mask. Negative ones
    count from the end. Nothing is kept of what is answered: masks are decoded when they are asked for. Pixels are those
    that the source stores; a pixel's left upper corner has its number as x and y, so its centre lies half a pixel on.
    """

    id: int  # the tube's number, from 1; the same as a stream gives
    label: str
    label_index: int  # position of the label in the vocabulary
    score: float  # in [0, 1]
    top_labels: tuple[tuple[str, float], ...]  # the tube's best labels with their scores, best first
    masks: Sequence[Rle | None]  # one for each frame of the video; None where nothing is seen
    size: tuple[int, int] | None = field(default=None, compare=False)  # H, W of the masks; None: as the masks say

    def __repr__(self) -> str:
        return f"Track(id={self.id}, label={self.label!r}, score={self.score:.3f}, {len(self.masks)} frames)"

    @property
    def frames(self) -> list[int]:
        """Positions (in the result, from 0) of the frames in which the instance is seen: with a pixel or more."""
        return [i for i, mask in enumerate(self.masks) if mask is not None and masks.area(mask)]

    def seen(self, frame: SupportsIndex) -> Rle | None:
        """Return the run-length code of a frame's mask; None where the instance has no pixel.

        Raises:
            InputError: there is no such frame.
        """
        mask = self.masks[position_of(frame, len(self.masks))]
        return mask if mask is not None and masks.area(mask) else None

    @overload
    def mask(self, frame: SupportsIndex, *, as_tensor: Literal[False] = False) -> BoolArray: ...
    @overload
    def mask(self, frame: SupportsIndex, *, as_tensor: Literal[True]) -> Tensor: ...
    def mask(self, frame: SupportsIndex, *, as_tensor: bool = False) -> BoolArray | Tensor:
        """Return a frame's mask (H, W; bool), decoded now; all False where the instance is not seen.

        Args:
            frame: position in the result.
            as_tensor: a PyTorch tensor in place of a NumPy array.

        Raises:
            InputError: there is no such frame.
        """
        code = self.masks[position_of(frame, len(self.masks))]
        found = np.zeros(self._size(), dtype=np.bool_) if code is None else np.ascontiguousarray(masks.decode(code))
        if not as_tensor:
            return found
        import torch

        return torch.from_numpy(found)

    def box(self, frame: SupportsIndex, corners: Corners = "xyxy") -> Numbers | None:
        """Return the tight box of a frame's mask, pixels; None where the instance is not seen.

        Args:
            frame: position in the result.
            corners: "xyxy" (left, top, right, bottom; right and bottom lie outside) or "xywh" (left, top, width,
                height).

        Raises:
            InputError: there is no such frame, or no such way to write a box.
        """
        if corners not in ("xyxy", "xywh"):
            raise InputError(f"corners {corners!r}: a box is written as xyxy or as xywh; choose one")
        code = self.seen(frame)
        if code is None:
            return None
        x, y, width, height = masks.box(code)
        return (x, y, width, height) if corners == "xywh" else (x, y, x + width, y + height)

    def boxes(self, corners: Corners = "xyxy") -> NDArray[np.float64]:
        """Return the box of every frame (T, 4), as `box` does; NaN where the instance is not seen."""
        return np.array([self.box(i, corners) or (np.nan,) * 4 for i in range(len(self.masks))]).reshape(-1, 4)

    def area(self, frame: SupportsIndex) -> int:
        """Return the number of pixels of a frame's mask; 0 where the instance is not seen."""
        code = self.seen(frame)
        return 0 if code is None else masks.area(code)

    def areas(self) -> NDArray[np.int64]:
        """Return the number of pixels in every frame (T)."""
        return np.array([self.area(i) for i in range(len(self.masks))], dtype=np.int64)

    def centre(self, frame: SupportsIndex) -> tuple[float, float] | None:
        """Return the mean place x, y of a frame's mask's pixels; None where the instance is not seen.

        The mean may lie outside the mask, as in a ring.
        """
        code = self.seen(frame)
        if code is None:
            return None
        columns, rows = masks.decode(code).T.nonzero()
        return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5

    def centres(self) -> NDArray[np.float64]:
        """Return the centre of every frame (T, 2), x and y; NaN where the instance is not seen."""
        return np.array([self.centre(i) or (np.nan, np.nan) for i in range(len(self.masks))]).reshape(-1, 2)

    def spans(self) -> list[tuple[int, int]]:
        """Return where the instance is seen without a gap: the first and the last frame of each span, both within."""
        found: list[tuple[int, int]] = []
        for frame in self.frames:
            if found and found[-1][1] == frame - 1:
                found[-1] = (found[-1][0], frame)
            else:
                found.append((frame, frame))
        return found

    def _size(self) -> tuple[int, int]:
        if self.size is not None:
            return self.size
        code = next((mask for mask in self.masks if mask is not None), None)
        if code is None:
            raise InputError(
                f"track {self.id} ({self.label}) is seen in no frame and its size is not known: give Track its size"
            )
        return cast("tuple[int, int]", tuple(code["size"]))


def one_label_each(tracks: Sequence[Track]) -> list[Track]:
    """Return of tracks, best first, one for each tube: under its best label."""
    best: dict[int, Track] = {}
    for track in tracks:
        best.setdefault(track.id, track)
    return list(best.values())


def position_of(frame: SupportsIndex, count: int) -> int:
    """Return a frame's position from 0, of one that may count from the end.

    Raises:
        InputError: it is no whole number, or there is no such frame.
    """
    try:
        position = operator.index(frame)
    except TypeError:
        raise InputError(
            f"frame {frame!r} must be a whole number, the position in the result; for a moment ask result.at(time=...)"
        ) from None
    if not -count <= position < count:
        held = f"0 to {count - 1}" if count else "none"
        raise InputError(
            f"frame {position}: the result holds {count} frames, {held}; frames are positions in the result: for the"
            " source's own number ask result.position(source_frame=...)"
        )
    return position % count
