"""Whatever `ovvis import` reads, as detections: the identities are forgotten."""

from __future__ import annotations

from pathlib import Path

from ovvis.datasets.exported import read_exported
from ovvis.detections.sheet import Sheet, Thing, Video
from ovvis.errors import InputError
from ovvis.structures import VideoResult


def read_forgetting(path: Path, format: str, video: Video) -> Sheet:
    """Read an export of one video, without its identities.

    Raises:
        InputError: it cannot be read, holds several videos, or is of frames of another size.
    """
    videos = read_exported(path, format)
    if len(videos) != 1:
        raise InputError(f"{path} holds {len(videos)} videos: give the detections of one")
    sheet = forget(videos[0].result, path, video)
    sheet.notes.update({what: number for what, number in videos[0].notes.items() if number})
    return sheet


def forget(result: VideoResult, path: Path, video: Video) -> Sheet:
    """Return a result's masks by frame, each under its best label, without identities.

    Raises:
        InputError: its frames have another size than the video's.
    """
    if (result.height, result.width) != video.size:
        raise InputError(
            f"{path} is of frames of {result.width} x {result.height} pixels, and the video has {video.size[1]} x "
            f"{video.size[0]}: give the video that was segmented"
        )
    sheet = Sheet(path, video.size)
    for track in result.best_tracks(0):
        for position in track.frames:

            def make(track=track, position=position):  # type: ignore[no-untyped-def]
                return track.masks[position]

            number = result.frame_indices[position]
            sheet.add(f"track {track.id}", number, Thing(make, track.score, track.label))
    return sheet
