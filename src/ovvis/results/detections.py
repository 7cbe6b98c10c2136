"""A frame's instances as `supervision.Detections`, for its annotators, counters and zones."""

from __future__ import annotations

from typing import Any

import numpy as np

from ovvis import masks
from ovvis.outputs.painting import supervision
from ovvis.structures import VideoResult


def to_supervision(result: VideoResult, position: int, min_score: float) -> Any:
    """Return a frame's instances; see `VideoResult.to_supervision`. None seen: arrays without a row."""
    found = [
        (track, code, masks.box(code))
        for track in result.best_tracks(min_score)
        if (code := track.seen(position)) is not None
    ]
    seen = np.zeros((len(found), result.height, result.width), dtype=np.bool_)
    for row, (_, code, _) in zip(seen, found, strict=True):
        row[:] = masks.decode(code)
    corners = [(x, y, x + width, y + height) for _, _, (x, y, width, height) in found]
    tracks = [track for track, _, _ in found]
    return supervision().Detections(
        xyxy=np.array(corners, dtype=np.float32).reshape(-1, 4),
        mask=seen,
        confidence=np.array([track.score for track in tracks], dtype=np.float32),
        class_id=np.array([track.label_index for track in tracks], dtype=np.int64),
        tracker_id=np.array([track.id for track in tracks], dtype=np.int64),
        data={"class_name": np.array([track.label for track in tracks], dtype=np.str_)},
    )
