"""The file of one video's predictions: whole or absent, so that its being there says that the video is done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import TextIO

import numpy as np

from ovvis.datasets.annotations import Video
from ovvis.evaluation.records import ResultTrack
from ovvis.masks import encode
from ovvis.outputs.formats.tracks_json import write_segmentations, written_mask
from ovvis.places import FolderPlace, Place

RESULTS, BROKEN = "results", "broken"


def results_name(video: Video) -> str:
    """Return the name of the file of a video's results in a folder of predictions."""
    return f"{RESULTS}/{video.id}.json"


def broken_name(video: Video) -> str:
    """Return the name of the file that says why a video has no results."""
    return f"{BROKEN}/{video.id}.json"


def is_done(place: Place, video: Video) -> bool:
    """Return whether a video's results are there, whole."""
    if not isinstance(place, FolderPlace):
        return place.has(results_name(video))  # what has its name there is whole
    try:
        with (place.path / results_name(video)).open("rb") as file:
            start = file.read(1)
            file.seek(-2, os.SEEK_END)
            return start == b"[" and file.read(2) == b"]\n"
    except OSError:
        return False


def write_video(place: Place, video: Video, tracks: Iterable[ResultTrack], images: bool, suffix: str) -> int:
    """Write a video's results, one mask at a time, and return how many there are.

    Args:
        place: of predictions.
        video: whose results they are.
        tracks: the results.
        images: whether it is one image (COCO's results) and no video (YouTube-VIS's).
        suffix: of the hidden file.

    Raises:
        ResourceError: the disk is full.
    """
    count = 0
    with place.writing(results_name(video), suffix) as path, path.open("w", encoding="ascii") as file:
        file.write("[")
        for track in tracks:
            file.write(",\n" if count else "\n")
            _write_entry(video, track, images, file)
            count += 1
        file.write("\n]\n")
    place.remove(broken_name(video))
    return count


def _write_entry(video: Video, track: ResultTrack, images: bool, file: TextIO) -> None:
    key = "image_id" if images else "video_id"
    # The ids stand first: packing reads them without parsing the masks.
    head = {key: video.id, "category_id": track.category_id, "score": float(track.score)}
    file.write(json.dumps(head, allow_nan=False)[:-1])
    if images:
        mask = track.masks[0] or encode(np.zeros((video.height, video.width), dtype=np.bool_))
        file.write(f', "segmentation": {json.dumps(written_mask(mask))}}}')
    else:
        file.write(', "segmentations": ')
        write_segmentations(track.masks, file)
        file.write("}")


def mark_broken(place: Place, video: Video, problem: str, suffix: str) -> None:
    """Write down why a video has no results."""
    with place.writing(broken_name(video), suffix) as path:
        path.write_text(
            json.dumps({"video_id": video.id, "name": video.name, "problem": problem}) + "\n", encoding="ascii"
        )
