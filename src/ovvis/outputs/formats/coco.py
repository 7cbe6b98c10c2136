"""COCO's JSON: annotations, a frame an image, and results (T.-Y. Lin et al., ECCV 2014; https://cocodataset.org).

With `videos`, `video_id`, `frame_id` and `instance_id` the annotations are a CocoVID file too, so identities stay.
Category ids are a label's place in the vocabulary, from 1; image ids a frame's place in the result, from 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ovvis import masks
from ovvis.masks import Rle
from ovvis.outputs.chosen import Chosen
from ovvis.outputs.formats.tracks_json import written_mask
from ovvis.outputs.json_lists import write_list, write_object
from ovvis.outputs.pictures import write_frames


def write_coco(chosen: Chosen, target: Path) -> None:
    """Write `annotations.json`, and the frames below `JPEGImages` where they go in."""
    height, width = chosen.size
    images = (
        {
            "id": position + 1,
            "file_name": f"{chosen.name}/{chosen.frame_name(position)}.jpg",
            "height": height,
            "width": width,
            "video_id": 1,
            "frame_id": index,
        }
        for position, index in enumerate(chosen.result.frame_indices)
    )
    write_object(
        target / "annotations.json",
        {"info": {"description": f"{chosen.result.source}, by ovvis"}},
        {
            "videos": [{"id": 1, "name": chosen.name, "height": height, "width": width}],
            "categories": categories(chosen),
            "images": images,
            "annotations": _annotations(chosen),
        },
    )
    write_frames(chosen, target / "JPEGImages" / chosen.name)


def write_coco_results(chosen: Chosen, target: Path) -> None:
    """Write a list with an entry for each instance, label and frame."""
    write_list(target, _results(chosen))


def categories(chosen: Chosen) -> list[dict[str, Any]]:
    """Return the vocabulary as categories."""
    return [{"id": id, "name": name} for id, name in enumerate(chosen.result.labels, 1)]


def _annotations(chosen: Chosen) -> Iterator[dict[str, Any]]:
    for id, (entry, mask) in enumerate(_entries(chosen), 1):
        yield {"id": id, **entry, "area": masks.area(mask), "iscrowd": 0}


def _results(chosen: Chosen) -> Iterator[dict[str, Any]]:
    return (entry for entry, _ in _entries(chosen))


def _entries(chosen: Chosen) -> Iterator[tuple[dict[str, Any], Rle]]:
    for position, shown in chosen.each_frame():
        for track, mask in shown:
            entry = {
                "image_id": position + 1,
                "category_id": track.label_index + 1,
                "instance_id": track.id,
                "score": track.score,
                "bbox": masks.box(mask),
                "segmentation": written_mask(mask),
            }
            yield entry, mask
