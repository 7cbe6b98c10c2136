"""The moments of a video in which its results differ most."""

from __future__ import annotations

from collections.abc import Sequence


def choose_moments(values: Sequence[float], count: int) -> list[int]:
    """Return frames of the largest values, in the video's order, spread over the video.

    The largest comes first, then the largest of those frames that are not near one that is chosen, and so on; of equal
    ones that which lies farthest from all chosen, then the earliest. Near is less than half of the distance that so
    many moments had if they lay evenly. A frame without a difference is no moment.

    Args:
        values: the difference of each frame (T), 0 or more.
        count: how many moments at most, at least 1.

    >>> choose_moments([0, 0.9, 0.8, 0.1, 0, 0.2, 0, 0], 2)
    [1, 5]
    """
    apart = max(-(-len(values) // (2 * count)), 1)
    away = [len(values)] * len(values)  # from the nearest that is chosen
    chosen: list[int] = []
    while len(chosen) < count:
        left = [place for place, value in enumerate(values) if value > 0 and away[place] >= apart]
        if not left:
            break
        best = max(left, key=lambda place: (values[place], away[place], -place))
        chosen.append(best)
        away = [min(far, abs(place - best)) for place, far in enumerate(away)]
    return sorted(chosen)
