"""What a table of a result shows: its tracks without their masks."""

from __future__ import annotations

from typing import Any

from ovvis.outputs.render import colour
from ovvis.structures import VideoResult


def summary(result: VideoResult) -> dict[str, Any]:
    """Return each instance once, under its best label, best first, with where it is seen."""
    rows = []
    for track in result.best_tracks(0):
        seen = track.frames
        rows.append(
            {
                "id": track.id,
                "label": track.label,
                "score": track.score,
                "colour": colour(track.id),
                "frames": len(seen),
                "from": result.frame_times[seen[0]] if seen else None,
                "to": result.frame_times[seen[-1]] if seen else None,
                "others": [[name, score] for name, score in track.top_labels if name != track.label],
            }
        )
    return {"frames": len(result.frame_indices), "tracks": rows}
