"""Windows of a video from its beginning to its end, for what an export must have seen."""

from __future__ import annotations

from typing import TypeVar

from ovvis.errors import InputError
from ovvis.inference.region import shown_size
from ovvis.inference.windows import groups, make_window
from ovvis.models.model import Model
from ovvis.models.settings import LONG_EDGE
from ovvis.pixels import network_size
from ovvis.sources.source import Source
from ovvis.structures import Window

Item = TypeVar("Item")


class Spread(list[Item]):
    """Items that lie evenly over all that were shown, however many those are.

    Args:
        most: how many are kept; at least half of that, where so many were shown.

    >>> kept = Spread(4)
    >>> for item in range(11):
    ...     kept.show(item)
    >>> kept
    [0, 4, 8]
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most, self._step, self._shown = most, 1, 0

    def show(self, item: Item) -> None:
        """Keep an item, if it is one of those."""
        if self._shown % self._step == 0:
            if len(self) == self._most:
                del self[1::2]
                self._step *= 2
            if self._shown % self._step == 0:
                self.append(item)
        self._shown += 1


def spread_windows(model: Model, source: Source, most: int, size: tuple[int, int] | None = None) -> list[Window]:
    """Return windows from all over a video, as the network is given them.

    Args:
        model: the one that is to see them.
        source: the video.
        most: how many; fewer where the video has fewer.
        size: height and width that frames are brought to, whatever their shape; None for the model's own short edge.

    Raises:
        InputError: the video cannot be read, or shows no frame.
    """
    info = source.info
    size = size or network_size(*shown_size(info), model.short_edge, LONG_EDGE, info.pixel_aspect)
    kept = Spread[Window](most)
    frames = model.video.window or 1
    for group in groups(source, frames):
        if len(group) == frames:
            look = (model.pixel_mean, model.pixel_std, model.view_side, info.pixel_aspect, info.region)
            kept.show(make_window(group, size, *look))
    if not kept:
        raise InputError(f"{info.name} shows no {frames} frames: give a longer video")
    return list(kept)
