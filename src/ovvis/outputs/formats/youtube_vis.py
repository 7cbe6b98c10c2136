"""YouTube-VIS JSON: annotations and results (L. Yang, Y. Fan, N. Xu, ICCV 2019); a list entry for each frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ovvis import masks
from ovvis.masks import Rle
from ovvis.outputs.chosen import Chosen
from ovvis.outputs.formats.tracks_json import written_mask
from ovvis.outputs.json_lists import write_list, write_object
from ovvis.outputs.pictures import write_frames
from ovvis.outputs.read_back import ReadVideo
from ovvis.structures import Track


def write_youtube_vis(chosen: Chosen, target: Path) -> None:
    """Write `annotations.json`, and the frames below `JPEGImages` where they go in."""
    files = [f"{chosen.name}/{chosen.frame_name(i)}.jpg" for i in range(len(chosen.result.frame_indices))]
    tracks = ((1, track.label, track) for track in chosen.each_track())
    write_dataset(target / "annotations.json", [ReadVideo(chosen.result, files)], tracks, chosen.result.labels)
    write_frames(chosen, target / "JPEGImages" / chosen.name)


def write_dataset(
    path: Path, videos: Sequence[ReadVideo], tracks: Iterable[tuple[int, str, Track]], labels: Sequence[str]
) -> None:
    """Write a dataset's JSON.

    Args:
        path: the file.
        videos: in the order of their ids, from 1.
        tracks: with each its video's id and its category's name.
        labels: the categories; ids count from 1.
    """
    ids = {label: id for id, label in enumerate(labels, 1)}
    write_object(
        path,
        {"info": {"description": "made by ovvis"}},
        {
            "categories": ({"id": id, "name": name} for name, id in ids.items()),
            "videos": (_video(id, video) for id, video in enumerate(videos, 1)),
            "annotations": _annotations(tracks, videos, ids),
        },
    )


def write_youtube_vis_results(chosen: Chosen, target: Path) -> None:
    """Write a list with an entry for each track; the video's id is 1, a category's its place in the vocabulary."""
    write_list(target, _results(chosen))


def _video(id: int, video: ReadVideo) -> dict[str, Any]:
    files = list(video.files)
    size = {"height": video.result.height, "width": video.result.width}
    return {"id": id, **size, "length": len(files), "file_names": files}


def _annotations(
    tracks: Iterable[tuple[int, str, Track]], videos: Sequence[ReadVideo], ids: dict[str, int]
) -> Iterator[dict[str, Any]]:
    for number, (video, label, track) in enumerate(tracks, 1):
        height, width = videos[video - 1].result.height, videos[video - 1].result.width
        codes = [mask if mask is not None and masks.area(mask) else None for mask in track.masks]
        yield {
            "id": number,
            "video_id": video,
            "category_id": ids[label],
            "track_id": track.id,
            "score": track.score,
            "iscrowd": 0,
            "length": len(codes),
            "height": height,
            "width": width,
            "segmentations": [code and _runs(code) for code in codes],
            "bboxes": [code and masks.box(code) for code in codes],
            "areas": [code and masks.area(code) for code in codes],
        }


def _runs(mask: Rle) -> dict[str, Any]:
    """Return a mask as the authors' own annotations have it: run lengths as numbers, which every reader takes."""
    return {"size": list(mask["size"]), "counts": masks.run_lengths([mask["counts"]])[0].tolist()}


def _results(chosen: Chosen) -> Iterator[dict[str, Any]]:
    for track in chosen.each_track():
        yield {
            "video_id": 1,
            "category_id": track.label_index + 1,
            "score": track.score,
            "segmentations": [mask and written_mask(mask) for mask in track.masks],
        }
