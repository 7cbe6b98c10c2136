"""The Kalman filter of SORT: boxes that move evenly (A. Bewley et al., ICIP 2016; https://arxiv.org/abs/1602.00763)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# The state is x and y of the centre, area, width by height, and what the first three change by in a frame. The numbers
# are those of the authors' code.
_SIZE, _SEEN = 7, 4
_MOVE = np.eye(_SIZE)
_MOVE[:3, 4:] = np.eye(3)
_START = np.diag([10.0, 10, 10, 10, 1e4, 1e4, 1e4])
_DRIFT = np.diag([1.0, 1, 1, 1, 1e-2, 1e-2, 1e-4])
_NOISE = np.diag([1.0, 1, 10, 10])


def to_state(boxes: Array) -> Array:
    """Return x, y of the centre, area, width by height (n, 4) of boxes x, y, width, height (n, 4)."""
    x, y, width, height = boxes.T
    return np.stack([x + width / 2, y + height / 2, width * height, width / height], axis=1)


def to_boxes(states: Array) -> Array:
    """Return boxes x, y, width, height (n, 4) of states (n, 4 or more); nan where an area is below 0."""
    x, y, area, aspect = states.T[:4]
    with np.errstate(invalid="ignore", divide="ignore"):
        width = np.sqrt(area * aspect)
        return np.stack([x - width / 2, y - area / width / 2, width, area / width], axis=1)


class KalmanBoxes:
    """The filters of n boxes at once.

    Attributes:
        states: n, 7.
        covariances: n, 7, 7.
    """

    def __init__(self) -> None:
        self.states: Array = np.zeros((0, _SIZE))
        self.covariances: Array = np.zeros((0, _SIZE, _SIZE))

    def __len__(self) -> int:
        return len(self.states)

    def add(self, boxes: Array) -> None:
        """Begin filters behind the others, at boxes (m, 4)."""
        new = np.zeros((len(boxes), _SIZE))
        new[:, :_SEEN] = to_state(boxes)
        self.states = np.concatenate([self.states, new])
        self.covariances = np.concatenate([self.covariances, np.broadcast_to(_START, (len(boxes), _SIZE, _SIZE))])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all filters but some (n)."""
        self.states, self.covariances = self.states[rows], self.covariances[rows]

    def predict(self) -> Array:
        """Go on by a frame and return where the boxes are then (n, 4)."""
        shrinking = self.states[:, 2] + self.states[:, 6] <= 0
        self.states[shrinking, 6] = 0  # no area below 0
        self.states = self.states @ _MOVE.T
        self.covariances = _MOVE @ self.covariances @ _MOVE.T + _DRIFT
        return to_boxes(self.states)

    def update(self, rows: NDArray[np.intp], boxes: Array) -> None:
        """Take where some of the boxes (m of them) were seen (m, 4)."""
        spread = self.covariances[rows]
        gain = spread[:, :, :_SEEN] @ np.linalg.inv(spread[:, :_SEEN, :_SEEN] + _NOISE)
        off = to_state(boxes) - self.states[rows, :_SEEN]
        self.states[rows] += (gain @ off[:, :, None])[:, :, 0]
        self.covariances[rows] = spread - gain @ spread[:, :_SEEN]
