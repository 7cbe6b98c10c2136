"""The masks of a track as a sequence of which each is read, or made, when it is asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import overload

from ovvis.masks import Rle


class MasksOnDemand(Sequence[Rle | None]):
    """The masks of a track (T), None where nothing is seen; a kind says how many there are, and gives one."""

    @abstractmethod
    def mask(self, place: int) -> Rle | None:
        """Return the mask at a place, in [0, T)."""

    @overload
    def __getitem__(self, index: int) -> Rle | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[Rle | None]: ...
    def __getitem__(self, index: int | slice) -> Rle | list[Rle | None] | None:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of a track of {len(self)} frames")
        return self.mask(index % len(self))
