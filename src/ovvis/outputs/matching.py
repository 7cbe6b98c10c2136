"""Which frame of a video is which of a result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ovvis.errors import InputError
from ovvis.structures import Frame, VideoResult


def result_frames(result: VideoResult, frames: Iterable[Frame]) -> Iterator[tuple[int, Frame]]:
    """Yield the frames that a result is of, each with its position in it.

    Args:
        result: what knows which frames it is of.
        frames: the frames that were segmented, each once and in the result's order; others among them are passed over.

    Raises:
        InputError: a frame has another size than the masks, comes twice or out of order, or none is the result's.
    """
    positions = _positions(result.frame_indices)
    size, any_came = (result.height, result.width), False
    for position, frame in _in_order(frames, positions):
        if frame.image.shape[:2] != size:
            raise InputError(
                f"frame {frame.index} of {frame.image.shape[1]}x{frame.image.shape[0]} pixels must have "
                f"the result's size, {size[1]}x{size[0]}: give the video that was segmented"
            )
        yield position, frame
        any_came = True
    if not any_came:
        raise InputError(
            f"none of the {len(positions)} frames of the result is among those given: give the video that was"
            " segmented, with the same options"
        )


def _positions(indices: Sequence[int]) -> dict[int, int]:
    """Return the position of each index of a result.

    Raises:
        InputError: an index repeats, so that its masks could be those of another frame.
    """
    positions: dict[int, int] = {}
    for position, index in enumerate(indices):
        before = positions.setdefault(index, position)
        if before != position:
            raise InputError(
                f"the result has frame {index} twice, at positions {before} and {position}: its masks may be another"
                " frame's; segment the video again"
            )
    return positions


def _in_order(frames: Iterable[Frame], positions: dict[int, int]) -> Iterator[tuple[int, Frame]]:
    """Yield the frames that have a position in a result, with it.

    Raises:
        InputError: a frame comes twice, or behind one that follows it in the result.
    """
    last: Frame | None = None
    for frame in frames:
        position = positions.get(frame.index)
        if position is None:
            continue
        if last is not None and position <= positions[last.index]:
            how = "twice" if frame.index == last.index else f"after frame {last.index}, not before it as in the result"
            raise InputError(
                f"frame {frame.index} comes {how}: give the frames of the video that was segmented, each once and in"
                " order"
            )
        last = frame
        yield position, frame
