"""The self-test: the small model on some frames of the packaged video, beside what it found where it was packaged.

Run as a process it computes; `compare` and `judge` are pure. The stored result is made by tools/stored_result.py.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ovvis.doctor.children import say
from ovvis.doctor.rows import Row

if TYPE_CHECKING:
    from ovvis.structures import VideoResult

TEST = "computes the same"
STORED = Path(str(resources.files("ovvis"))) / "doctor" / "stored.json"
FRAMES, EVERY = 8, 3  # which of the video are looked at
STORED_SCORE = 0.3  # least score of the stored tracks


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far two machines may be apart."""

    score: float
    overlap: float  # least mean IoU of a track's masks


# Between processors float32 differs by rounding alone; 16 bits move a score in its second or third digit.
BOUNDS = {"float32": Bounds(0.005, 0.99), "bfloat16": Bounds(0.05, 0.9), "float16": Bounds(0.05, 0.9)}


@dataclass(frozen=True, slots=True)
class Difference:
    """What lies between a result and the stored one.

    Attributes:
        absent: labels of stored tracks that have no counterpart.
        extra: labels of tracks that score well above `STORED_SCORE` and are not stored.
        score: the largest difference of two scores.
        overlap: the least mean IoU of two tracks over the frames.
    """

    absent: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    score: float = 0.0
    overlap: float = 1.0

    def within(self, bounds: Bounds) -> bool:
        """Return whether it is no more than rounding explains."""
        nothing = not self.absent and not self.extra
        return nothing and self.score <= bounds.score and self.overlap >= bounds.overlap

    def __str__(self) -> str:
        told = f"scores within {self.score:.1g}, masks' IoU at least {self.overlap:.4f}"
        lists = (("not found", self.absent), ("found besides", self.extra))
        return "; ".join([told, *(f"{what}: {', '.join(labels)}" for what, labels in lists if labels)])


def compare(stored: VideoResult, found: VideoResult, slack: float) -> Difference:
    """Return the difference of a result from the stored one, each track beside that of its label which overlaps most.

    Args:
        stored: tracks that score `STORED_SCORE` and more.
        found: all tracks, of the same frames.
        slack: how far above `STORED_SCORE` a track must score to be missed in the stored result.
    """
    free = list(found)
    absent: list[str] = []
    score, overlap = 0.0, 1.0
    for track in stored:
        alike = [(_overlap(track.masks, other.masks), other) for other in free if other.label == track.label]
        if not alike:
            absent.append(track.label)
            continue
        best, other = max(alike, key=lambda pair: pair[0])
        free.remove(other)
        overlap, score = min(overlap, best), max(score, abs(track.score - other.score))
    shown = {id(track) for track in found.best_tracks(STORED_SCORE + slack)}
    extra = tuple(track.label for track in free if id(track) in shown)
    return Difference(tuple(absent), extra, score, overlap)


def _overlap(one: object, other: object) -> float:
    """Return the mean IoU over frames; frames where neither is seen count as equal."""
    from ovvis import masks

    values = []
    for a, b in zip(one, other, strict=True):  # type: ignore[call-overload]
        values.append(float(masks.overlap([a], [b])[0, 0]) if a and b else float(not a and not b))
    return sum(values) / len(values)


def compute(device: str, precision: str, words: Sequence[str]) -> VideoResult:
    """Return what the small model finds in the chosen frames, from words to masks; nothing is read from a cache."""
    from ovvis.inference.pipeline import VideoSegmenter
    from ovvis.models.load import load_model
    from ovvis.models.zoo import SMALL_MODEL
    from ovvis.paths import DEMO_VIDEO

    model = load_model(SMALL_MODEL, device=device, precision=precision)  # type: ignore[arg-type]
    segmenter = VideoSegmenter(model, list(words), cache=False)
    return segmenter(DEMO_VIDEO, max_frames=FRAMES, every=EVERY)


def main() -> None:
    """Compute on the device and in the precision that the arguments name, and say how it compares."""
    device, precision = sys.argv[1:]
    from ovvis.models.devices import pick_device, pick_precision
    from ovvis.outputs.formats.tracks_json import load_tracks

    precision = str(pick_precision(precision, pick_device(device))).removeprefix("torch.")
    bounds = BOUNDS[precision]
    start = time.perf_counter()
    with load_tracks(STORED) as stored, compute(device, precision, stored.labels) as found:
        difference = compare(stored, found, bounds.score)
    seconds = time.perf_counter() - start
    say(precision=precision, same=difference.within(bounds), difference=str(difference), seconds=round(seconds, 1))


def judge(device: str, told: dict[str, object]) -> Row:
    """Return the row of a device, from what its process said."""
    name = f"{device}, {told['precision']}"
    if told["same"]:
        return Row(TEST, name, f"yes: {told['difference']} ({told['seconds']} s with loading)")
    remedy = "update PyTorch and the driver; use --device cpu --precision float32 meanwhile, and report this table"
    return Row(TEST, name, f"NO: {told['difference']}", "wrong", remedy)


if __name__ == "__main__":
    main()
