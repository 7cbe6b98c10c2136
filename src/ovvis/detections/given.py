"""Detections from memory: `supervision.Detections` of each frame, arrays of masks or boxes, or our own records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovvis import masks
from ovvis.detections.sheet import REMEDY, UNSCORED, Sheet, Thing
from ovvis.errors import InputError
from ovvis.structures import Detected


class Given:
    """Things of each frame, taken one by one while the video is read, so that none need lie in memory.

    Args:
        frames: for each frame that is read, in order, what was found in it: a `supervision.Detections`, a `Detected`,
            or a mapping with `masks` (N, H, W) or `boxes` (N, 4; x, y, right, bottom in pixels), and where they are
            known `scores`, `labels` (N; texts) and `embeddings` (N, D). None: nothing.
        size: height and width of the frames.
        categories: names by `class_id`, where the detections carry none.
    """

    def __init__(
        self, frames: Iterable[Any], size: tuple[int, int], categories: Mapping[int, str] | None = None
    ) -> None:
        self._frames: Iterator[Any] = iter(frames)
        self._size, self._categories = size, dict(categories or {})
        self.notes: Counter[str] = Counter()
        self._done = 0

    def next(self) -> Detected:
        """Return what was found in the next frame.

        Raises:
            InputError: there is none, or it is of another kind or size.
        """
        try:
            found = next(self._frames)
        except StopIteration:
            raise InputError(
                f"detections end after {self._done} frames, and the video goes on: give one for each frame, None for "
                "a frame without any"
            ) from None
        where = f"detections of frame {self._done}"
        self._done += 1
        if isinstance(found, Detected):
            return self._checked(found, where)
        sheet = Sheet(Path(where), self._size)
        self._take(sheet, self._parts(found, where), where)
        detected = sheet.at(0)
        self.notes.update(sheet.notes)
        return detected

    def _checked(self, found: Detected, where: str) -> Detected:
        """Return a record as it is.

        Raises:
            InputError: a mask is of another size than the frames, or a score no share.
        """
        for mask in found.masks:
            if tuple(mask["size"]) != self._size:
                raise InputError(
                    f"{where}: a mask is {tuple(mask['size'])} where the frames are {self._size}: give masks of the "
                    "frames' height and width"
                )
        if not ((found.scores >= 0) & (found.scores <= 1)).all():
            raise InputError(f"{where}: scores must lie in [0, 1]: {REMEDY}")
        return found

    def _parts(self, found: Any, where: str) -> Mapping[str, Any]:
        if found is None:
            return {"boxes": np.zeros((0, 4))}
        if isinstance(found, Mapping):
            return found
        if not hasattr(found, "xyxy"):
            kind = type(found).__name__
            raise InputError(
                f"{where} are {kind}: give supervision.Detections, or a mapping with masks or boxes: {REMEDY}"
            )
        data = getattr(found, "data", None) or {}
        names = data.get("class_name")
        if names is None and found.class_id is not None:
            names = [self._categories.get(int(id), f"class {int(id)}") for id in found.class_id]
        return {
            "boxes": found.xyxy,
            "masks": found.mask,
            "scores": found.confidence,
            "labels": names,
            "embeddings": data.get("embeddings"),
        }

    def _take(self, sheet: Sheet, parts: Mapping[str, Any], where: str) -> None:
        drawn: Any = parts.get("masks")
        boxes: Any = parts.get("boxes") if drawn is None else drawn
        if boxes is None:
            raise InputError(f"{where} have neither masks nor boxes: {REMEDY}")
        count = len(boxes)
        scores, labels, embeddings = (parts.get(name) for name in ("scores", "labels", "embeddings"))
        for name, value in (("scores", scores), ("labels", labels), ("embeddings", embeddings)):
            if value is not None and len(value) != count:
                raise InputError(f"{where}: {count} things and {len(value)} {name}: give one for each: {REMEDY}")
        if scores is None and count:
            sheet.notes[UNSCORED] += count
        for i in range(count):
            make = (
                _boxed(sheet, boxes[i], f"box {i}")
                if drawn is None
                else sheet.mask(partial(masks.encode, _mask(drawn[i], self._size, f"{where}: mask {i}")))
            )
            embedding = None if embeddings is None else tuple(map(float, embeddings[i]))
            score = 1.0 if scores is None else float(scores[i])
            sheet.add(f"thing {i}", 0, Thing(make, score, "" if labels is None else str(labels[i]), embedding))


def _boxed(sheet: Sheet, corners: Sequence[float], where: str) -> Any:
    left, top, right, bottom = map(float, corners)
    return sheet.box(where, left, top, right - left, bottom - top)


def _mask(mask: Any, size: tuple[int, int], where: str) -> NDArray[np.bool_]:
    array = np.asarray(mask)
    if array.shape != size:
        raise InputError(
            f"{where} is {array.shape} where the frames are {size}: give masks of the frames' height and width"
        )
    return array.astype(np.bool_)
