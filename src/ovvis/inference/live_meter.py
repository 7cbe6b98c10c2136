"""How a live stream fares: pictures a second, time from capture to picture, what was left out, what was seen."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from ovvis.structures import LiveFrame

_LATEST = 1000  # pictures whose latency counts in the figures of the moment
_RATE = 60  # pictures whose rate is told
_EDGES = np.geomspace(1e-4, 1e4, 1601)  # seconds; bounds of the bins of all latencies, 1.2 % apart


@dataclass(slots=True)
class Sighted:
    """What was seen under one label."""

    ids: int = 0  # objects that were first shown under it
    frames: int = 0  # instances shown, frame by frame
    best: float = 0.0  # highest score


class LiveMeter:
    """Counts and times a stream in memory that does not grow with it."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.frames = self.left_out = self.ids = 0
        self.labels: dict[str, Sighted] = {}  # one for each label that was shown
        self._latencies: deque[float] = deque(maxlen=_LATEST)
        self._moments: deque[float] = deque(maxlen=_RATE)
        self._bins = np.zeros(len(_EDGES) + 1, dtype=np.int64)

    def picture(self, live: LiveFrame) -> float:
        """Count a frame whose picture is ready; return its seconds from capture to now."""
        now = time.monotonic()
        latency = now - live.captured
        self.frames += 1
        self.left_out += live.left_out
        self._latencies.append(latency)
        self._moments.append(now)
        self._bins[np.searchsorted(_EDGES, latency)] += 1
        for one in live.instances:
            sighted = self.labels.setdefault(one.label, Sighted())
            if one.id > self.ids:
                sighted.ids += 1
            sighted.frames += 1
            sighted.best = max(sighted.best, one.score)
        self.ids = max([self.ids, *(one.id for one in live.instances)])
        return latency

    @property
    def seconds(self) -> float:
        """Seconds since the stream began."""
        return time.monotonic() - self.begun

    @property
    def fps(self) -> float:
        """Pictures a second, lately."""
        moments = self._moments
        span = moments[-1] - moments[0] if moments else 0.0
        return (len(moments) - 1) / span if span > 0 else 0.0

    def latency(self, share: float) -> float:
        """Return the latency (s) that a share of the latest pictures stays below; 0 where there is none yet."""
        return float(np.quantile(np.array(self._latencies), share)) if self._latencies else 0.0

    def latency_of_all(self, share: float) -> float:
        """Return the same of all pictures, to about a hundredth of itself."""
        if not self.frames:
            return 0.0
        place = int(np.searchsorted(self._bins.cumsum(), share * self.frames))
        return float(_EDGES[min(place, len(_EDGES) - 1)])

    def figures(self) -> dict[str, Any]:
        """Return the figures of the moment, for a status line, a page or a file; seconds and counts."""
        return {
            "seconds": round(self.seconds, 3),
            "frames": self.frames,
            "left_out": self.left_out,
            "fps": round(self.fps, 2),
            "latency_p50": round(self.latency(0.5), 4),
            "latency_p95": round(self.latency(0.95), 4),
            "ids": self.ids,
        }
