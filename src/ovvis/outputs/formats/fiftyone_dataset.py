"""A FiftyOne dataset (https://docs.voxel51.com): the frames as images of a video, with instance masks as labels.

FiftyOne's own types and exporter write it, so that what is written is what its version reads. It keeps its datasets in
a database of its own; nothing of this stays there.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from ovvis import masks
from ovvis.errors import InputError
from ovvis.outputs.chosen import Chosen, Shown
from ovvis.outputs.render import H264, VideoWriter, is_variable


def write(chosen: Chosen, target: Path) -> None:
    """Write a dataset of one video sample with frame labels, as `fiftyone.types.FiftyOneDataset`.

    The video is written anew with the result's frames alone, since FiftyOne counts frames of the file, from 1.
    """
    fo = _fiftyone()
    dataset = _database(fo)
    try:
        dataset.add_sample(_sample(fo, chosen, target.parent / "media" / f"{chosen.name}.mp4"))
        dataset.export(export_dir=str(target), dataset_type=fo.types.FiftyOneDataset, progress=False)
    finally:
        with suppress(Exception):  # the first error is the one to tell
            dataset.delete()


def _sample(fo: Any, chosen: Chosen, video: Path) -> Any:
    """Return the video as a sample, written to a file that the export copies."""
    video.parent.mkdir()
    result = chosen.result
    timed = is_variable(result.frame_times, result.fps)
    sample = fo.Sample(filepath=str(video))
    first: float | None = None
    with VideoWriter(video, result.fps, chosen.size, result.pixel_aspect, H264) as writer:
        for number, (position, frame, shown) in enumerate(chosen.each_picture(), 1):
            first = frame.time if first is None else first
            writer.write(frame.image, frame.time - first if timed else None)
            sample.frames[number] = fo.Frame(
                detections=fo.Detections(detections=_detections(fo, chosen, shown)),
                source_frame=result.frame_indices[position],
            )
    return sample


def _database(fo: Any) -> Any:
    """Return a dataset for as long as the export takes."""
    try:
        return fo.Dataset(f"ovvis-{uuid4().hex}")
    except Exception as error:  # of FiftyOne, of MongoDB, of the system
        reason = str(error).strip().partition("\n")[0][:200]
        raise InputError(
            f"FiftyOne's database does not start ({reason}): see its troubleshooting page, or export coco, which "
            "FiftyOne reads too"
        ) from error


def _detections(fo: Any, chosen: Chosen, shown: Shown) -> list[Any]:
    height, width = chosen.size
    out = []
    for track, mask in shown:
        left, top, w, h = map(int, masks.box(mask))
        inside = masks.decode(mask)[top : top + h, left : left + w]
        box = [left / width, top / height, w / width, h / height]
        out.append(
            fo.Detection(label=track.label, bounding_box=box, mask=inside, confidence=track.score, index=track.id)
        )
    return out


def _fiftyone() -> Any:
    try:
        import fiftyone
    except ImportError as error:
        raise InputError(
            f"--to fiftyone needs the package fiftyone ({error}): pip install fiftyone, or export coco, which FiftyOne "
            "reads too"
        ) from error
    return fiftyone
